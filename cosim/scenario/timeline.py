"""Events in the order in which they happen: after the end, overlapping, or returning what was never lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from cosim.scenario import events as ev
from cosim.scenario.schema import TimeConfig
from cosim.scenario.tree import Path
from cosim.units import US_PER_S, to_us

PRIORITY = {
    "dip_ended": 0,
    "fault_cleared": 0,
    "fault_extinct": 0,
    "fault_look": 0,
    "source_returned": 0,
    "switch_closed": 0,
    "ups_in_service": 0,
    "ups_unlocked": 0,
    "demand_response_ended": 0,
    "start_hold_ended": 0,
    "load_shapes": 0,
    "protection": 0,
    "controller": 2,
}
"""At one time, what ends (an interval of a load shape, too) comes first, then what starts (1), then controllers look.
The engine's queue follows it."""

Found = tuple[Path, str, object]
"""Where, what is wrong, and the value that is."""


def priority(kind: str) -> int:
    """Rank of a kind among what is due at one time, the lowest first."""
    return PRIORITY.get(kind, 1)


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
    ordered = sorted(events, key=lambda pair: (to_us(pair[1].at_s), priority(pair[1].kind)))
    yield from _check_dips([(i, e) for i, e in ordered if isinstance(e, ev.DipStarted)])
    yield from _check_pairs([(i, e) for i, e in ordered if isinstance(e, ev.SourceLost | ev.SourceReturned)], "source")
    yield from _check_calls(ordered, ev.DemandResponseStarted, "call")
    yield from _check_calls(ordered, ev.StartHoldStarted, "hold on starts")
    yield from _check_open_lines(ordered)
    yield from _check_faults([(i, e) for i, e in ordered if isinstance(e, ev.FaultApplied | ev.FaultCleared)])
    sites = {e.datacenter for _, e in ordered if isinstance(e, ev.UpsOutOfService | ev.UpsInService)}
    for site in sorted(sites):
        service = [
            (i, e) for i, e in ordered if isinstance(e, ev.UpsOutOfService | ev.UpsInService) and e.datacenter == site
        ]
        yield from _check_pairs(service, f"UPS of {site}")


def _check_calls(
    events: Sequence[tuple[int, ev.Event]], kind: type[ev.DemandResponseStarted | ev.StartHoldStarted], noun: str
) -> Iterator[Found]:
    """Calls for demand response, or holds on starts, of one site must not overlap."""
    until: dict[str, int] = {}
    for i, event in events:
        if isinstance(event, kind):
            if to_us(event.at_s) < until.get(event.datacenter, 0):
                message = f"begins while another {noun} of {event.datacenter} lasts"
                yield ("events", i, "at_s"), message, event.at_s
            until[event.datacenter] = to_us(event.at_s) + to_us(event.duration_s)


def allowed_s(start: ev.JobStarted, events: Iterable[ev.Event]) -> float:
    """When a job starts that may have to wait for holds on starts of its site. [s]"""
    at_s = start.at_s
    holds = [e for e in events if isinstance(e, ev.StartHoldStarted) and e.datacenter == start.datacenter]
    for hold in sorted(holds, key=lambda e: e.at_s):
        if to_us(hold.at_s) <= to_us(at_s) < to_us(hold.at_s) + to_us(hold.duration_s):
            at_s = hold.at_s + hold.duration_s
    return at_s


def _check_open_lines(ordered: Sequence[tuple[int, ev.Event]]) -> Iterator[Found]:
    """Faults along a line that an event has opened and none closes any more."""
    for at, (i, event) in enumerate(ordered):
        if not isinstance(event, ev.FaultApplied) or event.line is None:
            continue
        moved = [
            (k, j, e)
            for k, (j, e) in enumerate(ordered)
            if isinstance(e, ev.SwitchOpened | ev.SwitchClosed) and e.switch == f"line:{event.line}"
        ]
        before = [one for one in moved if one[0] < at]
        if before and isinstance(before[-1][2], ev.SwitchOpened) and before[-1] is moved[-1]:
            message = f"was opened by events.{before[-1][1]}, and nothing closes it: the fault would carry no current"
            yield ("events", i, "line"), message, event.line


