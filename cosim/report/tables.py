"""Tables of a report as HTML; every name and value from a log is escaped here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from cosim.metrics.voltage import RANGE_A_MAX_PU, RANGE_A_MIN_PU, SAG_PU, noun
from cosim.report.words import measure, split_unit

MAX_BUS = 500
"""Buses that a table lists; the lowest voltages come first."""
_SKIP = {"events", "bus", "limits", "scenario_name", "seed", "cosim_version", "status"}


def cell(value: Any, bad: bool = False, unit: str = "") -> str:
    """A table cell; numbers stand to the right, to the digits of their unit, and sort by their full value."""
    if value is None:
        return '<td class="n" data-v=""></td>'
    if isinstance(value, int | float):
        shade = " bad" if bad else ""
        return f'<td class="n{shade}" data-v="{value!r}">{escape(measure(value, unit))}</td>'
    return f"<td>{escape(str(value))}</td>"


def flat(tree: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Leaves of a summary with their paths; lists of named dicts go by their names."""
    for key, value in tree.items():
        if key in _SKIP:
            continue
        if isinstance(value, Mapping):
            yield from flat(value, (*path, key))
        elif isinstance(value, list):
            named = {str(item["name"]): item for item in value if isinstance(item, Mapping) and "name" in item}
            for name, item in named.items():
                yield from flat({k: v for k, v in item.items() if k != "name"}, (*path, key, name))
        else:
            yield (*path, key), value


def metrics_table(labels: list[str], summaries: list[dict[str, Any]]) -> str:
    """All metrics, one column per run; with two runs or more also the differences from the first."""
    leaves = [dict(flat(summary)) for summary in summaries]
    paths = list(dict.fromkeys(path for found in leaves for path in found))
    heads = [f'<th class="n">{escape(label)}</th>' for label in labels]
    heads += [f'<th class="n">{escape(label)} - {escape(labels[0])}</th>' for label in labels[1:]]
    rows: list[str] = []
    group: tuple[str, ...] = ()
    for path in paths:
        if path[:-1] != group:
            group = path[:-1]
            title = escape(" / ".join(part.replace("_", " ") if i != 1 else part for i, part in enumerate(group)))
            rows.append(f'<tr class="group"><th colspan="{len(heads) + 2}">{title}</th></tr>')
        name, unit = split_unit(path[-1])
        values = [found.get(path) for found in leaves]
        cells = "".join(_right(value) for value in values)
        cells += "".join(cell(_difference(values[0], value)) for value in values[1:])
        rows.append(f"<tr><td>{escape(name)}</td><td>{escape(unit)}</td>{cells}</tr>")
    return _table(["<th>metric</th>", "<th>unit</th>", *heads], rows, "narrow", "tall")


def _right(value: Any) -> str:
    return f'<td class="n">{escape(value)}</td>' if isinstance(value, str) else cell(value)


def _difference(first: Any, other: Any) -> float | None:
    if isinstance(first, int | float) and isinstance(other, int | float):
        return other - first
    return None


def bus_table(labels: list[str], summaries: list[dict[str, Any]]) -> str:
    """Sags, interruptions and time outside range A of each bus, lowest voltage first."""
    records = [summary.get("voltage", {}).get("bus", {}) for summary in summaries]
    buses = list(dict.fromkeys(bus for record in records for bus in record))
    if not buses:
        return ""
    buses.sort(key=lambda bus: min(record.get(bus, {}).get("vm_min_pu", 9.0) for record in records))
    columns = _BUS_COLUMNS if len(labels) == 1 else [one for one in _BUS_COLUMNS if one[1] in _BUS_OVERLAID]
    heads = ["bus"]
    for label in labels:
        tag = f"{label}: " if len(labels) > 1 else ""
        heads += [f"{tag}{name}" for name, _ in columns]
    header = [f'<th data-sort="{i}"{"" if i == 0 else " class=n"}>{escape(head)}</th>' for i, head in enumerate(heads)]
    rows = []
    for bus in buses[:MAX_BUS]:
        cells = cell(bus)
        for record in records:
            cells += "".join(
                cell(value, _is_bad(key, value), unit=split_unit(key)[1])
                for key, value in ((key, record.get(bus, {}).get(key)) for _, key in columns)
            )
        rows.append(f"<tr>{cells}</tr>")
    note = ""
    if len(buses) > MAX_BUS:
        note = f'<p class="note">The {MAX_BUS} {noun(buses)} with the lowest voltage of {len(buses)}.</p>'
    return _table(header, rows, "sortable") + note


