"""Limits as data: what a YAML file of limits may say, and the files that ship."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cosim.errors import InputError, Problem
from cosim.scenario.problems import explain
from cosim.scenario.validation import validated
from cosim.scenario.yaml_source import read_yaml

DEFAULT = ("ansi_c84_1", "ieee_1453", "itic_semi_f47", "interconnection")
"""Files that apply where none is named."""


class _Limit(BaseModel):
    """What every limit says."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(min_length=1, description="Short name, distinct among all limits applied")
    title: str = Field(min_length=1, description="What is limited, in words")
    source: str = Field(min_length=1, description="Where the limit stands")
    measured: str = Field(min_length=1, description="How the log is measured against it")


class MeanVoltageLimit(_Limit):
    """Mean voltage of every node over consecutive windows."""

    kind: Literal["mean_voltage"]
    window_s: float = Field(600.0, gt=0, description="Averaging window [s]")
    min_pu: float = Field(gt=0)
    max_pu: float = Field(gt=0)

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.min_pu >= self.max_pu:
            raise ValueError(f"min_pu={self.min_pu} is not below max_pu={self.max_pu}")
        return self


class RapidChangeLimit(_Limit):
    """Number of rapid voltage changes above a size in any window, at the terminals of data centers."""

    kind: Literal["rapid_change"]
    larger_than_percent: float = Field(gt=0, description="Size from which a change counts [%]")
    window_s: float = Field(3600.0, gt=0, description="Window in which they are counted [s]")
    max_n: int = Field(ge=0, description="Most changes in any window")


class StepChangeLimit(_Limit):
    """Largest change of voltage within a short window, at the terminals of data centers."""

    kind: Literal["step_change"]
    window_s: float = Field(0.1, gt=0, description="Width of the window [s]")
    max_percent: float = Field(gt=0, description="Largest change [% of nominal voltage]")


class FlickerLimit(_Limit):
    """Short-term or long-term flicker severity at the terminals of data centers."""

    kind: Literal["flicker"]
    term: Literal["short", "long"]
    max: float = Field(gt=0, description="Largest Pst or Plt")
    lamp: Literal["120V60Hz", "230V50Hz", "120V50Hz", "230V60Hz"] = "120V60Hz"


class RampLimit(_Limit):
    """Fastest change of the power that data centers draw, up and down, over a window."""

    kind: Literal["ramp"]
    window_s: float = Field(60.0, gt=0, description="Width of the window [s]")
    max_mw_per_min: float = Field(gt=0)


class OscillationLimit(_Limit):
    """Rms of the power that data centers draw within a band of frequency."""

    kind: Literal["oscillation"]
    from_hz: float = Field(gt=0)
    to_hz: float = Field(gt=0)
    max_percent: float = Field(gt=0, description="Largest rms [% of mean power]")

    @model_validator(mode="after")
    def _is_a_band(self) -> Self:
        if self.from_hz >= self.to_hz:
            raise ValueError(f"from_hz={self.from_hz} is not below to_hz={self.to_hz}")
        return self


class ModeLimit(_Limit):
    """A mode of the power system that the dominant oscillation of the power drawn must not meet."""

    kind: Literal["mode"]
    f_hz: float = Field(gt=0, description="Frequency of the mode [Hz]")
    width_hz: float = Field(0.1, ge=0.02, description="Band around it in which an oscillation meets it [Hz]")
    min_percent: float = Field(0.1, ge=0, description="Least rms in the band that counts [% of mean power]")

    @model_validator(mode="after")
    def _lies_above_zero(self) -> Self:
        if 0.5 * self.width_hz >= self.f_hz:
            raise ValueError(f"width_hz={self.width_hz} reaches down to 0 Hz around f_hz={self.f_hz}")
        return self


class RecoveryLimit(_Limit):
    """Time in which a data center draws again what it drew before a dip."""

    kind: Literal["recovery"]
    vm_min_pu: float = Field(0.9, gt=0, description="Voltage from which on time counts [pu]")
    share: float = Field(0.9, gt=0, le=1, description="Share of the power before the dip")
    max_s: float = Field(gt=0)


class DemandLimit(_Limit):
    """Largest mean power over a sliding window."""

    kind: Literal["demand"]
    window_s: float = Field(900.0, gt=0, description="Width of the window [s]")
    max_mw: float = Field(gt=0)


class PowerFactorLimit(_Limit):
    """Lowest displacement power factor over consecutive windows."""

    kind: Literal["power_factor"]
    window_s: float = Field(900.0, gt=0, description="Window over which energies are taken [s]")
    min: float = Field(gt=0, le=1)


