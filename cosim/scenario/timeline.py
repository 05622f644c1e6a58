"""Events in the order in which they happen: after the end, overlapping, or returning what was never lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cosim.scenario import events as ev
from cosim.scenario.schema import TimeConfig
from cosim.scenario.tree import Path

Found = tuple[Path, str, object]
"""Where, what is wrong, and the value that is."""


def check_timeline(time: TimeConfig, events: Sequence[tuple[int, ev.Event]]) -> Iterator[Found]:
    """What is wrong with the order of events.

    Parameters
    ----------
    time : TimeConfig
    events : sequence of (index, event)
        In the order of the file.

    Yields
    ------
    path, message, value
    """
    for i, event in events:
        yield from _check_end(time, i, event)
    ordered = sorted(events, key=lambda pair: pair[1].at_s)
    yield from _check_dips([(i, e) for i, e in ordered if isinstance(e, ev.DipStarted)])
    yield from _check_pairs([(i, e) for i, e in ordered if isinstance(e, ev.SourceLost | ev.SourceReturned)], "source")
    sites = {e.datacenter for _, e in ordered if isinstance(e, ev.UpsOutOfService | ev.UpsInService)}
    for site in sorted(sites):
        service = [
            (i, e) for i, e in ordered if isinstance(e, ev.UpsOutOfService | ev.UpsInService) and e.datacenter == site
        ]
        yield from _check_pairs(service, f"UPS of {site}")


def _check_end(time: TimeConfig, i: int, event: ev.Event) -> Iterator[Found]:
    if event.at_s > time.duration_s:
        message = f"is after the end of the run, time.duration_s = {time.duration_s:.12g}"
        yield ("events", i, "at_s"), message, event.at_s
        return
    lasts_s = getattr(event, "duration_s", None)
    if lasts_s is not None and event.at_s + lasts_s > time.duration_s:
        ends_s = event.at_s + lasts_s
        message = f"ends at {ends_s:.12g} s, after the end of the run, time.duration_s = {time.duration_s:.12g}"
        yield ("events", i, "duration_s"), message, lasts_s


def _check_dips(dips: Sequence[tuple[int, ev.DipStarted]]) -> Iterator[Found]:
    until_s, before = -1.0, -1
    for i, dip in dips:
        if dip.at_s < until_s:
            message = f"begins while the dip of events.{before} lasts, until {until_s:.12g} s"
            yield ("events", i, "at_s"), message, dip.at_s
        if dip.at_s + dip.duration_s > until_s:
            until_s, before = dip.at_s + dip.duration_s, i


def _check_pairs(events: Sequence[tuple[int, ev.Event]], noun: str) -> Iterator[Found]:
    """Losses and returns of one thing must take turns."""
    lost, until_s = False, -1.0
    for i, event in events:
        if lost and event.at_s >= until_s >= 0:
            lost, until_s = False, -1.0
        path = ("events", i, "at_s")
        is_loss = isinstance(event, ev.SourceLost | ev.UpsOutOfService)
        if is_loss and lost:
            until = f"until {until_s:.12g} s" if until_s >= 0 else "and nothing has brought it back"
            yield path, f"the {noun} is out already, {until}", event.at_s
        elif not is_loss and not lost:
            yield path, f"the {noun} is not out at this time", event.at_s
        elif not is_loss and until_s >= 0:
            yield path, f"the {noun} returns by itself at {until_s:.12g} s; leave out that duration_s", event.at_s
        lost = is_loss
        lasts_s = getattr(event, "duration_s", None)
        until_s = event.at_s + lasts_s if lasts_s is not None else -1.0
