"""The parts of a scenario, valid or not as a whole, that checks look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath

from cosim.errors import Problem
from cosim.feeder.config import FeederConfig, SourceConfig
from cosim.scenario import events as ev
from cosim.scenario.accounts import CarbonConfig, PriceConfig
from cosim.scenario.problems import problem_at
from cosim.scenario.schema import ControllerConfig, DatacenterSite, LogConfig, Scenario, TimeConfig
from cosim.scenario.tree import Node, Path, from_python


@dataclass(frozen=True)
class Parts:
    """The parts of a scenario that are valid on their own, so that checks across them need not wait for the rest."""

    root: Node
    folder: FilePath
    time: TimeConfig | None = None
    feeder: FeederConfig | None = None
    source: SourceConfig | None = None
    datacenters: Mapping[str, DatacenterSite] = field(default_factory=dict)
    buses: Mapping[str, str] = field(default_factory=dict)
    """Bus of each data center, also of one that is wrong elsewhere."""
    events: Sequence[tuple[int, ev.Event]] = ()
    """Valid events with their index in the list."""
    controllers: Sequence[tuple[int, ControllerConfig]] = ()
    log: LogConfig | None = None
    carbon: CarbonConfig | None = None
    price: PriceConfig | None = None
    has_area: bool = False
    """Whether there is a source.area, valid or not."""

    def problem(self, path: Path, message: str, value: object = None) -> Problem:
        """A problem with the value at a path."""
        return problem_at(self.root, path, message, value)


def parts_of(scenario: Scenario) -> Parts:
    """All parts of a valid scenario."""
    root = scenario._origin.root if scenario._origin is not None else from_python({})[0]
    return Parts(
        root=root,
        folder=scenario.folder,
        time=scenario.time,
        feeder=scenario.feeder,
        source=scenario.source,
        datacenters=scenario.datacenters,
        buses={name: site.bus for name, site in scenario.datacenters.items()},
        events=list(enumerate(scenario.events)),
        controllers=list(enumerate(scenario.controllers)),
        log=scenario.log,
        carbon=scenario.carbon,
        price=scenario.price,
        has_area=scenario.source is not None and scenario.source.area is not None,
    )
