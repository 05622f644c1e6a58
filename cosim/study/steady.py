"""Steady power flows for hosting capacity: voltages and loadings with a constant power at one bus."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cosim.errors import PhysicsError
from cosim.feeder import arrays as ix
from cosim.feeder.compile import CompiledFeeder, solve_totals
from cosim.feeder.controls.from_config import apply_config
from cosim.feeder.controls.specs import ControlSet
from cosim.feeder.feeder import Feeder
from cosim.feeder.kernel_flows import observe
from cosim.scenario import Scenario
from cosim.study.bisection import Found, Verdict, search
from cosim.study.schema import SteadySize
from cosim.units import S_PER_H


class SteadyBus:
    """One bus of a feeder with a constant power at it.

    As `Feeder.solve` has it: loads as their file has them, scaled by the scenario's `load_scaling`; taps and banks
    as in the file, or where the scenario's controls come to rest from there.
    """

    def __init__(self, feeder: Feeder, scenario: Scenario, bus: str, limits: SteadySize) -> None:
        self._feeder, self._limits = feeder, limits
        config = scenario.feeder.model_copy(update={"vmin_pu": 0.0})
        self._compiled: CompiledFeeder = feeder.compile([bus], config, scenario.source)
        self._controls = apply_config(scenario.feeder.controls, feeder.network) if limits.controls else ControlSet()
        self._time_of_day_s = S_PER_H * (scenario.feeder.start_h % 24.0)
        self._q_per_p = math.tan(math.acos(limits.power_factor))
        names = (feeder.line_names, feeder.trafo_names)
        self._lines, self._trafos = names
        self._line, self._trafo = np.zeros(len(names[0])), np.zeros(len(names[1]))

    def judge(self, p_mw: float) -> Verdict:
        """Whether a data center of this power is within limits. [MW]"""
        compiled = self._compiled
        compiled.arrays.port_p_mw[0] = p_mw
        compiled.arrays.port_q_mvar[0] = p_mw * self._q_per_p
        try:
            if self._controls.all:
                self._feeder.settle_controls(compiled, self._controls, self._time_of_day_s)
            status, _ = solve_totals(compiled)
        except PhysicsError as error:
            return Verdict(False, "no rest of controls" if "come to rest" in str(error) else "no solution")
        return Verdict(False, "no solution") if status != ix.OK else self._held_to_limits()

    def _held_to_limits(self) -> Verdict:
        f, limits = self._compiled.arrays, self._limits
        live = (f.node_row >= 0) & ~self._compiled.network.is_neutral
        vm = np.where(live, np.sqrt(f.vm2[np.maximum(f.node_row, 0)]), np.nan)
        angles = np.zeros(vm.size)
        observe(f, f.v, f.node_row, angles, np.zeros(self._line.size), self._line, self._trafo)
        loading = np.concatenate([self._line, self._trafo])
        low, high = int(np.nanargmin(vm)), int(np.nanargmax(vm))
        nodes = self._compiled.node_names
        margins = [
            ((limits.vm_min_pu - vm[low]) / limits.vm_min_pu, "vm_min_pu", nodes[low]),
            ((vm[high] - limits.vm_max_pu) / limits.vm_max_pu, "vm_max_pu", nodes[high]),
        ]
        facts: dict[str, Any] = {"vm_min_pu": float(vm[low]), "vm_max_pu": float(vm[high])}
        if loading.size:
            worst = int(np.argmax(loading))
            facts["max_loading_percent"] = float(loading[worst])
            if limits.max_loading_percent is not None:
                name = (*self._lines, *self._trafos)[worst]
                margins.append((loading[worst] / limits.max_loading_percent - 1, "max_loading_percent", name))
        passed, what, where = max(margins)
        return Verdict(bool(passed <= 0), what, where, facts)


def hosting_capacity(feeder: Feeder, scenario: Scenario, bus: str, limits: SteadySize) -> dict[str, Any]:
    """The largest constant power at a bus within steady limits.

    Parameters
    ----------
    feeder : Feeder
    scenario : Scenario
        Its source and its feeder's settings, `feeder.controls` among them, count; its data centers and events do not.
    bus : str
    limits : SteadySize

    Returns
    -------
    dict
        `capacity_mw` (0 where the feeder is outside limits before anything connects), `limited_by` and
        `limited_at` (the limit that the next larger size passes; empty where the largest is within), `is_monotone`,
        `again_mw`, `n_size`, and `vm_min_pu`, `vm_max_pu`, `max_loading_percent` at the capacity.
    """
    connected = SteadyBus(feeder, scenario, bus, limits)
    found = search(connected.judge, 0.0, limits.max_p_mw, limits.tolerance_mw, limits.n_probe)
    return {"capacity_mw": found.size or 0.0, **report(found, "again_mw"), "is_open": found.beyond is None}


def report(found: Found, again: str) -> dict[str, Any]:
    """What a row says of a search, beside the size."""
    return {
        "limited_by": found.beyond.limited_by if found.beyond else "",
        "limited_at": found.beyond.limited_at if found.beyond else "",
        "is_monotone": found.is_monotone,
        again: found.again_at,
        "n_size": found.n_size,
        **found.at_size.facts,
    }
