"""Sentences about data centers and their UPS; what is alike is said once for several of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cosim.metrics.analysis import Analysis, DataCenter
from cosim.metrics.log import Log
from cosim.metrics.starts import Start, starts_of
from cosim.metrics.storage import Storage
from cosim.report.words import Finding, at_time, number, times

MINUTE_S = 60.0
"""Window of the swings that findings tell of. [s]"""
N_RANGE = 4
"""From so many sites on, sentences that differ in their numbers only become one with ranges."""


@dataclass(frozen=True)
class Value:
    """A number of a sentence, as text and to compare."""

    value: float
    text: str

    @classmethod
    def of(cls, value: float, digits: int = 3) -> Value:
        """To so many significant digits."""
        return cls(value, number(value, digits))


@dataclass(frozen=True)
class Sentence:
    """A sentence about one site: `{who}` stands for its name, `{0}`, `{1}`, ... for its numbers."""

    form: str
    values: tuple[Value, ...] = ()
    t_s: float | None = None
    """When it happened, where it has a time. [s]"""


def gathered(sentences: Mapping[str, Sequence[Sentence]], noun: str) -> list[Finding]:
    """Sentences of several sites, each said once for all sites of which it holds.

    Those that read the same for two sites or more are one; those that differ in their numbers only are one with the
    range of each number, from four sites on.

    Parameters
    ----------
    sentences : mapping
        Sentences by site.
    noun : str
        What all sites are called, in the plural.
    """
    found = []
    for name, mine in sentences.items():
        for one in mine:
            group = {site: s for site, every in sentences.items() for s in every if s.form == one.form}
            if len(group) < N_RANGE:
                group = {site: s for site, s in group.items() if _texts(s) == _texts(one)}
            if next(iter(group)) == name:
                found.append(_finding(group, noun, len(sentences)))
    return found


def _texts(one: Sentence) -> tuple[str, ...]:
    return tuple(value.text for value in one.values)


def _finding(group: Mapping[str, Sentence], noun: str, n_site: int) -> Finding:
    """One sentence of all sites of a group."""
    names, sentences = list(group), list(group.values())
    who = names[0]
    if len(names) > 1:
        who = f"each of {', '.join(names)}" if len(names) < n_site else f"each of the {n_site} {noun}"
    ranges = []
    for values in zip(*(one.values for one in sentences), strict=True):
        low, high = (pick(values, key=lambda v: v.value).text for pick in (min, max))
        ranges.append(low if low == high else f"{low} to {high}")
    text = sentences[0].form.replace("{who}", who)
    for k, told in enumerate(ranges):
        text = text.replace(f"{{{k}}}", told)
    return Finding(f"{text[0].upper()}{text[1:]}" if len(names) > 1 else text, sentences[0].t_s)


def site_findings(found: Analysis) -> list[Finding]:
    """What each data center draws and how fast that changes."""
    each = {name: _site(part, name in found.ups) for name, part in found.datacenter.items()}
    return gathered(each, "data centers")


class _Form:
    """A sentence in the making."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.values: list[Value] = []

    def add(self, text: str, *values: float) -> None:
        """Goes on; `{}` stands for each of the values."""
        for value in values:
            text = text.replace("{}", f"{{{len(self.values)}}}", 1)
            self.values.append(Value.of(value))
        self.text += text

    def sentence(self, ending: str, t_s: float | None = None) -> Sentence:
        """All of it."""
        return Sentence(self.text + ending, tuple(self.values), t_s)


