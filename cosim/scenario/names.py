"""What of a feeder a scenario may name, and why it could not: what checks take of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from cosim.errors import Problem
from cosim.feeder.config import FeederConfig, SourceConfig
from cosim.feeder.faults import FaultConfig

if TYPE_CHECKING:
    from cosim.feeder.feeder import Feeder

FaultProblems = Callable[[FaultConfig, FeederConfig | None], list[Problem]]
"""Why a fault cannot be where it should on a feeder of this config."""
FeederProblems = Callable[[FeederConfig, SourceConfig | None, Mapping[str, complex]], list[Problem]]
"""What a feeder cannot have of its config, behind this source, with these peaks of data centers by bus [MVA]."""


@dataclass(frozen=True)
class FeederNames:
    """Ids of a feeder that a scenario may name."""

    buses: tuple[str, ...]
    loads: tuple[str, ...]
    switches: tuple[str, ...]
    lines: tuple[str, ...]
    nodes: tuple[str, ...] = ()
    """`bus.phase` of an unbalanced feeder."""
    problems: FeederProblems = lambda *_: []
    """What it cannot have of the controls and shapes that a scenario wants."""
    dead_buses: frozenset[str] = frozenset()
    """Buses without voltage in the feeder as its file has it."""
    fault_problems: FaultProblems = lambda *_: []
    """Why a fault cannot be where a scenario wants it."""
    f_hz: float | None = None
    """Its frequency; None where that is not asked. [Hz]"""
    warn: Callable[[FeederConfig, SourceConfig | None], None] = lambda *_: None
    """Warns of what is left out of it, and of voltages and a source with which no feeder is run."""

    return_problem: Callable[[str], str] = lambda _: ""
    """Why a data center cannot draw at a place that it has; empty where it can."""

    @classmethod
    def of(cls, feeder: Feeder) -> FeederNames:
        """Ids of a feeder that was loaded."""
        from cosim.feeder.base_case import warn_of_base_case
        from cosim.feeder.checks import fault_problems, feeder_problems, return_problem, warn_of_left_out

        net = feeder.network

        def warn(config: FeederConfig, source: SourceConfig | None) -> None:
            warn_of_left_out(net, config)
            warn_of_base_case(net, config, source)

        live = set(net.node_bus[(net.node_v[: net.n_node] != 0) & ~net.is_neutral].tolist())
        dead = frozenset(bus for k, bus in enumerate(feeder.bus_names) if k not in live)
        ids = (feeder.bus_names, feeder.load_names, feeder.switch_names, feeder.line_names, feeder.node_names)
        return cls(
            *ids,
            problems=partial(feeder_problems, net),
            dead_buses=dead,
            fault_problems=partial(fault_problems, net),
            f_hz=net.f_hz,
            warn=warn,
            return_problem=partial(return_problem, net),
        )


def feeder_names(model: str, dss_root: str | None = None) -> FeederNames:
    """Ids of a feeder by name or path, through the cache of compiled feeders.

    Parameters
    ----------
    model, dss_root : str
        As `load_feeder` takes them.

    Raises
    ------
    InputError
        No such feeder, or one that cannot be read.
    """
    from cosim.feeder.feeder import load_feeder

    return FeederNames.of(load_feeder(model, dss_root))


NamesOf = Callable[[str, str | None], FeederNames]
"""From `feeder.model` and `feeder.dss_root`, paths made absolute, to the ids it has."""
