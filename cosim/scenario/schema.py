"""The Scenario: everything one run is made of, explicit and frozen. `docs/scenario.md` is made from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, PrivateAttr, model_validator

from cosim.datacenter.config import FacilityConfig
from cosim.feeder.config import FeederConfig, SourceConfig
from cosim.feeder.names import is_path
from cosim.load.config import LoadConfig
from cosim.scenario.accounts import CarbonConfig, PriceConfig
from cosim.scenario.events import ElementId, Event
from cosim.scenario.tree import Node, Path
from cosim.units import US_PER_S
from cosim.ups.config import UpsConfig

NAME_PATTERN = r"^[A-Za-z][A-Za-z0-9_-]*$"
"""Names of data centers and jobs: they become groups of the log and parts of dotted paths."""
MAX_DURATION_S = 1e9
"""Longest run, thirty years; microseconds stay well inside int64. [s]"""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def is_whole_us(t_s: float) -> bool:
    """Whether a time is a whole number of microseconds, as the clock counts."""
    t_us = t_s * US_PER_S
    return abs(t_us - round(t_us)) <= 1e-3 + 1e-15 * abs(t_us)


class TimeConfig(_Strict):
    """Length of the run and of its base step; the clock counts whole microseconds."""

    duration_s: float = Field(gt=0, le=MAX_DURATION_S, description="Simulated time, a whole number of steps [s]")
    step_s: float = Field(0.01, gt=0, le=3600, description="Base step, a whole number of microseconds [s]")

    @model_validator(mode="after")
    def _counts_whole_steps(self) -> Self:
        for name, value in (("step_s", self.step_s), ("duration_s", self.duration_s)):
            if not is_whole_us(value) or round(value * US_PER_S) == 0:
                raise ValueError(f"{name}={value:.12g} is not a whole number of microseconds")
        if round(self.duration_s * US_PER_S) % round(self.step_s * US_PER_S):
            raise ValueError(
                f"duration_s={self.duration_s:.12g} is not a whole number of steps of {self.step_s:.12g} s"
            )
        return self


class DatacenterSite(_Strict):
    """A data center at a bus of the feeder: what it computes, what surrounds that, what it stores."""

    bus: ElementId = Field(description="Bus of the feeder it is connected to; bus.1.3 for some of its phases")
    load: LoadConfig = Field(description="AI load, Eq. 5-17")
    facility: FacilityConfig = Field(
        default_factory=FacilityConfig, description="Electrical and thermal chain, Eq. 1-5"
    )
    ups: UpsConfig | None = Field(None, description="Bi-way UPS; null: none")

    @model_validator(mode="after")
    def _composite_has_no_ups(self) -> Self:
        if self.facility.composite is not None and self.ups is not None:
            raise ValueError("facility.composite takes the place of the UPS: give one of them")
        return self


class ControllerConfig(BaseModel):
    """A controller by the name of its entry point (group cosim.controllers); further keys are its arguments."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)

    name: str = Field(min_length=1, description="Entry point; the other keys of the entry go to it as arguments")


def _as_selection(value: object, words: tuple[str, ...] = ("all",)) -> object:
    """One of the words, or a list of ids; one message for whatever else."""
    if isinstance(value, str) and value in words:
        return value
    if not isinstance(value, list) or not value:
        raise ValueError(f"must be {', '.join(words)}, or a list of ids")
    ids = [str(v) if isinstance(v, int) and not isinstance(v, bool) else v for v in value]
    if not all(isinstance(v, str) and v for v in ids):
        raise ValueError("must list ids; put names that look like numbers in quotes")
    twice = sorted({v for v in ids if ids.count(v) > 1}) if len(ids) < 1000 else []
    if twice:
        raise ValueError(f"names {twice[0]} twice")
    return ids


Selection = Annotated[Literal["all"] | list[str], PlainValidator(_as_selection)]
"""Which elements of the feeder the log holds."""


def _as_node_selection(value: object) -> object:
    return _as_selection(value, ("all", "extremes"))


NodeSelection = Annotated[Literal["all", "extremes"] | list[str], PlainValidator(_as_node_selection)]
"""Which nodes the log holds; `extremes`: of all of them the lowest and the highest, and where."""
Quantity = Literal["vm_pu", "va_degree", "vm_min_pu", "vm_max_pu", "line_p_mw", "loading_percent"]
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)
CAPTURED_KINDS = (
    "dip_started",
    "fault_applied",
    "source_lost",
    "source_returned",
    "switch_opened",
    "switch_closed",
    "window_left",
    "load_shed",
    "ups_transferred",
    "collapsed",
)


class CaptureConfig(_Strict):
    """A fault recorder: values at every instant around events, in `/capture` of the log."""

    pre_s: float = Field(0.1, ge=0, le=60, description="Kept before the first event [s]")
    post_s: float = Field(0.5, ge=0, le=60, description="Kept after the last event [s]")
    max_s: float = Field(10.0, gt=0, le=600, description="Longest capture; events behind it start another [s]")
    max_n: int = Field(100, ge=1, le=10_000, description="Most captures of a run; later events are counted only [1]")
    kinds: list[str] = Field(list(CAPTURED_KINDS), min_length=1, description="Kinds of event that start a capture")
    nodes: Selection = Field("all", description="Nodes whose voltage is captured: all, or a list of ids")

    @model_validator(mode="after")
    def _holds_one_event(self) -> Self:
        if self.pre_s + self.post_s > self.max_s:
            one_s = self.pre_s + self.post_s
            raise ValueError(f"max_s={self.max_s:.12g} is below pre_s + post_s = {one_s:.12g}, what one event takes")
        return self


