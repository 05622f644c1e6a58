"""Captures of a run as a report shows them: a table, and curves for a fault recorder's view."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from cosim.metrics.log import Log
from cosim.report.series import encoded, quantized
from cosim.report.words import number
from cosim.units import US_PER_S

MAX_CAPTURE = 40
"""Captures that a page draws; the table lists all."""
N_NODE = 8
"""Nodes drawn of a capture: those with the lowest voltage."""
MAX_INSTANT = 20_000
"""Instants drawn of a capture; of a longer one every second, third, ... instant."""


@dataclass(frozen=True)
class CaptureRow:
    """One capture in a table."""

    number: int
    kind: str
    element: str
    trigger_s: float
    from_s: float
    until_s: float
    n_instant: int
    n_event: int
    is_cut: bool
    vm_min_pu: float | None
    """Lowest voltage of the nodes captured; None where it holds none. [pu]"""
    node: str
    """Where."""


def capture_rows(log: Log) -> list[CaptureRow]:
    """Captures of a log, in order of time; none where it has none."""
    rows = []
    for capture in getattr(log, "captures", ()):
        t_s = capture.t_s
        low, node = None, ""
        if "vm_pu" in capture.paths():
            vm_pu = capture.read("vm_pu")
            if vm_pu.size:
                low, node = float(vm_pu.min()), capture.names()[int(vm_pu.min(axis=0).argmin())]
        first_s, last_s = (float(t_s[0]), float(t_s[-1])) if len(t_s) else (capture.trigger_s, capture.trigger_s)
        rows.append(
            CaptureRow(
                capture.number,
                capture.trigger[1],
                capture.trigger[2],
                capture.trigger_s,
                first_s,
                last_s,
                len(t_s),
                capture.n_event,
                capture.is_cut,
                low,
                node,
            )
        )
    return rows


def capture_curves(log: Log, label: str) -> list[dict[str, Any]]:
    """What the page's script draws of each capture, as plain JSON values."""
    found = []
    for capture in tuple(getattr(log, "captures", ()))[:MAX_CAPTURE]:
        since_s = (capture.t_us - capture.trigger[0]) / US_PER_S
        if not len(since_s):
            continue
        every = -(-len(since_s) // MAX_INSTANT)
        curves = []
        drawn = [path for path in capture.paths() if not path.startswith("neutral/")]
        for path in sorted(drawn, key=lambda path: (capture.unit(path) != "pu", path)):
            values = capture.read(path)
            unit = capture.unit(path)
            if values.ndim == 1:
                curves.append({"label": path.replace("datacenter/", ""), "unit": unit} | quantized(values[::every]))
                continue
            lowest = np.argsort(values.min(axis=0), kind="stable")[:N_NODE]
            names = capture.names(path)
            curves += [
                {"label": names[i], "unit": unit} | quantized(values[::every, i]) for i in sorted(lowest.tolist())
            ]
        shown = f"{capture.number}: {capture.trigger[1].replace('_', ' ')} {capture.trigger[2]}"
        found.append(
            {
                "label": f"{label}: {shown}, t = {number(capture.trigger_s, 7)} s",
                "trigger_s": capture.trigger_s,
                "t": encoded(since_s[::every].astype("<f8")),
                "curves": curves,
            }
        )
    return found


def capture_section(labels: list[str], logs: list[Log]) -> str:
    """Frame of the fault recorder's view and the table of captures; empty where no log has any."""
    rows = [(label, row) for label, log in zip(labels, logs, strict=True) for row in capture_rows(log)]
    if not rows:
        return ""
    heads = ("run", "capture", "event", "element", "t [s]", "from [s]", "to [s]", "instants", "lowest [pu]", "at", "")
    header = "".join(f"<th>{head}</th>" for head in heads)
    body = ""
    for label, row in rows:
        cells = (
            label,
            number(row.number),
            row.kind.replace("_", " "),
            row.element,
            number(row.trigger_s, 7),
            number(row.from_s, 7),
            number(row.until_s, 7),
            number(row.n_instant),
            "" if row.vm_min_pu is None else f"{row.vm_min_pu:.4f}",
            row.node,
            "cut" if row.is_cut else "",
        )
        body += "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
    return (
        '<h2>Captures</h2><div class="bar"><label>Capture <select id="capture-choice"></select></label></div>'
        '<div id="capture" class="plot"></div><p class="note">Every instant around an event; time counts from it. Of '
        f"the nodes the {N_NODE} with the lowest voltage. Drag to zoom, double-click for the whole capture.</p>"
        f'<div class="scroll"><table class="narrow"><thead><tr>{header}</tr></thead><tbody>{body}</tbody></table></div>'
    )
