"""Faults: what a scenario says of one, where that is in a network, and the admittances that it adds there.

docs/faults.md has the equations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Self

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from cosim.errors import InputError, Problem
from cosim.feeder.network import LINE, Bools, Complexes, Ints, Network
from cosim.feeder.places import named
from cosim.feeder.topology import Shunt, without

FaultType = Literal["three_phase", "line_to_ground", "line_to_line", "double_line_to_ground"]
N_PHASES: Final = {"three_phase": 3, "line_to_ground": 1, "line_to_line": 2, "double_line_to_ground": 2}
"""Phases that each type takes."""
METALLIC_OHM: Final = 1e-4
"""Resistance of a fault without one given: 1 % of a 400 V, 1 MVA transformer, 0.1 % and less at medium. [ohm]"""
MIN_OHM: Final = 1e-5
"""Least impedance: below it the solution loses digits. [ohm]"""
_LETTERS: Final = {"a": "1", "b": "2", "c": "3"}


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Id = Annotated[str, BeforeValidator(_as_text), Field(min_length=1)]


class FaultConfig(BaseModel):
    """A short circuit at a bus, or along a line: give one of bus and line."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    bus: Id | None = Field(None, description="Bus that is short-circuited; or line")
    line: Id | None = Field(None, description="Line that is short-circuited; or bus")
    position: float | None = Field(
        None, gt=0, lt=1, description="Part of the line's length from its first terminal to the fault; with line [1]"
    )
    type: FaultType = Field(description="Which phases meet, and whether ground does")
    phases: Id | None = Field(
        None, description="Faulted phases, as abc or 123 in any choice; null: the first ones that are there"
    )
    r_ohm: float = Field(
        METALLIC_OHM, ge=0, description="Resistance of each phase's path; of line_to_line, between the two [ohm]"
    )
    x_ohm: float = Field(0.0, ge=0, description="Reactance beside it [ohm]")
    r_ground_ohm: float = Field(0.0, ge=0, description="Resistance from where the phases meet to ground [ohm]")
    x_ground_ohm: float = Field(0.0, ge=0, description="Reactance beside it [ohm]")

    @model_validator(mode="after")
    def _is_at_one_place(self) -> Self:
        if (self.bus is None) == (self.line is None):
            raise ValueError("give exactly one of bus and line")
        if (self.line is None) != (self.position is None):
            raise ValueError("position goes with line, from 0 at its first terminal to 1")
        return self

    @model_validator(mode="after")
    def _has_an_impedance(self) -> Self:
        if abs(self.z_ohm) < MIN_OHM:
            raise ValueError(f"r_ohm and x_ohm are below {MIN_OHM:g} ohm together; leave both out for a metallic fault")
        if self.type == "line_to_line" and self.z_ground_ohm != 0:
            raise ValueError("a line_to_line fault has no path to ground: leave out r_ground_ohm and x_ground_ohm")
        if self.phases is not None:
            picked = phase_numbers(self.phases)
            if len(picked) != N_PHASES[self.type]:
                raise ValueError(f"{self.type} takes {N_PHASES[self.type]} phases, phases={self.phases!r} names others")
        return self

    @property
    def z_ohm(self) -> complex:
        """Impedance of each phase's path, or between two phases. [ohm]"""
        return complex(self.r_ohm, self.x_ohm)

    @property
    def z_ground_ohm(self) -> complex:
        """Impedance from the common point to ground. [ohm]"""
        return complex(self.r_ground_ohm, self.x_ground_ohm)

    @property
    def place(self) -> str:
        """`bus NAME` or `line NAME`: two faults at one place at a time are one too many."""
        return f"bus {self.bus}" if self.bus is not None else f"line {self.line}"

    @property
    def summary(self) -> str:
        """Type, phases and impedance in words."""
        z, zg = self.z_ohm, self.z_ground_ohm
        where = f" at {self.position:g} of its length" if self.position is not None else ""
        on = f" on {self.phases}" if self.phases is not None else ""
        ground = f", ground {zg.real:g} + j{zg.imag:g} ohm" if zg else ""
        return f"{self.type}{on}{where}, {z.real:g} + j{z.imag:g} ohm{ground}"


def phase_numbers(text: str) -> list[str]:
    """Phases by number, in order.

    Raises
    ------
    ValueError
        Not letters a to c or digits 1 to 3, or one of them twice.
    """
    picked = [_LETTERS.get(sign, sign) for sign in text.lower().replace(".", "")]
    if any(sign not in "123" for sign in picked) or len(set(picked)) < len(picked) or not picked:
        raise ValueError(f"phases={text!r} must be some of a, b, c or of 1, 2, 3, each once")
    return sorted(picked)


