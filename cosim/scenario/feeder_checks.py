"""What a scenario names that its feeder lacks, and where the two contradict each other."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from cosim.errors import Problem
from cosim.feeder.network import FIRST_NEUTRAL
from cosim.scenario import events as ev
from cosim.scenario.fields import nearest
from cosim.scenario.names import FaultProblems
from cosim.scenario.parts import Parts, parts_of
from cosim.scenario.schema import Scenario
from cosim.scenario.tree import Path

SAME_HZ = 1e-6
"""Nominal frequencies that differ by less are one. [Hz]"""


def check_against_feeder(
    scenario: Scenario | Parts,
    bus_names: Iterable[str],
    load_names: Iterable[str],
    switch_names: Iterable[str],
    line_names: Iterable[str],
    node_names: Iterable[str] = (),
    dead_buses: Collection[str] = (),
    fault_problems: FaultProblems = lambda *_: [],
    f_hz: float | None = None,
    return_problem: Callable[[str], str] = lambda _: "",
) -> list[Problem]:
    """Every id in the scenario that the feeder lacks, with the nearest that it has; data centers without supply.

    Parameters
    ----------
    scenario : Scenario
    bus_names, load_names, switch_names, line_names : iterable of str
        Ids of the feeder; a whole line is switched as `line:ID`, a protective device by its own name.
    node_names : iterable of str
        Nodes of an unbalanced feeder (`bus.phase`): some phases of a bus may be named then (`bus.1.3`).
    dead_buses : collection of str
        Buses without voltage in the feeder as its file has it.
    fault_problems, return_problem : callable
        Why a fault cannot be where it should on a feeder of this config; paths are its fields. Why no data center can.
    f_hz : float, optional
        Frequency of the feeder. [Hz]
    """
    parts = parts_of(scenario) if isinstance(scenario, Scenario) else scenario
    buses, loads, lines = list(bus_names), list(load_names), list(line_names)
    switches = _switched(parts, switch_names, lines)
    phases = _phases_of_buses(buses, node_names)
    supplied: list[tuple[Path, str]] = [(("datacenters", name, "bus"), bus) for name, bus in parts.buses.items()]
    places: list[tuple[Path, str]] = []
    wanted = _wanted_by_events(parts, loads, switches)
    if parts.log is not None:
        places += _listed(("log", "nodes"), parts.log.nodes)
        wanted += [(path, name, "line", lines) for path, name in _listed(("log", "lines"), parts.log.lines)]
        supplied += _listed(("log", "points", "nodes"), parts.log.points.nodes)
        if parts.log.capture is not None:
            places += _listed(("log", "capture", "nodes"), parts.log.capture.nodes)
    sets = {noun: set(known) for _, _, noun, known in wanted}
    found = [(path, _why_no_place(place, phases), place) for path, place in places]
    found += [(path, _why_no_place(place, phases) or _why_no_phases(place, phases), place) for path, place in supplied]
    return [
        *_check_supply(parts, dead_buses),
        *_check_returns(parts, return_problem),
        *_check_sensed(parts, phases),
        *_check_nominal(parts, f_hz),
        *_check_faults(parts, fault_problems),
        *(parts.problem(path, why, place) for path, why, place in found if why),
        *(
            parts.problem(path, f"the feeder has no such {noun}; {nearest(name, known)}", name)
            for path, name, noun, known in wanted
            if name not in sets[noun]
        ),
    ]


def _wanted_by_events(parts: Parts, loads: list[str], switches: list[str]) -> list[tuple[Path, str, str, list[str]]]:
    """Loads and switches that events name: where, the name, what it is, those that there are."""
    wanted: list[tuple[Path, str, str, list[str]]] = []
    for i, event in parts.events:
        if isinstance(event, ev.LoadChanged):
            wanted.append((("events", i, "load"), event.load, "load", loads))
        elif isinstance(event, ev.SwitchOpened | ev.SwitchClosed):
            wanted.append((("events", i, "switch"), event.switch, "switch", switches))
    return wanted


def _switched(parts: Parts, switch_names: Iterable[str], lines: Iterable[str]) -> list[str]:
    """What an event may open and close: switches, whole lines, protective devices by their own name."""
    devices = [] if parts.feeder is None else [device.name for device in parts.feeder.protection]
    return [*switch_names, *(f"line:{name}" for name in lines), *devices]


def _check_returns(parts: Parts, return_problem: Callable[[str], str]) -> Iterator[Problem]:
    """Data centers whose current has no way back."""
    for name, bus in parts.buses.items():
        if told := return_problem(bus):
            yield parts.problem(("datacenters", name, "bus"), told, bus)


def _check_faults(parts: Parts, fault_problems: FaultProblems) -> Iterator[Problem]:
    """Faults that cannot be where they should."""
    for i, event in parts.events:
        if isinstance(event, ev.FaultApplied):
            for p in fault_problems(event, parts.feeder):
                if event.line is None or p.path != "line" or not _is_closed_later(parts, event.line):
                    yield parts.problem(("events", i, p.path), p.message, p.value)


def _is_closed_later(parts: Parts, line: str) -> bool:
    """Whether some event closes a line, which may then carry a fault that it could not carry now."""
    return any(isinstance(event, ev.SwitchClosed) and event.switch == f"line:{line}" for _, event in parts.events)


def _listed(path: Path, names: str | Sequence[str]) -> list[tuple[Path, str]]:
    """Every name of a selection with its place; none where it is a word for all."""
    return [] if isinstance(names, str) else [((*path, i), name) for i, name in enumerate(names)]


def _check_supply(parts: Parts, dead_buses: Collection[str]) -> Iterable[Problem]:
    """Data centers at buses without voltage that no event of the scenario could give it."""
    if any(isinstance(event, ev.SwitchClosed) for _, event in parts.events) or parts.controllers:
        return
    for name, bus in parts.buses.items():
        if bus in dead_buses:
            message = "has no voltage: it is cut off from the source, and no switch_closed event connects it"
            yield parts.problem(("datacenters", name, "bus"), message, bus)


def _check_nominal(parts: Parts, f_hz: float | None) -> Iterable[Problem]:
    """The area behind the source has the feeder's frequency, and sheds load below it."""
    area = None if parts.source is None else parts.source.area
    if area is None or f_hz is None:
        return
    given_hz = area.f_nominal_hz
    if given_hz is not None and abs(given_hz - f_hz) > SAME_HZ:
        path: Path = ("source", "area", "f_nominal_hz")
        yield parts.problem(path, f"the feeder is one of {f_hz:g} Hz: leave it out", given_hz)
    if area.shedding and area.shedding[0].below_hz >= f_hz:
        path = ("source", "area", "shedding", 0, "below_hz")
        yield parts.problem(path, f"must be below the feeder's {f_hz:g} Hz", area.shedding[0].below_hz)