def _site(part: DataCenter, with_ups: bool) -> list[Sentence]:
    need, grid = part.power.get("need", part.power.get("total")), part.power.get("grid")
    if need is None:
        return []
    told = _Form("{who}")
    told.add(" needs {} MW on average and {} MW at its peak", need.mean_mw, need.peak_mw)
    swing = part.swing.get("need") or part.swing.get("grid")
    calm_mw = float(swing.undisturbed[MINUTE_S][0]) if swing is not None and MINUTE_S in swing.within else None
    if calm_mw is not None and math.isnan(calm_mw):
        told.add("; no minute is free of disturbances of its supply")
    elif calm_mw is not None:
        told.add(", and swings by {} MW within a minute", calm_mw)
        if with_ups and "grid" in part.swing and grid is not None:
            seen_mw = float(part.swing["grid"].undisturbed[MINUTE_S][0])
            if number(seen_mw, 3) != number(calm_mw, 3):
                told.add("; behind its UPS the feeder sees {} MW", seen_mw)
    if grid is not None and grid.export_peak_mw > 0.0:
        told.add("; it gives up to {} MW to the feeder", grid.export_peak_mw)
    total = part.power.get("total")
    if total is not None and part.e_external_mwh > 0.0:
        told.add("; its own generation gives {} of {} MWh", part.e_external_mwh, total.e_mwh)
    if part.e_unserved_mwh > 0.0:
        told.add("; {} MWh are not served", part.e_unserved_mwh)
    return [told.sentence(".", need.peak_t_s), *_fastest(part, with_ups)]


def _fastest(part: DataCenter, with_ups: bool) -> list[Sentence]:
    """Fastest change, and what the UPS makes of it where that is something else."""
    ramps = part.ramp.get("need") or part.ramp.get("grid")
    window_s = 1.0 if not ramps or 1.0 in ramps else min(ramps)  # at rows further apart, one of them
    if not ramps or not math.isfinite(ramps[window_s].undisturbed_max_ramp_mw_per_s):
        return []
    own = ramps[window_s]
    rates = [own.undisturbed_max_ramp_mw_per_s, own.undisturbed_max_decline_mw_per_s]
    told = _Form(f"Fastest change of {{who}} over {window_s:g} s: ")
    told.add("+{} and -{} MW/s", *rates)
    if with_ups and "grid" in part.ramp:
        seen = part.ramp["grid"][window_s]
        behind = [seen.undisturbed_max_ramp_mw_per_s, seen.undisturbed_max_decline_mw_per_s]
        if [number(rate, 3) for rate in behind] != [number(rate, 3) for rate in rates]:
            told.add("; with UPS +{} and -{} MW/s", *behind)
    return [told.sentence(" (outages and dips aside).", own.max_ramp_t_s)]


def start_findings(log: Log, found: Analysis) -> list[Finding]:
    """What became of starts that were announced or held."""
    said = []
    for name in found.datacenter:
        for one in starts_of(log, name):
            if one.announced_mw is None and one.late_s == 0.0:
                continue
            text = f"Start of {name}/{one.job}, "
            if one.announced_mw is not None:
                text += f"announced {number(one.notice_s)} s ahead with {number(one.announced_mw, 3)} MW, "
            text += f"came at {at_time(one.t_s)} with {number(one.rise_mw, 3)} MW, up to "
            text += f"{number(one.ramp_mw_per_min, 3)} MW within a minute"
            text += f"; {_late(log, name, one)}" if one.late_s > 0.0 else ""
            said.append(Finding(f"{text}.", one.t_s))
    return said


def _late(log: Log, name: str, start: Start) -> str:
    """Why a start came late: the utility held it, or the site had no power for it."""
    ended_s = log.events.loc[(log.events["kind"] == "start_hold_ended") & (log.events["element"] == name), "t_s"]
    if ended_s.between(start.t_s - start.late_s, start.t_s, inclusive="right").any():
        return f"the utility held it for {number(start.late_s)} s"
    return f"{number(start.late_s)} s late, since the site had no power"


def storage_findings(found: Analysis) -> list[Finding]:
    """How far each UPS was used."""
    return gathered({name: [_storage(storage)] for name, storage in found.ups.items()}, "sites")


def _storage(storage: Storage) -> Sentence:
    told = _Form("UPS of {who}: lowest state of charge {0} %, highest {1} %")
    told.values += [Value(soc, f"{100 * soc:.1f}") for soc in (storage.soc_min, storage.soc_max)]
    told.add(", {} MWh in and out", storage.e_charged_mwh + storage.e_discharged_mwh)
    saturated = storage.spells.get("saturated")
    if saturated is not None and saturated.n:
        told.add(f"; could not hold its limit {times(saturated.n, saturated.total_s)} in all")
    if storage.wear is not None:
        told.add("; if all time were like this run, its cells would last {} years", storage.wear.life_years)
        if storage.second_wear is not None:
            told.add(", those of its second storage {} years", storage.second_wear.life_years)
    return told.sentence(".")