@dataclass(frozen=True)
class PlacedFault:
    """A fault in a network."""

    config: FaultConfig
    nodes: Ints
    """Short-circuited nodes; along a line, those at its first terminal."""
    element: int
    """Line that it lies on, -1 at a bus."""
    conductors: Ints
    """Positions of the faulted conductors within the line's first terminal; none at a bus."""
    y: Complexes
    """[k, k] between those nodes and ground. [pu]"""

    @property
    def key(self) -> bytes:
        """Equal for faults that do the same to the network."""
        at = self.config.position or 0.0
        place = (np.int64(self.element).tobytes(), np.float64(at).tobytes(), self.nodes.tobytes())
        return b"fault" + b"".join([*place, self.conductors.tobytes(), self.y.tobytes()])

    @property
    def shunt(self) -> Shunt:
        """What it adds to the network at a bus."""
        return Shunt(self.nodes, self.y)


def place_fault(network: Network, config: FaultConfig) -> PlacedFault:
    """Find a fault's place in a network.

    Raises
    ------
    InputError
        If the network lacks the bus, line or phases, is balanced and the fault is not, or holds the place at an ideal
        source's voltage. Paths are field names of the event.
    """
    if network.is_balanced and config.type != "three_phase":
        told = "the feeder is balanced and has no zero-sequence data: only three_phase faults can be worked out on it"
        raise InputError(Problem(told, path="type", value=config.type))
    if config.line is not None:
        lines = np.flatnonzero(network.el_kind == LINE)
        with _at("line"):
            element = int(lines[named(tuple(network.el_name[lines].tolist()), config.line, "line")])
        nodes = network.el_node[network.el_ptr[element] : network.el_ptr[element + 1]]
        terminal = network.el_terminal[network.el_ptr[element] : network.el_ptr[element + 1]]
        nodes = nodes[terminal == 0]
        if 2 * nodes.size != terminal.size:
            raise InputError(Problem("is not a line of two alike ends", path="line", value=config.line))
    else:
        element = -1
        with _at("bus"):
            bus = named(tuple(network.bus_name.tolist()), _known_case(network, config.bus or ""), "bus")
        nodes = network.nodes_of_bus(bus)
    picked = _picked(network, config, nodes)
    faulted = nodes[picked]
    held = np.isin(faulted, network.source_node) & np.isin(faulted, network.source_terminal)
    if element < 0 and held.any():
        told = "an ideal source holds this bus, whose short-circuit current has no limit; give source.s_sc_mva"
        raise InputError(Problem(told, path="bus", value=config.bus))
    kv = float(network.node_vn_kv[faulted[0]])
    y = fault_admittance(config) * kv**2
    if network.is_balanced:
        y = for_whole_bus(y)
    placed = PlacedFault(config, faulted.astype(np.int64), element, picked if element >= 0 else picked[:0], y)
    with_line_faults(network, network.el_y, [placed])  # a line that cannot be cut says so now
    return placed


class _at:
    """Problems raised inside are about one field."""

    def __init__(self, field: str) -> None:
        self.field = field

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: Any, __: object) -> None:
        if isinstance(error, InputError):
            raise InputError([Problem(p.message, self.field, p.value) for p in error.problems]) from None


def _known_case(network: Network, bus: str) -> str:
    """OpenDSS knows no upper case."""
    return bus if network.is_balanced or bus in network.bus_name else bus.lower()


def _picked(network: Network, config: FaultConfig, nodes: Ints) -> Ints:
    """Positions of the faulted nodes among those of a bus or line end."""
    if network.is_balanced:
        return np.zeros(1, np.int64)
    phase = np.where(nodes >= 0, network.node_phase[np.maximum(nodes, 0)], 0).tolist()
    present = sorted(p for p in phase if 1 <= p <= 3)
    wanted = present[: N_PHASES[config.type]]
    if config.phases is not None:
        wanted = [int(p) for p in phase_numbers(config.phases)]
    lacking = [p for p in wanted if p not in present]
    if lacking or len(wanted) < N_PHASES[config.type]:
        what = f"phase {lacking[0]} is not there" if lacking else f"{config.type} takes {N_PHASES[config.type]} phases"
        told = f"{what}: {config.place} has {', '.join(map(str, present)) or 'none'}"
        raise InputError(Problem(told, path="phases" if lacking else "type", value=config.phases or config.type))
    return np.array([phase.index(p) for p in wanted], np.int64)


