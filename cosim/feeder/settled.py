"""A compiled feeder with its controls at rest: the static iteration of `controls.settle` on its own power flow."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cosim.errors import PhysicsError
from cosim.feeder import arrays as ix
from cosim.feeder.compile import CompiledFeeder, solve_totals
from cosim.feeder.controls.arrays import sensor_rows
from cosim.feeder.controls.desk import fitted, positions
from cosim.feeder.controls.settle import Settled, settle
from cosim.feeder.controls.specs import ControlSet
from cosim.feeder.network import TAP, Complexes


def settle_feeder(
    compiled: CompiledFeeder, controls: ControlSet, start: Mapping[str, int] | None = None, *, t_s: float = 0.0
) -> Settled:
    """Let the controls act until none wants to; the feeder stands there afterwards.

    Parameters
    ----------
    compiled : CompiledFeeder
    controls : ControlSet
    start : mapping, optional
        Tap or steps on of devices that do not start as the feeder stands.
    t_s : float
        Time of day, for time controls. [s]

    Raises
    ------
    InputError
        If a control of the file cannot be carried, or what it measures or moves is not in the network.
    PhysicsError
        If a state on the way has no power flow solution.
    """
    controls.check_all_carried()
    network = compiled.network
    controls = fitted(controls, network)
    first = positions(controls, network)
    compiled.set_sensors(sensor_rows(controls, network))
    low = dict(zip(compiled.device_names, network.dev_low.tolist(), strict=True))

    def measure(states: dict[str, int], powers: dict[str, float]) -> Complexes:
        for name, value in states.items():
            compiled.set_device(name, value - low[name])
        for name, q_mvar in powers.items():
            compiled.set_injection_q(name, -q_mvar)
        status, _ = solve_totals(compiled)
        if status != ix.OK:
            raise PhysicsError("the feeder has no power flow solution at a state that its controls reach")
        sensed: Complexes = compiled.arrays.sensor[:, 0] + 1j * compiled.arrays.sensor[:, 1]
        return sensed

    power = dict(zip(compiled.injection_names, compiled.injections.tolist(), strict=True))
    powers = {spec.injection: -power[spec.injection].imag for spec in controls.samplers}
    return settle(controls, measure, {**first, **(start or {})}, powers=powers, t_s=t_s)


def taps_and_steps(compiled: CompiledFeeder) -> tuple[dict[str, int], dict[str, int]]:
    """Tap of every tap changer, counted from neutral, and steps on of every bank."""
    network = compiled.network
    values = np.asarray(compiled.device_values(), int).tolist()
    found = list(zip(compiled.device_names, network.dev_kind.tolist(), values, strict=True))
    return {n: v for n, kind, v in found if kind == TAP}, {n: v for n, kind, v in found if kind != TAP}