def _check_end(time: TimeConfig, i: int, event: ev.Event) -> Iterator[Found]:
    if event.at_s > time.duration_s:
        message = f"is after the end of the run, time.duration_s = {time.duration_s:.12g}"
        yield ("events", i, "at_s"), message, event.at_s
        return
    lasts_s = getattr(event, "duration_s", None)
    if lasts_s is not None and to_us(event.at_s) + to_us(lasts_s) > to_us(time.duration_s):
        ends_s = event.at_s + lasts_s
        message = f"ends at {ends_s:.12g} s, after the end of the run, time.duration_s = {time.duration_s:.12g}"
        yield ("events", i, "duration_s"), message, lasts_s


def _check_dips(dips: Sequence[tuple[int, ev.DipStarted]]) -> Iterator[Found]:
    until_us, before = -1, -1
    for i, dip in dips:
        ends_us = to_us(dip.at_s) + to_us(dip.duration_s)
        if to_us(dip.at_s) < until_us:
            message = f"begins while the dip of events.{before} lasts, until {until_us / US_PER_S:.12g} s"
            yield ("events", i, "at_s"), message, dip.at_s
        if ends_us > until_us:
            until_us, before = ends_us, i


def _check_faults(events: Sequence[tuple[int, ev.FaultApplied | ev.FaultCleared]]) -> Iterator[Found]:
    """One fault at a place at a time; what ends by itself is not cleared, and what is not there neither.

    Of a fault that goes out when protection cuts it off, nobody knows before the run when that will be.
    """
    lasting: dict[str, tuple[int, int | None, bool]] = {}
    for i, event in events:
        at_us, path = to_us(event.at_s), ("events", i, "at_s")
        before, until_us, is_permanent = lasting.pop(event.place, (-1, None, False))
        ended = before < 0 or (until_us is not None and at_us >= until_us)
        if isinstance(event, ev.FaultCleared):
            if ended:
                yield path, f"there is no fault at {event.place} to clear at this time", event.at_s
            elif until_us is not None:
                told = f"the fault of events.{before} ends by itself at {until_us / US_PER_S:.12g} s"
                yield path, f"{told}; leave out that duration_s", event.at_s
            continue
        if not ended and (until_us is not None or is_permanent):
            until = f", until {until_us / US_PER_S:.12g} s" if until_us is not None else ""
            yield path, f"begins while the fault of events.{before} at {event.place} lasts{until}", event.at_s
        ends_us = None if event.duration_s is None else at_us + to_us(event.duration_s)
        lasting[event.place] = i, ends_us, event.extinction_s is None


def _check_pairs(events: Sequence[tuple[int, ev.Event]], noun: str) -> Iterator[Found]:
    """Losses and returns of one thing must take turns."""
    lost, until_us = False, -1
    for i, event in events:
        at_us = to_us(event.at_s)
        if lost and at_us >= until_us >= 0:
            lost, until_us = False, -1
        path = ("events", i, "at_s")
        is_loss = isinstance(event, ev.SourceLost | ev.UpsOutOfService)
        until_s = until_us / US_PER_S
        if is_loss and lost:
            until = f"until {until_s:.12g} s" if until_us >= 0 else "and nothing has brought it back"
            yield path, f"the {noun} is out already, {until}", event.at_s
        elif not is_loss and not lost:
            yield path, f"the {noun} is not out at this time; at one time a return comes before a loss", event.at_s
        elif not is_loss and until_us >= 0:
            yield path, f"the {noun} returns by itself at {until_s:.12g} s; leave out that duration_s", event.at_s
        lost = is_loss
        lasts_s = getattr(event, "duration_s", None)
        until_us = at_us + to_us(lasts_s) if lasts_s is not None else -1
