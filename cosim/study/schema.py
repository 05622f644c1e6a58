"""What a study's YAML may say: which scenario, what varies, which limits count, where it runs."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, model_validator

from cosim.scenario.events import ElementId
from cosim.study.distributions import Distribution

Scalar = float | int | str | bool | None
MAX_SEED = 10**15


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Limit(_Strict):
    """Bounds of one metric."""

    min: float | None = Field(None, description="Lowest value within the limit, in the metric's unit")
    max: float | None = Field(None, description="Highest value within the limit, in the metric's unit")

    @model_validator(mode="after")
    def _bounds_something(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("needs min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min={self.min:g} is above max={self.max:g}")
        return self


class SlurmConfig(_Strict):
    """Jobs of workers that `--slurm` asks for, through dask-jobqueue."""

    partition: str = Field(min_length=1, description="Queue of the cluster")
    account: str | None = Field(None, description="Account that is charged; null: the user's default")
    walltime: str = Field("01:00:00", pattern=r"^(\d+-)?\d{1,2}:\d{2}:\d{2}$", description="Longest life of a job")
    memory_gb: float = Field(4.0, gt=0, description="Memory of one job [GB]")
    cores: int = Field(1, ge=1, le=1024, description="Cores of one job, one worker on each [1]")
    n_jobs: int = Field(2, ge=1, le=100_000, description="Jobs asked for [1]")
    interface: str | None = Field(None, description="Network interface of the workers; null: the default one")


class Range(_Strict):
    """Equally spaced values, both ends included."""

    start: float = Field(description="First value")
    stop: float = Field(description="Last value")
    n: int = Field(ge=1, le=1_000_000, description="Number of values [1]")

    @model_validator(mode="after")
    def _reaches_its_end(self) -> Self:
        if self.n == 1 and self.start != self.stop:
            raise ValueError(f"n=1 with start={self.start:g} and stop={self.stop:g}; give at least 2")
        return self


def _as_axis(value: object) -> object:
    """A list of plain values, or a range."""
    if isinstance(value, Range):
        return value
    if isinstance(value, dict):
        return Range.model_validate(value, strict=True)
    if not isinstance(value, list) or not value:
        raise ValueError("must be a list of values, not empty, or start, stop and n")
    shown = [repr(v) for v in value]
    twice = sorted({v for v in shown if shown.count(v) > 1}) if len(shown) < 2000 else []
    if twice:
        raise ValueError(f"has {twice[0]} twice")
    return value


Axis = Annotated[Any, PlainValidator(_as_axis)]


class _Study(_Strict):
    """What every kind of study has."""

    schema_version: Literal[1] = Field(alias="schema", description="Version of this format")
    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", description="Name of the study")
    description: str = Field("", description="What it is about")
    scenario: str = Field(min_length=1, description="Scenario it varies: a shipped name, or a file beside the study")
    set: dict[str, Any] = Field(default_factory=dict, description="Values by dotted path for every run")
    limits: dict[str, Limit] = Field(default_factory=dict, description="Bounds by metric, e.g. voltage.vm_min_pu")
    metrics: list[str] | None = Field(
        None, min_length=1, description="Columns of the summary: metrics, or their groups; null: all"
    )
    keep_logs: bool = Field(False, description="Keep the log of every run, not its metrics alone")
    pack: int = Field(
        1, ge=1, le=100_000, description="Runs that go to a worker together and share one file, for very many [1]"
    )
    slurm: SlurmConfig | None = Field(None, description="Jobs for --slurm")

    @model_validator(mode="after")
    def _has_room_for_logs(self) -> Self:
        if self.pack > 1 and self.keep_logs:
            raise ValueError("keep_logs needs pack: 1, since packed runs have no folder")
        return self


class Sweep(_Study):
    """Every combination of values, or a list of points."""

    kind: Literal["sweep"]
    grid: dict[str, Axis] = Field(default_factory=dict, description="Values by dotted path; all combinations run")
    points: list[dict[str, Any]] = Field(default_factory=list, description="Or: one mapping from path to value a run")
    n_seed: int = Field(1, ge=1, le=1_000_000, description="Seeds for each point, from the scenario's on [1]")

    @model_validator(mode="after")
    def _has_points(self) -> Self:
        if bool(self.grid) == bool(self.points):
            raise ValueError("give grid or points, one of them and not empty")
        if not all(self.points):
            raise ValueError("points has an empty point")
        return self


class Stop(_Strict):
    """When a study of draws is sure enough: looked at after each batch, so that workers do not change the answer."""

    statistic: Literal["mean", "quantile", "share_within_limits"] = Field(description="What is wanted")
    metric: str | None = Field(None, min_length=1, description="Of which metric; with mean and quantile")
    quantile: float | None = Field(None, gt=0, lt=1, description="Which quantile, e.g. 0.05; with quantile [1]")
    half_width: float = Field(gt=0, description="Half the interval's width that is wanted, in the metric's unit")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Confidence of the interval [1]")
    batch: int = Field(64, ge=2, le=1_000_000, description="Runs between two looks, each batch drawn on its own [1]")
    n_min: int = Field(64, ge=2, description="Runs before the first look that counts [1]")

    @model_validator(mode="after")
    def _names_what_it_needs(self) -> Self:
        if (self.metric is None) != (self.statistic == "share_within_limits"):
            raise ValueError("mean and quantile need metric, share_within_limits has none")
        if (self.quantile is not None) != (self.statistic == "quantile"):
            raise ValueError("quantile goes with statistic: quantile, and it needs one")
        return self


class _Drawn(_Study):
    """Values drawn from distributions."""

    n: int = Field(ge=1, le=10_000_000, description="Runs, at most where stop is given [1]")
    distributions: dict[str, Distribution] = Field(default_factory=dict, description="What varies, by dotted path")
    sampling: Literal["latin_hypercube", "sobol", "random"] = Field("latin_hypercube", description="How it is drawn")
    seed: int = Field(1, ge=0, lt=MAX_SEED, description="Seed of the draw [1]")
    vary_seed: bool = Field(True, description="Each run draws its own noise: its seed is the study's plus its number")

    @model_validator(mode="after")
    def _varies_something(self) -> Self:
        if not self.distributions and not self.vary_seed:
            raise ValueError("distributions is empty and vary_seed false: every run would be the same")
        return self


class MonteCarlo(_Drawn):
    """Values drawn from distributions, until the wanted confidence is reached."""

    kind: Literal["monte_carlo"]
    stop: Stop | None = Field(None, description="When it is sure enough; null: all n run")

    @model_validator(mode="after")
    def _can_stop(self) -> Self:
        if self.stop is None:
            return self
        if self.sampling == "sobol":
            raise ValueError("stop needs sampling latin_hypercube or random: one Sobol sequence has no interval")
        if self.stop.statistic == "share_within_limits" and not self.limits:
            raise ValueError("stop on share_within_limits needs limits")
        return self


class Coincidence(_Drawn):
    """Several campuses on one area: how often and how hard their steps meet."""

    kind: Literal["coincidence"]
    datacenters: list[ElementId] | None = Field(None, min_length=2, description="Which; null: all of the scenario")
    window_s: float = Field(gt=0, description="Steps of two campuses within this time meet; a step is over it [s]")
    min_step_mw: float = Field(gt=0, description="Smallest change within window_s that is a step [MW]")


class Sensitivity(_Study):
    """Which input moves an output: Sobol indices, first order and total."""

    kind: Literal["sensitivity"]
    n: int = Field(ge=2, le=1_048_576, description="Base points, a power of two; n x (inputs + 2) runs [1]")
    distributions: dict[str, Distribution] = Field(min_length=2, description="Inputs, by dotted path")
    outputs: list[str] = Field(min_length=1, description="Metrics whose variance is shared out")
    seed: int = Field(1, ge=0, lt=MAX_SEED, description="Seed of the draw [1]")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Confidence of the indices' intervals (bootstrap) [1]")

    @model_validator(mode="after")
    def _is_balanced(self) -> Self:
        if self.n & (self.n - 1):
            raise ValueError(f"n={self.n} is no power of two; the nearest are {_powers_around(self.n)}")
        return self


def _powers_around(n: int) -> str:
    low = 1 << (n.bit_length() - 1)
    return f"{low} and {2 * low}"


Buses = Annotated[Any, PlainValidator(lambda value: _as_buses(value))]


def _as_buses(value: object) -> object:
    if value in ("all", "three_phase"):
        return value
    if not isinstance(value, list) or not value:
        raise ValueError("must be all, three_phase, or a list of buses, not empty")
    ids = [str(v) if isinstance(v, int) and not isinstance(v, bool) else v for v in value]
    if not all(isinstance(v, str) and v for v in ids):
        raise ValueError("must list ids; put names that look like numbers in quotes")
    if len(set(ids)) < len(ids):
        raise ValueError(f"names {next(v for v in ids if ids.count(v) > 1)} twice")
    return ids


class Siting(_Study):
    """The same data center at one bus after another."""

    kind: Literal["siting"]
    datacenter: ElementId = Field(description="Name of the data center that moves")
    buses: Buses = Field("three_phase", description="three_phase, all, or a list")


class SteadySize(_Strict):
    """Sizes by steady power flows: constant power on the feeder as its file has it, under the scenario's controls."""

    max_p_mw: float = Field(gt=0, description="Largest size looked at [MW]")
    tolerance_mw: float = Field(0.01, gt=0, description="The largest size is known this closely [MW]")
    power_factor: float = Field(0.98, gt=0, le=1, description="Of the data center, lagging [1]")
    vm_min_pu: float = Field(0.95, gt=0, lt=2, description="Lowest voltage allowed at any bus or phase [pu]")
    vm_max_pu: float = Field(1.05, gt=0, lt=2, description="Highest voltage allowed at any bus or phase [pu]")
    max_loading_percent: float | None = Field(100.0, gt=0, description="Of lines and transformers; null: no limit")
    controls: bool = Field(True, description="Regulators and capacitor banks come to rest first, where there are any")
    n_probe: int = Field(9, ge=2, le=1000, description="Sizes looked at before the bisection, to see holes [1]")

    @model_validator(mode="after")
    def _is_ordered(self) -> Self:
        if self.vm_min_pu >= self.vm_max_pu:
            raise ValueError(f"vm_min_pu={self.vm_min_pu:g} must be below vm_max_pu={self.vm_max_pu:g}")
        if self.tolerance_mw > self.max_p_mw:
            raise ValueError("tolerance_mw must not be above max_p_mw")
        return self


