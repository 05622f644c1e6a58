"""Write docs/fidelity.md: `python tests/validation/fidelity/make_table.py [SHARED] [NAME...]`.

SHARED is the folder of the measured data, default `../shared` beside the checkout.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from bursty import KINDS, bursty
from measured import TRACES, write_csv

from cosim.fit.document import fit_yaml
from cosim.fit.fitting import JUDGE_SEEDS, Fit, fit_trace, structured
from cosim.fit.reading import load_trace
from cosim.fit.refine import signature_of
from cosim.fit.show import found_lines
from cosim.fit.statistics import Row, compare, signature
from cosim.fit.visits import or_visits

ROOT = Path(__file__).resolve().parents[3]
HEAD = Path(__file__).with_name("head.md")
BURSTS = """Synthetic traces of an hour (the agent's: six minutes), by models other than cosim's own (`bursty.py`):
queues, renewal and branching processes, maps. Fitted to the first half, judged on the second, by the same targets;
draws are as long as a half. "First half itself": that half as recorded in place of a simulation, about the best to be
expected of a model that has seen nothing else."""


def table(rows: list[Row], itself: list[Row] | None = None) -> str:
    """Rows of a fit; where they are those of a second half, what the first half itself is off by beside them."""
    head = ["", "trace", "simulation", "difference", "target", ""]
    if itself is not None:
        head.insert(4, "first half itself")
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    own = {row.name: f"{row.difference:+.2f} {row.unit}" for row in itself or []}
    for r in rows:
        cells = [r.name, f"{r.trace:.4g}", f"{r.simulation:.4g}", f"{r.difference:+.2f} {r.unit}"]
        cells += [own.get(r.name, "")] if itself is not None else []
        cells += [f"{r.target:.3g} {r.unit}", "holds" if r.holds else "**not met**"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def repeated(fit: Fit) -> list[Row]:
    """The second half against the first, both as recorded: what a recording played again would be off by."""
    trace, dt_s = fit.trace.p_mw, fit.trace.dt_s
    first, last = (round(t_s / dt_s) for t_s in fit.held_out_s)
    n = min(last - first, first)
    halves = [signature(x, dt_s) for x in (trace[first : first + n], trace[first - n : first])]
    return compare(halves[0], halves[1], dt_s, n)


def count(rows: list[Row]) -> str:
    missed = [f"{r.name} {r.difference:+.1f} {r.unit}" for r in rows if not r.holds]
    return f"{sum(r.holds for r in rows)} of {len(rows)}" + (": not " + ", ".join(missed) if missed else "")


def section(title: str, source: str, fit: Fit) -> str:
    parts = [f"## {title}", f"{source}. The scenario takes {len(fit_yaml(fit).encode()):,} bytes."]
    parts.append("\n".join(f"- {line}" for line in found_lines(fit)))
    parts += ["Model of the whole trace against the whole trace:", table(fit.rows)]
    if fit.held_out:
        first_s, last_s = fit.held_out_s
        parts += [
            f"Model of the first {first_s:g} s against the trace from {first_s:g} to {last_s:g} s:",
            table(fit.held_out, repeated(fit)),
        ]
    return "\n\n".join(parts)


def bursts() -> str:
    """Traces that idle and burst, each fitted to its first half: rows that hold on the second, of three kinds."""
    lines = [
        "| trace | levels and Gaussian noise | the model that is taken | first half itself | of |",
        "|---|---|---|---|---|",
    ]
    total = [0, 0, 0, 0]
    for name, (make, _) in KINDS.items():
        trace = bursty(name)
        n, dt_s = len(trace.p_mw) // 2, trace.dt_s
        half = trace.part(0, n)
        wanted = signature(trace.p_mw[n:], dt_s)
        plain = structured(half)
        taken = or_visits(plain, half)
        found = [signature_of(one, 0, n, JUDGE_SEEDS, with_period=True) for one in (plain, taken)]
        tables = [compare(wanted, one, dt_s, n) for one in (*found, signature(half.p_mw, dt_s))]
        counts = [sum(row.holds for row in rows) for rows in tables]
        what = (make.__doc__ or "").split("\n")[0].rstrip(".").replace("|", "/")
        lines.append(f"| {what} | {counts[0]} | {counts[1]} ({taken.kind}) | {counts[2]} | {len(tables[0])} |")
        total = [a + b for a, b in zip(total, [*counts, len(tables[0])], strict=True)]
        print(lines[-1], flush=True)
    lines.append(f"| all | {total[0]} | {total[1]} | {total[2]} | {total[3]} |")
    return "\n".join(["## Nodes that idle and burst", "", BURSTS, "", *lines])


def main() -> None:
    shared = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT.parent / "shared"
    names = sys.argv[2:] or list(TRACES)
    sections: list[str] = []
    summary = ["| trace | fitted to all of it | fitted to the first half, judged on the second |"]
    summary.append("|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            title, _, source = TRACES[name]
            fit = fit_trace(load_trace(write_csv(name, shared, Path(folder))))
            sections.append(section(title, source, fit))
            judged = count(fit.held_out) if fit.held_out else "does not repeat"
            summary.append(f"| {title} | {count(fit.rows)} | {judged} |")
            print(summary[-1], flush=True)
            write(summary, sections)
    if len(names) == len(TRACES):
        sections.append(bursts())
        write(summary, sections)


def write(summary: list[str], sections: list[str]) -> None:
    """The page as far as it goes: a whole one after each trace."""
    text = "\n\n".join([HEAD.read_text(encoding="utf-8").strip(), "\n".join(summary), *sections]) + "\n"
    (ROOT / "docs" / "fidelity.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
