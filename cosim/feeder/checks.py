"""What a scenario says of a feeder, held against the feeder itself."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

from cosim.errors import InputError, Problem
from cosim.feeder.config import FeederConfig, SourceConfig
from cosim.feeder.controls.desk import ControlDesk
from cosim.feeder.controls.from_config import apply_config
from cosim.feeder.controls.specs import ControlSet
from cosim.feeder.extract_injections import USUAL_XDSS_PU
from cosim.feeder.faults import FaultConfig, place_fault
from cosim.feeder.linear_network import LinearNetwork
from cosim.feeder.load_profile import LoadProfile
from cosim.feeder.load_shapes import Driven, LoadShapes
from cosim.feeder.network import Network
from cosim.feeder.places import nodes_at
from cosim.feeder.protection.chains import Chains, chain_problems, same_end_problems, warn_of_loops
from cosim.feeder.protection.coordination import coordination_problems
from cosim.feeder.protection.desk import ProtectionDesk
from cosim.feeder.protection.placing import place_all, warn_of_low_pickups


def warn_of_left_out(network: Network, config: FeederConfig) -> None:
    """Warn of what the feeder's file holds that the network does not follow."""
    for note in network.notes.tolist():
        warnings.warn(f"feeder.model: {note}", UserWarning, stacklevel=2)
    held = [spec.name for spec in ControlSet.from_json(network.controls).generators]
    if held and config.controls.mode == "frozen":
        told = (
            f"frozen: generators that hold a voltage keep the reactive power of the file's solution: {', '.join(held)}"
        )
        warnings.warn(f"feeder.controls: {told}", UserWarning, stacklevel=2)


def feeder_problems(
    network: Network,
    config: FeederConfig,
    source: SourceConfig | None = None,
    peaks_mva: Mapping[str, complex] | None = None,
) -> list[Problem]:
    """Controls, protection and load shapes that the feeder cannot have; paths begin with `feeder.`.

    Parameters
    ----------
    network : Network
    config : FeederConfig
    source : SourceConfig, optional
        Whose impedance bounds fault currents.
    peaks_mva : mapping of bus to MVA, optional
        What data centers draw there at their peak.
    """
    problems: list[Problem] = []
    try:
        make_desk(network, config)
    except InputError as error:
        problems += error.problems
    if config.protection:
        problems += _protection_problems(network, config, source, peaks_mva or {})
    if config.zero_sequence is not None and not network.is_balanced:
        told = "is for balanced feeders: this one has its phases and neutrals in its own file"
        problems.append(Problem(told, path="feeder.zero_sequence"))
    if config.load_shapes != "none":
        try:
            LoadShapes(network, config)
        except InputError as error:
            problems += error.problems
    return problems


def _protection_problems(
    network: Network, config: FeederConfig, source: SourceConfig | None, peaks_mva: Mapping[str, complex]
) -> list[Problem]:
    """Devices that cannot stand where they do, or could never act; warns of those that would act wrongly."""
    linear = LinearNetwork(network, source)
    try:
        placed = place_all(config.protection, network)
        warn_of_low_pickups(placed, linear, peaks_mva)
    except InputError as error:
        return error.problems
    chains = Chains(network, placed)
    warn_of_loops(chains)
    return [
        *chain_problems(chains),
        *same_end_problems(placed),
        *coordination_problems(chains, linear, config.coordination_interval_s),
    ]


def return_problem(network: Network, place: str) -> str:
    """Why a data center cannot draw at a place: one phase, and nothing holds its zone to ground; empty where it can."""
    try:
        nodes = nodes_at(network, place)
    except InputError:  # which is said elsewhere
        return ""
    if network.is_balanced or nodes.size != 1 or not LinearNetwork(network).has_no_return(int(nodes[0])):
        return ""
    bus = place.partition(".")[0]
    phases = [str(p) for p in network.node_phase[network.nodes_of_bus(int(network.node_bus[nodes[0]]))] if p < 4]
    between = f": connect it between phases, as {bus}.{'.'.join(phases[:2])}" if len(phases) > 1 else ""
    return f"is one phase of a zone without a path to ground, so that its current has no way back{between}"


def fault_problems(network: Network, config: FaultConfig, feeder: FeederConfig | None) -> list[Problem]:
    """Why a fault cannot be where it should, on a feeder of this config; paths are its fields."""
    try:
        placed = place_fault(network, config, None if feeder is None else feeder.zero_sequence)
    except InputError as error:
        return error.problems
    if network.gen_z_assumed.any():
        told = (
            f"{int(network.gen_z_assumed.sum())} of {network.gen_node.size} voltage-controlled generators have no "
            f"xdss_pu: beside the fault at {config.place} {USUAL_XDSS_PU:g} of their ratings is taken"
        )
        warnings.warn(told, UserWarning, stacklevel=2)
    if placed.element >= 0 and not network.el_in_service[placed.element]:
        told = "is out of service, and no switch_closed event connects it: the fault would carry no current"
        return [Problem(told, path="line", value=config.line)]
    return []


def make_desk(network: Network, config: FeederConfig) -> ControlDesk | None:
    """The controls that live in a run; None without any.

    Raises
    ------
    InputError
        As `apply_config` and `ControlDesk` do.
    """
    controls = apply_config(config.controls, network)
    if not controls.all:
        return None
    desk = ControlDesk(controls, network, clock_s=3600.0 * (config.start_h % 24.0))
    power = dict(zip(network.inj_name.tolist(), network.inj_s_mva.tolist(), strict=True))
    for name, injection in [
        *((inverter.name, inverter.injection) for inverter in controls.inverters),
        *((generator.name, generator.injection) for generator in controls.generators),
    ]:
        desk.start(name, -power[injection].imag)
    return desk


def make_protection(network: Network, config: FeederConfig, first_sensor: int) -> ProtectionDesk | None:
    """The protection that lives in a run; None without any. Raises as `ProtectionDesk` does."""
    return ProtectionDesk(config.protection, network, first_sensor) if config.protection else None


def make_shapes(network: Network, config: FeederConfig, folder: Path) -> Driven | None:
    """What drives the loads in a run, a CSV in the folder or the feeder's own shapes; None where nothing does.

    Raises
    ------
    InputError
        As `LoadProfile` and `LoadShapes` do.
    """
    if config.profile is not None:
        return LoadProfile(network, config, folder)
    return LoadShapes(network, config) if config.load_shapes != "none" else None