def _as_points(value: object) -> object:
    return _as_selection(value, ("terminals", "none"))


class PointsConfig(_Strict):
    """Nodes whose voltage is followed at every step, for what rows cannot carry: flicker, sags of a cycle."""

    nodes: Annotated[Literal["terminals", "none"] | list[str], PlainValidator(_as_points)] = Field(
        "terminals",
        description="Those nodes: terminals (the bus of each data center and of the source, where log.nodes has them), "
        "none, or a list of buses and nodes",
    )
    lamp: Literal["120V60Hz", "230V50Hz", "120V50Hz", "230V60Hz"] = Field(
        "120V60Hz", description="Lamp of the flickermeter; its frequency is that of the one-cycle rms"
    )


class LogConfig(_Strict):
    """What the log holds."""

    step_s: float = Field(
        0.1,
        gt=0,
        le=MAX_DURATION_S,
        description="Interval of its rows, a multiple of time.step_s; not given: the first one from 0.1 s on [s]",
    )
    nodes: NodeSelection = Field(
        "all",
        description="Nodes in the log: all, a list of buses (all their phases) and of nodes (bus.phase), or extremes "
        "(lowest and highest of all, and where)",
    )
    quantities: list[Quantity] = Field(
        list(QUANTITIES), description="What it holds of nodes, lines and transformers; loading_percent is of both"
    )
    lines: Selection = Field("all", description="Lines in the log: all, or a list of ids")
    compression: Literal["gzip", "none", "lz4", "zstd", "blosc", "bitshuffle"] = Field(
        "gzip", description="Filter of the log; all but gzip and none need hdf5plugin, also to read"
    )
    points: PointsConfig = Field(PointsConfig(), description="Nodes followed at every step, in /metrics/points")
    capture: CaptureConfig | None = Field(None, description="Full-rate captures around events; null: none")

    @model_validator(mode="after")
    def _names_each_quantity_once(self) -> Self:
        twice = sorted({name for name in self.quantities if self.quantities.count(name) > 1})
        if twice:
            raise ValueError(f"quantities names {twice[0]} twice")
        return self


@dataclass(frozen=True)
class Origin:
    """Where a scenario came from: its document, and the folder in which relative file names start."""

    root: Node
    folder: FilePath


class Scenario(_Strict):
    """One run, fully explicit. Get one from `cosim.scenario.load_scenario`."""

    schema_version: Literal[1] = Field(alias="schema", description="Version of this format")
    name: str = Field(min_length=1, max_length=200, description="Name of the run")
    description: str = Field("", description="What it is about")
    seed: int = Field(1, ge=0, lt=10**15, description="Seed of every random stream [1]")
    time: TimeConfig = Field(description="Length and step")
    feeder: FeederConfig = Field(description="The network and how it is solved")
    source: SourceConfig | None = Field(None, description="Source behind the feeder; null: as the network has it")
    datacenters: dict[Annotated[str, Field(pattern=NAME_PATTERN)], DatacenterSite] = Field(
        default_factory=dict, description="Data centers by name (letters, digits, _ and -)"
    )
    events: list[Event] = Field(default_factory=list, description="What happens, in any order")
    controllers: list[ControllerConfig] = Field(default_factory=list, description="Controllers, called in this order")
    log: LogConfig = Field(LogConfig(), description="What the log holds")
    carbon: CarbonConfig | None = Field(None, description="Carbon intensity of the grid; null: not told")
    price: PriceConfig | None = Field(None, description="Price of energy; null: not told")

    _origin: Origin | None = PrivateAttr(None)

    def __eq__(self, other: object) -> bool:
        """Equal where every value is; where it was read from does not count."""
        return isinstance(other, Scenario) and self.__dict__ == other.__dict__

    @property
    def folder(self) -> FilePath:
        """Where relative file names of the scenario start: the folder of its file, else the current one."""
        return self._origin.folder if self._origin is not None else FilePath()

    @property
    def feeder_source(self) -> str:
        """`feeder.model` as `load_feeder` takes it: a name, or a path that no longer depends on the folder."""
        return feeder_source(self.feeder.model, self.folder)

    def place(self, path: Path) -> tuple[str, int | None]:
        """File and line in which a value of the scenario stands, or its nearest parent."""
        if self._origin is None:
            return "", None
        node = self._origin.root.nearest(path)
        return node.file, node.line

    def trace_files(self) -> Iterable[tuple[Path, FilePath]]:
        """Path in the scenario and file of every trace it reads, of power or of requests."""
        for name, site in self.datacenters.items():
            for job, config in site.load.jobs.items():
                if config.kind == "trace":
                    yield ("datacenters", name, "load", "jobs", job, "file"), self.folder / config.file
                elif config.kind == "serving" and config.arrivals.kind == "trace":
                    path = ("datacenters", name, "load", "jobs", job, "arrivals", "file")
                    yield path, self.folder / config.arrivals.file


def feeder_source(model: str, folder: FilePath) -> str:
    """A feeder's name as it is, a `.json` or `.dss` path taken from the folder of the scenario."""
    return str(folder / FilePath(model).expanduser()) if is_path(model) else model


def dss_root(feeder: FeederConfig, folder: FilePath) -> str | None:
    """`feeder.dss_root` as `load_feeder` takes it: taken from the folder of the scenario, None where not given."""
    return None if feeder.dss_root is None else str(folder / FilePath(feeder.dss_root).expanduser())


def as_dict(scenario: Scenario) -> dict[str, Any]:
    """Every value of a scenario under its YAML key, in the order of the schema."""
    return scenario.model_dump(mode="json", by_alias=True)