_BUS_COLUMNS = (
    ("lowest [pu]", "vm_min_pu"),
    ("at t [s]", "t_min_s"),
    ("highest [pu]", "vm_max_pu"),
    (f"below {RANGE_A_MIN_PU} pu [s]", "below_range_a_s"),
    ("longest [s]", "below_range_a_longest_s"),
    (f"above {RANGE_A_MAX_PU} pu [s]", "above_range_a_s"),
    ("sags", "n_sag"),
    ("in sags [s]", "sag_s"),
    ("longest sag [s]", "sag_longest_s"),
    ("swells", "n_swell"),
    ("interruptions", "n_interruption"),
    ("interrupted [s]", "interruption_s"),
    ("change in 1 s [pu]", "undisturbed_swing_1s_pu"),
)

_BUS_OVERLAID = {"vm_min_pu", "below_range_a_s", "n_sag", "sag_s", "n_interruption", "undisturbed_swing_1s_pu"}


def _is_bad(key: str, value: float | None) -> bool:
    if value is None:
        return False
    if key == "vm_min_pu":
        return value < RANGE_A_MIN_PU
    if key == "vm_max_pu":
        return value > RANGE_A_MAX_PU
    return key in ("n_sag", "n_swell", "n_interruption") and value > 0


def provenance_table(labels: list[str], about: list[Mapping[str, Any]]) -> str:
    """Attributes of the logs, one column per run."""
    keys = list(dict.fromkeys(key for one in about for key in one))
    rows = [f"<tr><td>{escape(key)}</td>{''.join(cell(_text(one.get(key))) for one in about)}</tr>" for key in keys]
    return _table(["<th></th>", *(f"<th>{escape(label)}</th>" for label in labels)], rows, "narrow")


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def events_table(kinds: list[str], with_run: bool) -> str:
    """Frame of the event table; the page's script fills it."""
    options = "".join(f'<option value="{escape(k)}">{escape(k.replace("_", " "))}</option>' for k in kinds)
    heads = ["<th>run</th>"] if with_run else []
    for column, (name, css) in enumerate(
        (("t [s]", "n"), ("event", ""), ("element", ""), ("value", "n"), ("detail", "")), start=1
    ):
        heads.append(f'<th data-col="{column}" data-sort="{column}" class="{css}">{name}</th>')
    return (
        '<div class="bar"><label>Kind <select id="kind"><option value="">all</option>'
        f'{options}</select></label><span id="events-note"></span></div>'
        f'<div class="scroll"><table id="events"><thead><tr>{"".join(heads)}</tr></thead>'
        '<tbody id="events-body"></tbody></table></div>'
    )


def sag_note() -> str:
    """What the columns of the bus table mean."""
    return (
        f"Voltages are the extremes within each log interval, so an event shorter than the log step shows. "
        "Durations count whole log intervals, too long by less than two log steps; those of sags count full steps "
        "where the run has ended, those of interruptions half cycles where the node is followed at every step. "
        f"A sag lies below {SAG_PU} pu and above 0.1 pu, an interruption "
        f"below 0.1 pu (IEEE 1159); readings of an interruption do not count as lowest voltage. "
        f"{RANGE_A_MIN_PU} and {RANGE_A_MAX_PU} pu are the service limits of range A (ANSI C84.1)."
    )


def _table(heads: list[str], rows: list[str], css: str, box: str = "") -> str:
    return (
        f'<div class="scroll {box}"><table class="{css}"><thead><tr>{"".join(heads)}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )
