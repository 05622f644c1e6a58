"""What the nodes followed at every step tell: flicker and one-cycle voltage events, gathered while a run goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cosim.metrics.envelope import EnvelopeMeter
from cosim.metrics.half_cycle import N_LEVEL, HalfCycleMeter, Times
from cosim.metrics.lamps import CARRIED, F_BAND_HZ, LAMP, LAMPS
from cosim.metrics.log import Floats, Log
from cosim.units import US_PER_S

FLICKER_STEP_MAX_S: Final = 0.05
"""Coarsest step that carries 8.8 Hz. [s]"""
SPAN_S: Final = 120.0
"""Instants are worked off in spans so long, whatever the blocks of the run. [s]"""


class PointMeters:
    """Flicker and one-cycle rms of a few nodes, from their voltages at every instant.

    Parameters
    ----------
    names : sequence of str
        The nodes.
    lamp : str
        One of `cosim.metrics.lamps.LAMPS`.
    step_us : int
        Base step of the run. [us]
    """

    def __init__(self, names: Sequence[str], lamp: str, step_us: int) -> None:
        self._names, self._lamp, self._step_us = list(names), lamp, step_us
        self._span_us = max(1, round(SPAN_S * US_PER_S / step_us)) * step_us
        self._end_us = self._span_us
        step_s = step_us / US_PER_S
        fine = step_s <= FLICKER_STEP_MAX_S * (1.0 + 1e-9)
        self._flicker = EnvelopeMeter(step_s, lamp, len(self._names)) if fine else None
        self._rms = HalfCycleMeter(LAMP[lamp].f_line_hz, len(self._names))
        self._kept: list[tuple[Times, Floats]] = []

    def update(self, t_us: Times, vm_pu: Floats) -> None:
        """Take in instants [us], shape (n,), and the voltages that hold from each on [pu], shape (n, k)."""
        if not len(t_us):
            return
        self._kept.append((t_us.copy(), vm_pu.copy()))
        if int(t_us[-1]) < self._end_us:
            return
        times, values = (np.concatenate(parts) for parts in zip(*self._kept, strict=True))
        while len(times) and int(times[-1]) >= self._end_us:
            n = int(np.searchsorted(times, self._end_us))
            self._span(times[:n], values[:n], self._end_us)
            times, values, self._end_us = times[n:], values[n:], self._end_us + self._span_us
        self._kept = [(times, values)]

    def _span(self, t_us: Times, vm_pu: Floats, until_us: int) -> None:
        if not len(t_us):
            return
        self._rms.update(t_us, vm_pu, until_us)
        if self._flicker is not None:
            self._flicker.update(vm_pu[t_us % self._step_us == 0])

    def finish(self, now_us: int) -> dict[str, npt.NDArray[np.float64] | float]:
        """Everything by path under `/metrics`, at the end of the run [us]."""
        if self._kept:
            times, values = (np.concatenate(parts) for parts in zip(*self._kept, strict=True))
            self._span(times, values, max(now_us, int(times[-1])) if len(times) else now_us)
        pst = self._flicker.finish() if self._flicker is not None else np.zeros((0, len(self._names)))
        events = np.array(self._rms.finish(now_us / US_PER_S)).reshape(-1, 4)
        dips = np.array(self._rms.dips).reshape(-1, 4 + N_LEVEL)
        out: dict[str, npt.NDArray[np.float64] | float] = {}
        for k, name in enumerate(self._names):
            group, mine = f"points/{name.replace('/', '|')}", events[events[:, 0] == k]
            out[f"{group}/pst"] = pst[:, k]
            out[f"{group}/event_t_s"], out[f"{group}/event_lasted_s"], out[f"{group}/event_vm_pu"] = mine.T[1:]
            held = dips[dips[:, 0] == k]
            out[f"{group}/dip_t_s"], out[f"{group}/dip_lasted_s"], out[f"{group}/dip_vm_pu"] = held.T[1:4]
            out[f"{group}/dip_beyond_s"] = held[:, 4:]
            n_sag, n_swell, n_interruption = (float(n) for n in self._rms.n_event[:, k])
            out[f"{group}/n_sag"], out[f"{group}/n_swell"] = n_sag + n_interruption, n_swell
            if np.isfinite(self._rms.lowest_pu[k]):
                out[f"{group}/rms_min_pu"] = float(self._rms.lowest_pu[k])
                out[f"{group}/rms_max_pu"] = float(self._rms.highest_pu[k])
        if self._names:
            out["points/lamp"] = float(LAMPS.index(self._lamp))
            out["points/flicker_seen_hz"] = band(self._step_us / US_PER_S) if self._flicker is not None else 0.0
            out["points/step_s"] = self._step_us / US_PER_S
        return out

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """What a checkpoint keeps."""
        times, values = (np.concatenate(parts) for parts in zip(*self._kept, strict=True)) if self._kept else (
            np.zeros(0, np.int64), np.zeros((0, len(self._names))))  # fmt: skip
        stored = {"t_us": times, "vm_pu": values, "end_us": np.array([self._end_us])}
        stored |= {f"rms/{key}": value for key, value in self._rms.state().items()}
        if self._flicker is not None:
            stored |= {f"flicker/{key}": value for key, value in self._flicker.state().items()}
        return stored

    def restore(self, stored: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take back what `state` gave."""
        self._kept = [(stored["t_us"].copy(), stored["vm_pu"].copy())] if len(stored["t_us"]) else []
        self._end_us = int(stored["end_us"][0])
        self._rms.restore({key[4:]: value for key, value in stored.items() if key.startswith("rms/")})
        if self._flicker is not None:
            self._flicker.restore({key[8:]: value for key, value in stored.items() if key.startswith("flicker/")})


