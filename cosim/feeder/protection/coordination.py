"""Coordination of devices in series: whether the one nearer to a fault acts first, over the currents it can see.

A source-side device **decides** at its curve; a load-side one has **interrupted** its breaker's time later, a fuse at
its total clearing time. Two rules (IEEE 242; Gers and Holmes, Protection of Electricity Distribution Networks):

    fuse saving:    fast shot + opening time      < least melting time of a fuse behind the recloser
    selectivity:    load-side interruption + CTI  < source-side decision (slow shot, relay, least melting time)

with CTI the coordination time interval. Both devices see the same current, referred by nominal voltages across
transformers; load and what other feeders add are left out. Beside a fault to ground the faster of phase and ground
element counts. Currents go from where both operate, 1.5 times the pick-up of an element (the least at which makers
declare its time: below, an inverse curve goes to infinity), to the largest fault current at the load-side device.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from cosim.errors import Problem
from cosim.feeder.linear_network import LinearNetwork
from cosim.feeder.protection.chains import Chains
from cosim.feeder.protection.config import (
    AnyConfig,
    FuseConfig,
    OvercurrentElementConfig,
    RecloserConfig,
    RelayConfig,
    SectionalizerConfig,
    fuse_curves,
)
from cosim.feeder.protection.curves import LEAST_MULTIPLE, operate_time_s
from cosim.feeder.protection.devices import pickups
from cosim.feeder.protection.placing import Placed

Curve = Callable[[float], float]
"""Time over current, infinite where it never operates. [A -> s]"""

_PLACE: Final = "feeder.protection"
_SAMPLES: Final = 400
"""Currents at which two curves are compared, evenly in the logarithm. [1]"""
_UNBOUNDED: Final = 100.0
"""Largest current over pick-up where an ideal source bounds none. [1]"""


@dataclass(frozen=True)
class Overlap:
    """Currents at which what should act first does not."""

    from_a: float
    """Where the curves cross, or the range begins. [A]"""
    to_a: float
    at_a: float
    """Where it is furthest behind, as a ratio of times. [A]"""
    first_s: float
    """Time there of what should act first. [s]"""
    second_s: float
    covers_all: bool
    """Whether that is so over the whole range."""


def overlap(first: Curve, second: Curve, span_a: tuple[float, float], interval_s: float = 0.0) -> Overlap | None:
    """Where the first of two curves is not below the second by an interval; None where it always is.

    Parameters
    ----------
    first, second : callable
        Time over current. [A -> s]
    span_a : tuple of float
        Least and largest current. [A]
    interval_s : float
        Least time between the two. [s]

    Returns
    -------
    Overlap or None
        From the first crossing to the last; crossings nearer to each other than 1/400 of the range may be missed.
    """

    def is_late(i_a: float) -> bool:
        late = second(i_a)
        return math.isfinite(late) and first(i_a) + interval_s >= late

    if span_a[0] >= span_a[1]:
        return None
    grid = np.geomspace(*span_a, _SAMPLES).tolist()
    late = [is_late(i_a) for i_a in grid]
    if not any(late):
        return None
    begin, end = late.index(True), len(late) - 1 - late[::-1].index(True)
    worst = max(
        (i_a for i_a, is_behind in zip(grid, late, strict=True) if is_behind),
        key=lambda i_a: first(i_a) / max(second(i_a), 1e-9),
    )
    return Overlap(
        from_a=grid[0] if begin == 0 else _crossing(is_late, grid[begin - 1], grid[begin]),
        to_a=grid[-1] if end == len(grid) - 1 else _crossing(is_late, grid[end + 1], grid[end]),
        at_a=worst,
        first_s=first(worst),
        second_s=second(worst),
        covers_all=all(late),
    )


def _crossing(is_late: Callable[[float], bool], sound_a: float, late_a: float) -> float:
    """Current between one at which the order holds and one at which it does not, by halving. [A]"""
    for _ in range(60):
        middle = 0.5 * (sound_a + late_a)
        sound_a, late_a = (sound_a, middle) if is_late(middle) else (middle, late_a)
    return late_a


def coordination_problems(chains: Chains, linear: LinearNetwork, interval_s: float) -> list[Problem]:
    """Fuses that could never blow before the recloser on their source side locks out; warns of curves that cross.

    Parameters
    ----------
    chains : Chains
    linear : LinearNetwork
        For fault currents.
    interval_s : float
        Coordination time interval. [s]
    """
    problems = []
    for k, device in enumerate(chains.placed):
        if isinstance(device.config, SectionalizerConfig):
            continue
        most_a = linear.fault_a(np.unique(linear.net.el_node[device.conductors]))
        if min(pickups(device.config)) >= most_a > 0.0:
            told = (
                f"{_PLACE}.{k}: {device.config.name} picks up at {min(pickups(device.config)):g} A, not below the "
                f"{most_a:.4g} A of the largest fault there: it never acts"
            )
            warnings.warn(told, UserWarning, stacklevel=2)
        j = chains.nearest_behind(k, lambda config: not isinstance(config, SectionalizerConfig))
        if j is None or np.array_equal(chains.placed[j].conductors, device.conductors):
            continue
        problems += _pair_problems(_Pair(linear, k, device, chains.placed[j], most_a, interval_s))
    return problems


def _has_only_phase(config: AnyConfig) -> bool:
    return math.isinf(pickups(config)[1])


@dataclass(frozen=True)
class _Pair:
    """A device and the nearest one on its source side."""

    linear: LinearNetwork
    k: int
    load_side: Placed
    source_side: Placed
    most_a: float
    """Largest fault current at the load-side device. [A]"""
    interval_s: float

    @property
    def ratio(self) -> float:
        """Current at the source-side device over that at the load-side one. [1]"""
        at = [int(self.linear.net.el_node[d.conductors[0]]) for d in (self.load_side, self.source_side)]
        own, other = self.linear.net.node_vn_kv[at].tolist()
        return float(own / other)

    def span_a(self, first: Curve, second: Curve) -> tuple[float, float]:
        """Currents at which both operate, up to the largest fault. [A]"""
        sides = [(self.load_side, 1.0), (self.source_side, 1 / self.ratio)]
        picked = [per * min(pickups(device.config)) for device, per in sides]
        upper = self.most_a if math.isfinite(self.most_a) else _UNBOUNDED * max(picked)
        both = [i for i in np.geomspace(min(picked), max(upper, min(picked)), 4 * _SAMPLES).tolist()
                if math.isfinite(first(i)) and math.isfinite(second(i))]  # fmt: skip
        return (both[0], upper) if both else (upper, upper)


def _pair_problems(pair: _Pair) -> list[Problem]:
    load, source, r = pair.load_side.config, pair.source_side.config, pair.ratio
    is_same_voltage = abs(r - 1.0) < 1e-6  # across a transformer, ground elements may see nothing of a fault to ground
    has_ground = is_same_voltage and not (_has_only_phase(load) and _has_only_phase(source))
    faults = [("a fault between phases", False), *([("a fault to ground", True)] if has_ground else [])]
    if len(pair.load_side.phases) == 1:
        faults = [("a fault to ground", is_same_voltage)]
    for beside, ground in faults:
        for what, first, second, interval_s in _rules(pair, ground):
            found = overlap(first, second, pair.span_a(first, second), interval_s)
            if found is not None:
                warnings.warn(_told(pair, what, found, beside), UserWarning, stacklevel=2)
    if isinstance(load, FuseConfig) and isinstance(source, RecloserConfig):
        return _never_blows(pair, load, source)
    return []


def _rules(pair: _Pair, ground: bool) -> Iterator[tuple[str, Curve, Curve, float]]:
    """Failings between the two in words, what acts first, what second, and the interval; by load-side current."""
    load, source, r = pair.load_side.config, pair.source_side.config, pair.ratio
    if isinstance(source, RecloserConfig) and source.n_fast > 0:
        opened = _later(_scaled(_decision(source, ground, fast=True), r), source.opening_s)
        if isinstance(load, FuseConfig):
            melt, _ = fuse_curves(load)
            yield _NOT_SAVED, opened, melt.time_s, 0.0
        elif isinstance(load, RecloserConfig) and load.n_fast > 0:
            decided = _scaled(_decision(source, ground, fast=True), r)
            yield _NOT_SELECTIVE, _interruption(load, ground, fast=True), decided, pair.interval_s
    is_fast = isinstance(source, RecloserConfig) and source.n_slow == 0
    if is_fast and isinstance(load, FuseConfig | RecloserConfig):
        return
    own = _interruption(load, ground, fast=isinstance(load, RecloserConfig) and load.n_slow == 0)
    yield _NOT_SELECTIVE, own, _scaled(_decision(source, ground, fast=is_fast), r), pair.interval_s


_NOT_SAVED: Final = "no fuse saving: {load} melts before a fast shot of {source} has opened"
_NOT_SELECTIVE: Final = "not selective: {source} acts before {load} has interrupted"


def _told(pair: _Pair, what: str, found: Overlap, beside: str) -> str:
    is_saving = what == _NOT_SAVED
    load, source = pair.load_side.config.name, pair.source_side.config.name
    first, second = (source, load) if is_saving else (load, source)
    span = "at every current" if found.covers_all else "where their curves cross,"
    interval = f" with coordination_interval_s={pair.interval_s:g}" if pair.interval_s > 0 and not is_saving else ""
    return (
        f"{_PLACE}.{pair.k}: {what.format(load=load, source=source)}, {beside}{interval}: {span} from "
        f"{found.from_a:.4g} to {found.to_a:.4g} A; at {found.at_a:.4g} A {first} takes {found.first_s:.3g} s, "
        f"{second} {found.second_s:.3g} s"
    )


def _never_blows(pair: _Pair, fuse: FuseConfig, recloser: RecloserConfig) -> list[Problem]:
    """A fuse that has not cleared after all shots to lockout, without any cooling between, at any current."""
    _, clear = fuse_curves(fuse)
    fast, slow = (_scaled(_decision(recloser, False, fast=pace), pair.ratio) for pace in (True, False))

    def heated_s(i_a: float) -> float:
        shots = ((recloser.n_fast, fast), (recloser.n_slow, slow))
        return sum(n * (curve(i_a) + recloser.opening_s) for n, curve in shots if n > 0)

    found = overlap(clear.time_s, heated_s, pair.span_a(clear.time_s, heated_s))
    if found is None or not found.covers_all:
        return []
    told = (
        f"{fuse.name} could never blow: recloser {recloser.name} on its source side has locked out before, at every "
        f"current from {found.from_a:.4g} to {found.to_a:.4g} A"
    )
    key = "speed" if fuse.speed is not None else "melt"
    return [Problem(told, f"{_PLACE}.{pair.k}.{key}", getattr(fuse, key))]


def _decision(config: AnyConfig, ground: bool, *, fast: bool = False) -> Curve:
    """When a device can no longer be held: operation of its elements, least melting time of a fuse."""
    if isinstance(config, FuseConfig):
        return fuse_curves(config)[0].time_s
    assert isinstance(config, RelayConfig | RecloserConfig)
    if isinstance(config, RelayConfig):
        phase, earth = config.phase, config.ground
    else:
        phase, earth = (config.fast, config.ground_fast) if fast else (config.slow, config.ground_slow)
    elements = [e for e in (phase, earth if ground else None) if e is not None]
    return lambda i_a: min((_element_s(e, i_a) for e in elements), default=math.inf)


def _interruption(config: AnyConfig, ground: bool, *, fast: bool = False) -> Curve:
    """When a device has interrupted: its breaker open, a fuse cleared."""
    if isinstance(config, FuseConfig):
        return fuse_curves(config)[1].time_s
    assert isinstance(config, RelayConfig | RecloserConfig)
    opening_s = config.breaker_s if isinstance(config, RelayConfig) else config.opening_s
    return _later(_decision(config, ground, fast=fast), opening_s)


def _element_s(element: OvercurrentElementConfig, i_a: float) -> float:
    """Time of an overcurrent element where it is declared, its instantaneous stage included. [s]"""
    if element.instantaneous_a is not None and i_a > element.instantaneous_a:
        return 0.0
    multiple = i_a / element.pickup_a
    return operate_time_s(element.curve, element.time_dial, multiple) if multiple >= LEAST_MULTIPLE else math.inf


def _later(curve: Curve, by_s: float) -> Curve:
    return lambda i_a: curve(i_a) + by_s


def _scaled(curve: Curve, ratio: float) -> Curve:
    """A curve over the current of the other side of a transformer."""
    return lambda i_a: curve(i_a * ratio)