def fault_admittance(config: FaultConfig) -> Complexes:
    """Admittance of a fault between its nodes and ground, one node for a whole balanced bus. [S]"""
    y = 1 / config.z_ohm
    if config.type == "line_to_line":
        return np.array([[y, -y], [-y, y]], np.complex128)
    n = N_PHASES[config.type]
    joined = n * y * config.z_ground_ohm + 1.0
    admittance: Complexes = y * (np.eye(n) - (y * config.z_ground_ohm / joined) * np.ones((n, n)))
    return admittance


def for_whole_bus(y: Complexes) -> Complexes:
    """A three-phase admittance as the positive sequence sees it: no current in ground."""
    return np.array([[y[0, 0] - y[0, 1]]])


def faulted_line(y: Complexes, position: float, picked: Ints, y_fault: Complexes) -> Complexes:
    """Primitive admittance of a line with a fault inside, as it shows at the line's two ends.

    The line is cut into two pi sections of `position` and 1 - `position` of its length, the fault put where they meet,
    and the nodes there eliminated (Kron).

    Parameters
    ----------
    y : array [2 k, 2 k]
        Of the whole line, conductors of the first terminal first. [pu]
    position : float
        From the first terminal. [1]
    picked : array
        Faulted conductors, from 0 to k - 1.
    y_fault : array
        Admittance between those and ground. [pu]

    Raises
    ------
    InputError
        The line has a conductor without series admittance.
    """
    cut = _cut_line(y, position, picked, y_fault)
    inner = np.arange(cut.shape[0]) >= y.shape[0]
    return without(cut, inner)[: y.shape[0], : y.shape[0]]


def _cut_line(y: Complexes, position: float, picked: Ints, y_fault: Complexes) -> Complexes:
    """Admittances of a cut line, those of the nodes between behind those of its ends. [pu]"""
    k = y.shape[0] // 2
    series = -0.5 * (y[:k, k:] + y[k:, :k].T)
    charging = y[:k, :k] + y[:k, k:] + y[k:, k:] + y[k:, :k]
    if np.linalg.matrix_rank(series) < k:
        raise InputError(Problem("a conductor of it leads nowhere, so that it cannot be cut in two", path="line"))
    cut = np.zeros((3 * k, 3 * k), np.complex128)
    for ends, part in (([0, 2], position), ([2, 1], 1 - position)):
        a, b = (slice(e * k, (e + 1) * k) for e in ends)
        for own in (a, b):
            cut[own, own] += series / part + charging * (0.5 * part)
        cut[a, b] -= series / part
        cut[b, a] -= series / part
    at = 2 * k + picked
    cut[np.ix_(at, at)] += y_fault
    return cut


def current_inside(y: Complexes, fault: PlacedFault, v_ends: Complexes, is_open: Bools) -> Complexes:
    """Current into a fault along a line at each of its phases. [pu]

    Parameters
    ----------
    y : array [2 k, 2 k]
        Of the line without it. [pu]
    fault : PlacedFault
    v_ends : array [2 k]
        Voltages at the line's ends. [pu]
    is_open : array [2 k]
        Conductors that end there.
    """
    n = y.shape[0]
    cut = _cut_line(y, fault.config.position or 0.5, fault.conductors, fault.y)
    sought = np.append(is_open, np.ones(n // 2, bool))
    v = np.append(v_ends, np.zeros(n // 2))
    v[sought] = np.linalg.lstsq(cut[np.ix_(sought, sought)], -cut[np.ix_(sought, ~sought)] @ v[~sought], rcond=None)[0]
    into: Complexes = fault.y @ v[n + fault.conductors]
    return into


def with_line_faults(network: Network, el_y: Complexes, faults: list[PlacedFault]) -> Complexes:
    """Primitive admittances of the network with the faults along its lines in them. [pu]"""
    inside = [fault for fault in faults if fault.element >= 0]
    if not inside:
        return el_y
    y, size = el_y.copy(), np.diff(network.el_ptr)
    start = np.concatenate([[0], np.cumsum(size**2)])
    for fault in inside:
        e, position = fault.element, fault.config.position
        assert position is not None
        whole = y[start[e] : start[e + 1]].reshape(size[e], size[e])
        y[start[e] : start[e + 1]] = faulted_line(whole, position, fault.conductors, fault.y).ravel()
    return y
