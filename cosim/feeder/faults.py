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
from cosim.feeder.topology import without
from cosim.feeder.zero_sequence import ZeroSequenceConfig, zero_sequence_y

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
    """[k, k] between those nodes and ground; of a whole balanced bus [3, 3], between its phases. [pu]"""
    faulted: Ints
    """Phases that it takes, of those of `y`."""

    @property
    def key(self) -> bytes:
        """Equal for faults that do the same to the network."""
        at = self.config.position or 0.0
        place = (np.int64(self.element).tobytes(), np.float64(at).tobytes(), self.nodes.tobytes())
        return b"fault" + b"".join([*place, self.conductors.tobytes(), self.y.tobytes()])

    @property
    def is_unbalanced(self) -> bool:
        """Whether it takes some of the phases only."""
        return self.config.type != "three_phase"

    @property
    def is_to_ground(self) -> bool:
        """Whether it drives a zero sequence."""
        return self.config.type in ("line_to_ground", "double_line_to_ground")


def place_fault(network: Network, config: FaultConfig, zero: ZeroSequenceConfig | None = None) -> PlacedFault:
    """Find a fault's place in a network.

    Parameters
    ----------
    network : Network
    config : FaultConfig
    zero : ZeroSequenceConfig, optional
        What a balanced feeder's file lacks for faults to ground.

    Raises
    ------
    InputError
        If the network lacks the bus, line or phases, or zero-sequence data for an earth fault, or holds the place at
        the voltage of an ideal source or of a generator. Paths are field names of the event.
    """
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
    y = fault_admittance(config) * float(network.node_vn_kv[faulted[0]]) ** 2
    phases = np.arange(N_PHASES[config.type])
    if network.is_balanced:
        phases = phases if config.phases is None else np.array(phase_numbers(config.phases), np.int64) - 1
        y = _among_phases(y, phases)
    placed = PlacedFault(config, faulted.astype(np.int64), element, picked if element >= 0 else picked[:0], y, phases)
    if element >= 0:
        cut_line(element_y(network, network.el_y, element), 0.5)  # a line that cannot be cut says so now
    if network.is_balanced and placed.is_to_ground:
        zero_sequence_y(network, zero)  # likewise data that are not there
    return placed


def _among_phases(y: Complexes, phases: Ints) -> Complexes:
    whole = np.zeros((3, 3), np.complex128)
    whole[np.ix_(phases, phases)] = y
    return whole


def element_y(network: Network, el_y: Complexes, element: int) -> Complexes:
    """Primitive admittance of one element, from those of all. [pu]"""
    size = np.diff(network.el_ptr[: element + 2])
    start = int((size[:-1] ** 2).sum())
    y: Complexes = el_y[start : start + size[-1] ** 2].reshape(size[-1], size[-1])
    return y


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
    """Admittance of a fault between its nodes and ground. [S]"""
    y = 1 / config.z_ohm
    if config.type == "line_to_line":
        return np.array([[y, -y], [-y, y]], np.complex128)
    n = N_PHASES[config.type]
    joined = n * y * config.z_ground_ohm + 1.0
    admittance: Complexes = y * (np.eye(n) - (y * config.z_ground_ohm / joined) * np.ones((n, n)))
    return admittance


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
    cut = _with_fault(cut_line(y, position), picked, y_fault)
    inner = np.arange(cut.shape[0]) >= y.shape[0]
    return without(cut, inner)[: y.shape[0], : y.shape[0]]


def cut_line(y: Complexes, position: float) -> Complexes:
    """Admittances of a cut line, those of the nodes between behind those of its ends. [pu]

    Raises
    ------
    InputError
        The line has a conductor without series admittance.
    """
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
    return cut


def _with_fault(cut: Complexes, picked: Ints, y_fault: Complexes) -> Complexes:
    at = 2 * (cut.shape[0] // 3) + picked
    cut[np.ix_(at, at)] += y_fault
    return cut


def voltage_inside(y: Complexes, position: float, picked: Ints, y_fault: Complexes, is_open: Bools) -> Complexes:
    """Voltages at a fault along a line for those at the line's ends.

    Parameters
    ----------
    y, position, picked, y_fault
        As `faulted_line` takes them.
    is_open : array [2 k]
        Conductors that end there.

    Returns
    -------
    array [faulted conductors, 2 k]
        Zero for open ends. [1]
    """
    n = y.shape[0]
    cut = _with_fault(cut_line(y, position), picked, y_fault)
    sought = np.append(is_open, np.ones(n // 2, bool))
    at_all = np.zeros((3 * n // 2, n), np.complex128)
    found = np.linalg.lstsq(cut[np.ix_(sought, sought)], -cut[np.ix_(sought, ~sought)], rcond=None)[0]
    at_all[np.ix_(sought, ~is_open)] = found
    inside: Complexes = at_all[n + picked]
    return inside