class RunSize(_Strict):
    """Sizes by runs: a value of the scenario, one run for each size looked at."""

    path: str = Field(min_length=1, description="Dotted path of the size, e.g. datacenters.a.load.accelerators.count")
    min: float = Field(description="Smallest size looked at, in the path's unit")
    max: float = Field(description="Largest size looked at, in the path's unit")
    tolerance: float = Field(gt=0, description="The size is known this closely, in the path's unit")
    whole: bool = Field(False, description="The size is a whole number")
    n_probe: int = Field(5, ge=2, le=1000, description="Sizes looked at before the bisection, to see holes [1]")

    @model_validator(mode="after")
    def _is_ordered(self) -> Self:
        if self.min >= self.max:
            raise ValueError(f"min={self.min:g} must be below max={self.max:g}")
        if self.whole and (self.tolerance < 1 or self.min % 1 or self.max % 1):
            raise ValueError("whole needs whole min and max, and a tolerance of at least 1")
        return self


class HostingCapacity(_Study):
    """The largest data center within limits at each bus."""

    kind: Literal["hosting_capacity"]
    buses: Buses = Field("three_phase", description="three_phase, all, or a list")
    datacenter: ElementId | None = Field(None, description="Name of the data center that moves; with runs")
    steady: SteadySize | None = Field(None, description="Sizes by steady power flows; or runs")
    runs: RunSize | None = Field(None, description="Sizes by runs, held to limits; or steady")

    @model_validator(mode="after")
    def _has_one_way(self) -> Self:
        if (self.steady is None) == (self.runs is None):
            raise ValueError("give exactly one of steady and runs")
        if self.runs is not None and (self.datacenter is None or not self.limits):
            raise ValueError("runs needs datacenter and limits")
        if self.steady is not None and self.limits:
            raise ValueError("limits goes with runs; steady has its own")
        return self