class UnbalanceLimit(_Limit):
    """Largest mean voltage unbalance (negative over positive sequence) of any bus whose phases are logged."""

    kind: Literal["unbalance"]
    window_s: float = Field(600.0, gt=0, description="Averaging window [s]")
    max_percent: float = Field(gt=0)


class LoadingLimit(_Limit):
    """Loading of lines and transformers, as their heat counts it: rms over consecutive windows."""

    kind: Literal["loading"]
    window_s: float = Field(900.0, gt=0, description="Window of the rms [s]")
    max_percent: float = Field(100.0, gt=0, description="Largest loading [% of rating]")
    of: Literal["all", "lines", "transformers"] = "all"
    only: tuple[str, ...] = Field((), description="Ids of those it is of; default all")


class HotSpotLimit(_Limit):
    """Temperature of the hottest spot of transformers, by IEEE C57.91."""

    kind: Literal["hot_spot"]
    max_degree: float = Field(gt=0, description="Highest temperature [degree C]")
    only: tuple[str, ...] = Field((), description="Ids of those it is of; default all")


class StartNoticeLimit(_Limit):
    """How long ahead a site announces starts above a size."""

    kind: Literal["start_notice"]
    larger_than_mw: float = Field(ge=0, description="Rise of its power from which a start needs a notice [MW]")
    notice_s: float = Field(gt=0, description="Shortest notice [s]")


class SagStep(BaseModel):
    """Below this voltage no longer than that."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    below_pu: float = Field(gt=0, le=1)
    max_s: float = Field(ge=0)


class SwellStep(BaseModel):
    """Above this voltage no longer than that."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    above_pu: float = Field(ge=1)
    max_s: float = Field(ge=0)


class MagnitudeDurationLimit(_Limit):
    """Sags, interruptions and swells against a curve of voltage over duration."""

    kind: Literal["magnitude_duration"]
    sag: list[SagStep] = []
    swell: list[SwellStep] = []


Limit = (
    MeanVoltageLimit
    | RapidChangeLimit
    | StepChangeLimit
    | FlickerLimit
    | RampLimit
    | OscillationLimit
    | ModeLimit
    | RecoveryLimit
    | DemandLimit
    | PowerFactorLimit
    | UnbalanceLimit
    | LoadingLimit
    | HotSpotLimit
    | MagnitudeDurationLimit
    | StartNoticeLimit
)


class LimitFile(BaseModel):
    """A YAML file of limits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_: Literal[1] = Field(alias="schema")
    name: str
    description: str
    limits: list[Annotated[Limit, Field(discriminator="kind")]] = Field(min_length=1)


def shipped_limits() -> dict[str, Path]:
    """Files of limits that ship, by name, sorted."""
    package = Path(str(resources.files("cosim")))
    inside, beside = package / "_shipped" / "limits", package.parent / "limits"
    folder = inside if inside.is_dir() else beside
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_limits(names: Sequence[str] = DEFAULT) -> tuple[Limit, ...]:
    """Limits of the named files.

    Parameters
    ----------
    names : sequence of str
        Names of files that ship, or paths of YAML files.

    Returns
    -------
    tuple of Limit
        In the order of the files.

    Raises
    ------
    InputError
        No such file, a wrong field (all of a file at once), or two limits of one name.
    """
    shipped = shipped_limits()
    found: list[Limit] = []
    for name in names:
        path = _path(name, shipped)
        found += _read(path, name, path.stat().st_mtime_ns).limits
    seen: set[str] = set()
    twice = [limit.name for limit in found if limit.name in seen or seen.add(limit.name)]  # type: ignore[func-returns-value]
    if twice:
        raise InputError(Problem(f"two limits have this name: {', '.join(dict.fromkeys(twice))}", "limits"))
    return tuple(found)


@functools.lru_cache(maxsize=64)
def _read(path: Path, label: str, changed_ns: int) -> LimitFile:
    """A file of limits, read once as long as it stays the same: a study asks for it with every run."""
    root, problems = read_yaml(path, label)
    file: LimitFile | None = None
    try:
        file = validated(LimitFile, root.plain())
    except ValidationError as error:
        problems += explain(error.errors(include_url=False), LimitFile, root)
    if problems or file is None:
        raise InputError(problems)
    return file


def _path(name: str, shipped: dict[str, Path]) -> Path:
    if name in shipped:
        return shipped[name]
    if Path(name).is_file():
        return Path(name)
    near = difflib.get_close_matches(name, shipped, 3, 0.4)
    known = f"nearest: {', '.join(near)}" if near else f"shipped: {', '.join(shipped)}"
    raise InputError(Problem(f"no such file of limits; {known}", "limits", name))