def band(step_s: float) -> float:
    """Highest frequency of fluctuation that a run of this step carries to its meter. [Hz]"""
    return min(F_BAND_HZ, CARRIED / step_s)


@dataclass(frozen=True)
class Point:
    """One node followed at every step."""

    pst: Floats
    """Severities of the whole 10 minutes from the start on; NaN where a dip or swell flags them."""
    event: list[tuple[float, float, float]]
    """Start [s], duration [s], lowest or highest one-cycle rms [pu] of sags, interruptions, swells."""
    dip: list[tuple[float, ...]]
    """The same of sags from which no interruption is cut out, and of swells; then the time beyond each level. [s]"""
    n_sag: int
    """Sags and interruptions."""
    n_swell: int
    rms_min_pu: float | None
    rms_max_pu: float | None

    @property
    def is_whole(self) -> bool:
        """Whether all its events are kept one by one."""
        return len(self.event) == self.n_sag + self.n_swell


@dataclass(frozen=True)
class Points:
    """The nodes followed at every step in a run that has ended."""

    lamp: str = LAMPS[0]
    seen_hz: float = 0.0
    """Highest fluctuation that its flicker holds, 0 where the step is too coarse for any. [Hz]"""
    step_s: float = 0.0
    """Base step of the run. [s]"""
    point: dict[str, Point] = field(default_factory=dict)
    """By node."""

    @property
    def half_cycle_s(self) -> float:
        """Distance of two rms values. [s]"""
        return 0.5 / LAMP[self.lamp].f_line_hz

    def transfer(self, reference: str) -> dict[str, float]:
        """Flicker along the feeder: median over the 10 minutes of each node's Pst over that of the reference."""
        base = self.point[reference].pst
        found = {}
        for name, one in self.point.items():
            good = np.isfinite(base) & np.isfinite(one.pst) & (base > PST_MIN)
            if name != reference and good.any():
                found[name] = float(np.median(one.pst[good] / base[good]))
        return found


PST_MIN: Final = 0.02
"""Below it a severity is the meter's own ripple, and no ratio is taken."""


def points_of(log: Log) -> Points:
    """What a log tells of its points; without any where the run goes on or follows none."""
    held = log.metrics.get("points")
    if not isinstance(held, Mapping) or "lamp" not in held:
        return Points()
    found = {}
    for name, part in held.items():
        if not isinstance(part, Mapping):
            continue
        times = (np.asarray(part[key], dtype=np.float64).tolist() for key in _EVENT)
        found[str(name).replace("|", "/")] = Point(
            pst=np.asarray(part["pst"], dtype=np.float64),
            event=[(a, b, c) for a, b, c in zip(*times, strict=True)],
            dip=_dips(part),
            n_sag=int(part["n_sag"]),
            n_swell=int(part["n_swell"]),
            rms_min_pu=part.get("rms_min_pu"),
            rms_max_pu=part.get("rms_max_pu"),
        )
    return Points(LAMPS[int(held["lamp"])], float(held["flicker_seen_hz"]), float(held["step_s"]), found)


def _dips(part: Mapping[str, Any]) -> list[tuple[float, ...]]:
    """Rows of `Point.dip`; of a log from before they were kept, its events, whose time beyond each level is unknown."""
    keys = ("dip_t_s", "dip_lasted_s", "dip_vm_pu") if "dip_t_s" in part else _EVENT
    rows = np.column_stack([np.asarray(part[key], dtype=np.float64) for key in keys])
    if "dip_beyond_s" in part:
        rows = np.hstack([rows, np.asarray(part["dip_beyond_s"], dtype=np.float64).reshape(len(rows), N_LEVEL)])
    return [tuple(row) for row in rows.tolist()]


_EVENT = ("event_t_s", "event_lasted_s", "event_vm_pu")