class UpsSizing(_Study):
    """The least energy that meets the limits for each power rating, and which pair costs least."""

    kind: Literal["ups_sizing"]
    datacenter: ElementId = Field(description="Name of the data center whose UPS is sized; it has one")
    p_mw: list[Annotated[float, Field(gt=0)]] = Field(min_length=1, description="Ratings tried, both ways [MW]")
    min_e_mwh: float = Field(gt=0, description="Least energy looked at [MWh]")
    max_e_mwh: float = Field(gt=0, description="Most energy looked at [MWh]")
    tolerance_mwh: float = Field(gt=0, description="The energy is known this closely [MWh]")
    n_probe: int = Field(5, ge=2, le=1000, description="Energies looked at before the bisection, to see holes [1]")
    cost_per_mw: float = Field(0.0, ge=0, description="Cost of power, in any currency [1/MW]")
    cost_per_mwh: float = Field(1.0, ge=0, description="Cost of energy, in the same [1/MWh]")

    @model_validator(mode="after")
    def _can_search(self) -> Self:
        if self.min_e_mwh >= self.max_e_mwh:
            raise ValueError(f"min_e_mwh={self.min_e_mwh:g} must be below max_e_mwh={self.max_e_mwh:g}")
        if not self.limits:
            raise ValueError("limits is empty: nothing to size the UPS for")
        if len(set(self.p_mw)) < len(self.p_mw):
            raise ValueError("p_mw names a rating twice")
        return self


class Contingency(_Study):
    """Each line, the source, and each UPS out of service in turn, beside the run without an outage."""

    kind: Literal["contingency"]
    at_s: float = Field(ge=0, description="When it goes out [s]")
    lines: Buses | None = Field("all", description="Lines that go out: all, a list, or null for none")
    source: bool = Field(True, description="Whether the source goes out")
    source_duration_s: float | None = Field(None, gt=0, description="Until the source returns; null: for good [s]")
    ups: bool = Field(True, description="Whether each UPS goes out")


Study = Annotated[
    Sweep | MonteCarlo | Sensitivity | Coincidence | Siting | HostingCapacity | UpsSizing | Contingency,
    Field(discriminator="kind"),
]
