"""Write docs/fidelity.md: `python tests/validation/fidelity/make_table.py [SHARED] [NAME...]`.

SHARED is the folder of the measured data, default `../shared` beside the checkout.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from measured import TRACES, write_csv

from cosim.fit.document import fit_yaml
from cosim.fit.fitting import Fit, fit_trace
from cosim.fit.reading import load_trace
from cosim.fit.show import found_lines
from cosim.fit.statistics import Row

ROOT = Path(__file__).resolve().parents[3]
HEAD = Path(__file__).with_name("head.md")


def table(rows: list[Row]) -> str:
    lines = ["| | trace | simulation | difference | target | |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {r.name} | {r.trace:.4g} | {r.simulation:.4g} | {r.difference:+.2f} {r.unit} | {r.target:.3g} {r.unit} | "
        f"{'holds' if r.holds else '**not met**'} |"
        for r in rows
    ]
    return "\n".join(lines)


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
            table(fit.held_out),
        ]
    return "\n\n".join(parts)


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


def write(summary: list[str], sections: list[str]) -> None:
    """The page as far as it goes: a whole one after each trace."""
    text = "\n\n".join([HEAD.read_text(encoding="utf-8").strip(), "\n".join(summary), *sections]) + "\n"
    (ROOT / "docs" / "fidelity.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
