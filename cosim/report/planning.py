"""What a plan asks of a run in words and numbers: work, carbon, cost, the point of interconnection, the optimum."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

from cosim.report.payload import Run
from cosim.report.words import count, energy, named, number

N_OVERLOAD = 8
"""Overloaded elements in their table."""
_PIECES = {"j": "J", "wh": "Wh", "kwh": "kWh"}


_WORDS = {
    "token": "token, in and out",
    "token_in": "token of prompt (prefill)",
    "token_out": "token of answer (decoding)",
}
_LATENCIES = {"ttft": "time to first token", "tpot": "time per output token", "latency": "time to last token"}
PERCENTS = (50, 90, 99)
"""Percentiles of latencies."""


class Pairs(NamedTuple):
    """A small table: what, and how much."""

    title: str
    rows: dict[str, str]


def planning_pairs(summary: Mapping[str, Any]) -> Iterator[Pairs]:
    """Tables of a run's summary; none where it tells nothing of the kind."""
    for name, part in summary.get("datacenter", {}).items():
        for job, work in part.get("work", {}).items():
            yield Pairs(f"Work of {name}/{job}", _work(work))
        for call in part.get("calls", ()):
            yield Pairs(f"Call of {name} at {number(call['start_s'], 6)} s", _call(call))
    if area := summary.get("engine", {}).get("area"):
        yield Pairs("Frequency of the area", _area(area))
    for name, one in summary.get("engine", {}).get("ups", {}).items():
        if "second_soc_max" in one:
            yield Pairs(f"Storages of the hybrid of {name}", _hybrid(one))
    accounts = summary.get("accounts", {})
    if accounts:
        yield Pairs("Carbon and cost", _accounts(accounts, summary.get("planning", {}).get("trafo_loss", {})))
    if overloads := summary.get("overloads"):
        yield Pairs(_overload_title(len(overloads)), _overloads(overloads))
    planning = summary.get("planning", {})
    for name, one in planning.get("interconnection", {}).items():
        yield Pairs(f"Point of interconnection of {name}: {named('bus', one['bus'])}", _interconnection(one))
    if planning.get("trafo_loss"):
        yield Pairs("Losses", _losses(summary, planning["trafo_loss"]))
    for name, one in planning.get("optimum", {}).items():
        yield Pairs(f"Storage of {name} against the offline optimum", _optimum(one))
    for site, jobs in summary.get("engine", {}).get("serving", {}).items():
        for job, one in jobs.items():
            yield Pairs(f"Serving, {job} of {site}", _served(one))
    if planning.get("not_told"):
        yield Pairs("Not told", {_place(key): why for key, why in planning["not_told"].items()})


def _overload_title(n: int) -> str:
    what = "one line or transformer" if n == 1 else f"{n} lines and transformers"
    return f"Above rating: {what}" + (f", the {N_OVERLOAD} longest" if n > N_OVERLOAD else "")