def _check_sensed(parts: Parts, phases: Mapping[str, list[str]]) -> Iterable[Problem]:
    """Voltages between phases where there are not three of them."""
    for name, site in parts.datacenters.items():
        bus = parts.buses.get(name, "")
        known = phases.get(bus, phases.get(bus.lower(), []))
        named = bus.split(".")[1:] if bus not in phases and "." in bus else []
        asked = named or known
        n_phase = sum(int(phase) < FIRST_NEUTRAL for phase in asked)
        if site.facility.v_sensed == "phase_to_phase" and asked and n_phase < 3:
            path: Path = ("datacenters", name, "facility", "v_sensed")
            yield parts.problem(path, f"it stands at {n_phase} of three phases: bus {bus}", site.facility.v_sensed)


def _phases_of_buses(buses: Sequence[str], node_names: Iterable[str]) -> dict[str, list[str]]:
    """Phases of every bus; none where buses are whole."""
    phases: dict[str, list[str]] = {bus: [] for bus in buses}
    for node in node_names:
        bus, dot, phase = node.rpartition(".")
        if dot and bus in phases:
            phases[bus].append(phase)
    return phases


def _why_no_place(place: str, phases: Mapping[str, list[str]]) -> str:
    """What is wrong with a bus or `bus.1.3`; empty where the feeder has it."""
    if place in phases:
        return ""
    bus, _, rest = place.partition(".")
    known = phases.get(bus, phases.get(bus.lower()))
    if not rest or not known:
        return f"the feeder has no such bus; {nearest(place if not known else bus, phases)}"
    asked = rest.split(".")
    lacking = [phase for phase in asked if phase not in known]
    if lacking:
        return f"bus {bus} has no phase {lacking[0]}; it has {', '.join(known)}"
    return "" if len(set(asked)) == len(asked) else f"names a phase of bus {bus} twice"


def _why_no_phases(place: str, phases: Mapping[str, list[str]]) -> str:
    """What is wrong with a place of the feeder where only phases have a meaning; empty where it has no others."""
    bus, _, rest = (place, "", "") if place in phases else place.partition(".")
    asked = rest.split(".") if rest else phases.get(bus, [])
    neutrals = [phase for phase in asked if int(phase) >= FIRST_NEUTRAL]
    if not neutrals or (not rest and len(neutrals) < len(asked)):  # of a whole bus the phases are meant
        return ""
    return f"{bus}.{neutrals[0]} is a neutral (nodes from {FIRST_NEUTRAL} on): only phases supply, sag and swell"
