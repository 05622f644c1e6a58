"""From the controls of an open OpenDSS circuit to specs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from cosim.feeder.controls.dss_capacitors import read_capacitor
from cosim.feeder.controls.dss_generators import read_generator
from cosim.feeder.controls.dss_regulators import read_regulator
from cosim.feeder.controls.dss_terminals import NotCarried, names, properties
from cosim.feeder.controls.specs import ControlSet

_NOT_CARRIED: Final = {
    "InvControl": "inverter functions",
    "ExpControl": "the exponential volt-var function",
    "StorageController": "dispatch of storage",
    "GenDispatcher": "dispatch of generators",
    "UPFCControl": "a UPFC",
    "ESPVLControl": "an ESPVL controller",
}


def read_controls(dss: Any) -> ControlSet:
    """All enabled regulator and capacitor controls of the active circuit, and its generators that hold a voltage.

    Parameters
    ----------
    dss : OpenDSSDirect
        Its circuit must be compiled and solved once. The active element changes, nothing else.

    Returns
    -------
    ControlSet
        What cannot be carried is named in `refused`. Devices and elements bear the engine's names in lower case.
    """
    refused = _not_carried(dss)
    regulators = _read_all(dss, "RegControl", read_regulator, refused)
    capacitors = _read_all(dss, "CapControl", read_capacitor, refused)
    generators = _read_all(dss, "Generator", read_generator, refused)
    shared = {spec.device for spec in regulators} & {spec.device for spec in capacitors}
    refused += [f"a transformer and a capacitor under control share the name {name}" for name in sorted(shared)]
    return ControlSet(
        regulators=tuple(regulators),
        capacitors=tuple(capacitors),
        generators=tuple(generators),
        max_iterations=dss.Solution.MaxControlIterations(),
        refused=tuple(refused),
    )


def _not_carried(dss: Any) -> list[str]:
    """Enabled controls of kinds that are not carried."""
    refused = []
    for class_name, what in _NOT_CARRIED.items():
        for name in names(dss, class_name):
            if properties(dss, class_name, name)("Enabled") == "Yes":
                refused.append(f"{class_name}.{name}: {what} cannot be carried; write `controls: frozen` or remove it")
    return refused


def _read_all(dss: Any, class_name: str, read: Callable[[Any, str], Any], refused: list[str]) -> list[Any]:
    specs = []
    for name in names(dss, class_name):
        try:
            spec = read(dss, name)
        except NotCarried as problem:
            refused.append(f"{class_name}.{name}: {problem}")
            continue
        if spec is not None:
            specs.append(spec)
    return specs