def _overloads(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Those that were so longest."""
    return {
        f"{named('transformer' if row['kind'] == 'trafo' else 'line', row['name'])}": f"{number(row['overload_s'])} s, "
        f"{number(row['overload_longest_s'])} s on end, up to {number(row['max_loading_percent'])} %"
        for row in rows[:N_OVERLOAD]
    }


def _call(call: Mapping[str, Any]) -> dict[str, str]:
    late_s = call.get("late_s")
    return {
        "called down to": f"{number(call['cap_mw'])} MW from {number(call['before_mw'])} MW",
        "delivered": f"{number(call['delivered_mw'])} MW",
        "late": "never under the cap" if late_s is None else f"{number(late_s)} s",
        "above the cap by up to": f"{number(call['over_mw'])} MW",
        "IT work held back": f"{number(call['e_throttled_mwh'])} MWh",
    }


def _area(area: Mapping[str, float]) -> dict[str, str]:
    rows = {way: f"{area[f'{way}_hz']:.4f} Hz at {number(area[f'{way}_t_s'], 6)} s" for way in ("lowest", "highest")}
    rows["fastest change"] = f"{number(area['max_slope_hz_per_s'])} Hz/s"
    rows["load shed"] = f"{number(area['p_shed_mw'])} MW" if area["p_shed_mw"] else ""
    return rows


def _hybrid(one: Mapping[str, float]) -> dict[str, str]:
    """What two storages did; energy that one gives the other is in neither number of both."""

    def moved(prefix: str) -> str:
        charged, discharged = (energy(one[f"{prefix}e_{way}_mwh"]) for way in ("charged", "discharged"))
        return f"charged {charged}, discharged {discharged}"

    def level(prefix: str) -> str:
        return f"state of charge {100 * one[f'{prefix}soc_min']:.1f} to {100 * one[f'{prefix}soc_max']:.1f} %"

    return {
        "both": moved(""),
        "first": level(""),
        "second": f"{level('second_')}, {moved('second_')}, the first's included",
    }


def _place(key: str) -> str:
    what, _, name = key.partition(".")
    words = {"interconnection": "point of interconnection", "optimum": "distance to the offline optimum"}[what]
    return f"{words} of {name}" if name else words


def _work(work: Mapping[str, float]) -> dict[str, str]:
    rows = {}
    for key, value in work.items():
        if key.startswith("n_"):
            kind = key.removeprefix("n_").replace("_", " ")
            rows[f"{kind.replace('query', 'querie')}s" if not kind.startswith("token") else _tokens(kind)] = count(
                value
            )
    rows["energy of the facility"] = f"{number(work['e_mwh'])} MWh"
    rows["of it prefill, decoding"] = _joined(work, ("e_prefill_mwh", "e_decode_mwh"), "MWh")
    for key, value in work.items():
        unit, per, kind = key.removeprefix("e_").partition("_per_")
        if per:
            rows[f"energy per {_WORDS.get(kind, kind)}"] = f"{number(value)} {_PIECES[unit]}"
    return {key: value for key, value in rows.items() if value}


def _served(one: Mapping[str, float]) -> dict[str, str]:
    """What became of requests, latencies of all and of those served under a cap, energy of the accelerators by part."""
    gone = {"n_turned_away": "turned away", "n_timed_out": "timed out", "n_too_long": "too long", "n_lost": "lost"}
    lost = [f", {count(one[key])} {word}" for key, word in gone.items() if one[key] > 0]
    rows = {
        "requests done": f"{count(one['n_done'])} of {count(one['n_arrived'])}{''.join(lost)}",
        "tokens of answers": f"{number(one['tokens_per_s'])} a second",
        "utilization": f"{100 * one['utilization']:.1f} %",
    }
    for suffix, where in (("", ""), ("_capped", " under a cap")):
        for kind, label in _LATENCIES.items():
            keys = tuple(f"{kind}_p{p}{suffix}_s" for p in PERCENTS)
            rows[f"{label}{where}, p{', p'.join(map(str, PERCENTS))}"] = _joined(one, keys, "s")
    rows["energy of its accelerators"] = energy(one["e_mwh"])
    for part, piece in (("prefill", "token_in"), ("decode", "token_out")):
        key = f"e_{part}_per_{piece}_j"
        per = f", {number(one[key])} J per {_WORDS[piece].partition(' (')[0]}" if key in one else ""
        rows[f"of it {part.replace('code', 'coding')}"] = f"{energy(one[f'e_{part}_mwh'])}{per}"
    share = f", {100 * one['idle_share']:.1f} %" if "idle_share" in one else ""
    rows["of it idling"] = f"{energy(one['e_idle_mwh'])}{share}"
    if "e_per_token_j" in one:
        rows["all of it per token of answer, request"] = (
            f"{number(one['e_per_token_j'])}, {number(one['e_per_request_j'])} J"
        )
    return rows


def _tokens(kind: str) -> str:
    return kind.replace("token", "tokens", 1)


def _joined(numbers: Mapping[str, float], keys: tuple[str, ...], unit: str) -> str:
    """Several numbers in one cell; empty where one is not there."""
    if not all(key in numbers for key in keys):
        return ""
    return f"{', '.join(number(numbers[key]) for key in keys)} {unit}"


def _accounts(accounts: Mapping[str, Any], trafos: Mapping[str, float]) -> dict[str, str]:
    rows = {}
    for name, one in accounts.get("carbon", {}).items():
        rows[f"CO2 of {name}"] = f"{number(one['carbon_kg'])} kg at {number(one['carbon_g_per_kwh'])} g/kWh"
    currency = accounts.get("currency", "")
    costs = {f"energy of {name}": one for name, one in accounts.get("cost", {}).items()}
    costs |= {"losses of the feeder": accounts["loss"]} if "loss" in accounts else {}
    for what, one in costs.items():
        rows[what] = f"{number(one['cost'])} {currency} at {number(one['price_per_mwh'])} {currency}/MWh"
    if "load_cost" in trafos:
        both = f"{number(trafos['no_load_cost'])} and {number(trafos['load_cost'])} {currency}"
        rows["of it transformers, idle and by load"] = both
    return rows


def _losses(summary: Mapping[str, Any], trafos: Mapping[str, float]) -> dict[str, str]:
    return {
        "feeder": f"{number(summary['feeder']['e_loss_mwh'])} MWh" if "feeder" in summary else "",
        "of it transformers, idle and by load": f"{energy(trafos['no_load_mwh'])}, {energy(trafos['load_mwh'])}",
    }


def _interconnection(one: Mapping[str, Any]) -> dict[str, str]:
    if "s_sc_mva" in one:
        strength = f"{number(one['s_sc_mva'])} MVA"
        strength += f", X/R {number(one['x_over_r'])}" if "x_over_r" in one else ""
    else:
        strength = "no bound: the source is ideal (source.s_sc_mva)"
    rise = f"{one['vm_pu']:.4f} to {one['rejection_vm_pu']:.4f} pu, {100.0 * one['rejection_rise_pu']:+.2f} %"
    return {
        "short-circuit power": strength,
        "voltage per power": f"{100.0 * one['dv_per_mw_pu']:+.3g} % per MW, "
        f"{100.0 * one['dv_per_mvar_pu']:+.3g} % per Mvar",
        f"when {number(one['p_mw'], 3)} MW are lost": rise,
        "highest node then": f"{one['rejection_max_pu']:.4f} pu at {one['rejection_node']}",
    }


def _optimum(one: Mapping[str, Any]) -> dict[str, str]:
    rows = {}
    for key, what, unit, factor in (("e", "energy", "kWh", 1e3), ("p", "power", "MW", 1.0)):
        used, least = factor * one[f"{key}_{unit_of(key)}"], factor * one[f"least_{key}_{unit_of(key)}"]
        times = f", {number(one[f'{key}_over_least'], 3)} times" if f"{key}_over_least" in one else ""
        rows[f"{what} used, least"] = f"{number(used)} and {number(least)} {unit}{times}"
    rows["controller"] = str(one["controller"])
    rows["solved at steps of"] = f"{number(one['step_s'])} s"
    return rows


def unit_of(key: str) -> str:
    """Unit in which a summary has the energy or power of a storage."""
    return {"e": "mwh", "p": "mw"}[key]


def planning_section(runs: list[Run]) -> str:
    """The same as a section of a page; empty where no run tells anything of the kind."""
    blocks = []
    for run in runs:
        for title, rows in planning_pairs(run.summary):
            head = f"{run.label}: {title}" if len(runs) > 1 else title
            cells = "".join(
                f"<tr><td>{escape(what)}</td><td>{escape(value)}</td></tr>" for what, value in rows.items() if value
            )
            blocks.append(
                f'<table class="narrow pairs"><caption>{escape(head)}</caption><tbody>{cells}</tbody></table>'
            )
    if not blocks:
        return ""
    return (
        f'<h2>Planning</h2><div class="cards">{"".join(blocks)}</div>'
        '<p class="note">Energy of the facility less what its UPS stored, shared among jobs as their energy above idle '
        "is. Short circuit without loads and machines; load rejection before any control moves. Losses of "
        "transformers by their loading at nominal voltage. The optimum knows the whole load beforehand and loses "
        "nothing.</p>"
    )
