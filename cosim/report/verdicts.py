"""The first screen of a report: which limits are met, with what margin, when and where it was worst."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from cosim.metrics.case import Verdict
from cosim.metrics.verdict import counted
from cosim.report.payload import Run
from cosim.report.words import measure, number

ORDER = ("failed", "passed", "not_seen")
_SIGN = {"failed": "&#10007;", "passed": "&#10003;", "not_seen": "?"}
_WORD = {"failed": "failed", "passed": "passed", "not_seen": "not seen"}
VIEW_S = 5.0
"""Half width of the view that a verdict's time opens. [s]"""


def verdict_section(runs: Sequence[Run]) -> str:
    """Table of the limits, one block of columns per run; empty where nothing can be seen of any."""
    runs = [run for run in runs if "verdicts" in run.summary and run.found.verdicts]
    if not runs:
        return ""
    heads = '<th></th><th>Limit</th><th class="n">worst</th><th class="n">bound</th><th class="n">margin</th>'
    heads += "<th></th><th>where, when</th>"
    blocks = [_block(run, many=len(runs) > 1) for run in runs]
    return (
        f'<h2 class="first">Limits</h2><div class="scroll verdicts"><table><thead><tr>{heads}</tr></thead>'
        f"{''.join(blocks)}</table></div>{_about(runs[0].found.verdicts)}"
    )


def _block(run: Run, many: bool) -> str:
    n = counted(run.found.verdicts)
    counts = ", ".join(
        f'<b class="{status if n[status] else "soft"}">{n[status]} {_WORD[status]}</b>' for status in ORDER
    )
    head = f'<span class="run" style="background:{run.color}"></span>{escape(run.label)}: ' if many else ""
    rows = [f'<tr class="sum"><td colspan="7">{head}{counts}</td></tr>']
    rows += [_row(run, one) for one in sorted(run.found.verdicts, key=lambda one: ORDER.index(one.status))]
    return f"<tbody>{''.join(rows)}</tbody>"


def _row(run: Run, one: Verdict) -> str:
    tip = escape(f"{one.measured}. Source: {one.source}")
    note = f'<br><span class="soft">{escape(one.note)}</span>' if one.note else ""
    numbers = "".join(f'<td class="n">{_number(value, one.unit)}</td>' for value in (one.value, one.limit, one.margin))
    return (
        f'<tr class="{one.status}"><td class="chip" title="{_WORD[one.status]}">{_SIGN[one.status]} '
        f'{_WORD[one.status]}</td><td class="wide" title="{tip}">{escape(one.title)}{note}</td>{numbers}'
        f"<td>{escape(one.unit)}</td><td>{_when(run, one)}</td></tr>"
    )


def _number(value: float | None, unit: str) -> str:
    return "" if value is None else escape(measure(value, unit))


def _when(run: Run, one: Verdict) -> str:
    if one.t_s is None or one.value is None:
        return escape(one.where)
    half_s = max(VIEW_S, 50.0 * run.found.step_s)
    from_s, to_s = max(run.found.start_s, one.t_s - half_s), min(run.found.end_s, one.t_s + half_s)
    link = f'<a href="#t={from_s:g},{to_s:g}">{number(one.t_s, 6)} s</a>'
    return f"{escape(one.where)}, {link}" if one.where else link


def _about(verdicts: Sequence[Verdict]) -> str:
    """How each limit is measured, and where it stands."""
    rows = "".join(
        f'<tr><td>{escape(one.title)}</td><td class="wide">{escape(one.measured)}</td>'
        f'<td class="wide">{escape(one.source)}</td></tr>'
        for one in verdicts
    )
    return (
        "<details><summary>How each limit is measured, and where it stands</summary>"
        '<div class="scroll tall"><table><thead><tr><th>limit</th><th>measured</th><th>source</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div></details>"
        '<p class="note">Not seen: the log or the run does not hold what the limit asks for; the row says what would. '
        "Harmonics (IEEE 519) and what lies within a cycle are not in a model of phasors.</p>"
    )
