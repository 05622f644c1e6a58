"""Time a moving data center on a feeder: cosim beside every tool a user could pick, on the same work.

    python benchmarks/power_flow.py [--works case33bw ieee123 ...] [--tools cosim OpenDSS ...] [--json rows.jsonl]

Every tool solves the same steps, one thread, in a process of its own; the processes take turns, so that whatever
slows the machine slows all. Slow tools do fewer steps. A figure is the median of the rounds. Answers are compared at
twelve steps with a reference solved much tighter: `runpp` at 1e-10 MVA for balanced works, OpenDSS at 1e-12 for
unbalanced ones. Quote ratios; absolute times only to plan, for machines differ and drift.

The peers come with `pip install -e ".[bench]"`; who is absent is named, and nothing is judged without the fastest
ones. All of it takes some hours on two cores, printed work by work; `--works case33bw ieee13 --dcs 1 --log all
--repeat 3` takes some three minutes.

`--five-nodes` lets the largest and the smallest feeder take turns and prints what the one costs in parts of the other;
with all works it comes last. `--profile-day` runs a day on IEEE 123 through the command line instead and prints its
time and memory.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from power_flow_tools import memory
from power_flow_tools.session import Options, Refused, Row, Session, one_thread
from power_flow_tools.tool import TOOLS
from power_flow_tools.turns import LEAST_ROUNDS, five_nodes
from power_flow_tools.verdict import ANY, FIVE_NODES, SURFACE, verdicts
from power_flow_tools.works import WORKS, make_job
from rich.console import Console
from rich.table import Table

PACKAGES = (
    "cosim-feeder",
    "numpy",
    "numba",
    "pandapower",
    "lightsim2grid",
    "power-grid-model",
    "OpenDSSDirect.py",
    "dss-python-backend",
    "openg2g",
)
MORE_THAN_ONE_CORE = 1.2
"""Time on cores over time on the wall that says a tool took more than one thread."""


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--works", nargs="+", choices=WORKS, default=list(WORKS), metavar="WORK", help=", ".join(WORKS))
    parser.add_argument("--tools", nargs="+", default=[""], metavar="PART", help="parts of: " + ", ".join(TOOLS))
    parser.add_argument("--dcs", nargs="+", type=int, choices=(1, 3), default=[1, 3], help="data centers")
    parser.add_argument("--log", nargs="+", choices=("all", "five", "terminal"), default=["all", "five", "terminal"])
    parser.add_argument("--steps", type=int, default=36_000, help="of 0.1 s; slow tools do fewer")
    parser.add_argument("--box", type=float, default=0.5, metavar="S", help="time aimed at for one run of one tool")
    parser.add_argument("--repeat", type=int, default=5, help="rounds")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu where the machine is shared")
    parser.add_argument("--json", metavar="FILE", help="one line a measurement")
    parser.add_argument("--five-nodes", action="store_true", help=f"{' and '.join(FIVE_NODES)} in turns, nothing else")
    parser.add_argument("--profile-day", action="store_true", help="24 h on IEEE 123 instead")
    given = parser.parse_args()
    if given.five_nodes:
        given.repeat, given.clock = max(given.repeat, LEAST_ROUNDS), "cpu"
    return given


def chosen_tools(parts: list[str]) -> list[str]:
    """Tools whose name holds one of the parts, cosim's always."""
    found = [name for name in TOOLS if name.startswith("cosim") or any(part.lower() in name.lower() for part in parts)]
    return sorted(found, key=lambda name: not name.startswith("cosim"))


def versions() -> str:
    """Names and versions of what is measured."""
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} absent")
    return ", ".join(found)


def add_limits(rows: list[Row]) -> memory.Bandwidth:
    """Put the share of the physical limit into cosim's rows: time to write the log over time to make it."""
    bytes_per_step = 8 * rows[0]["n_logged"]
    rates = memory.measure(min(max(512 * bytes_per_step, 65_536), 4_000_000))
    for row in rows:
        if "us_per_step" in row and row["tool"].startswith("cosim"):
            row["limit_share"] = bytes_per_step / (rates.warm * 1e9) / (row["us_per_step"] * 1e-6)
            row["warm_gb_per_s"], row["cached_gb_per_s"] = rates.warm, rates.cached
            row["first_touch_gb_per_s"] = rates.first_touch
    return rates


def table_of(rows: list[Row], rates: memory.Bandwidth) -> Table:
    """All tools on one work."""
    first = rows[0]
    title = f"{first['work']}: {first['n_node']} nodes, {first['n_dc']} dc moving, {first['n_logged']} nodes logged"
    caption = (
        f"memory takes {rates.warm:.1f} GB/s warm, {rates.cached:.1f} into one block buffer, "
        f"{rates.first_touch:.1f} at first touch"
    )
    table = Table(title=title, caption=caption, title_justify="left", caption_justify="left")
    table.add_column("tool", no_wrap=True)
    for name in ("us/step", "least..most", "x any", "x surface", "max |dV| pu", "% of limit", "steps"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("note")
    us = {row["tool"]: row.get("us_per_step") for row in rows}
    for row in rows:
        table.add_row(*cells(row, us.get(ANY), us.get(SURFACE)))
    return table


def cells(row: Row, any_us: float | None, surface_us: float | None) -> list[str]:
    """One tool's line."""
    if "us_per_step" not in row:
        why = row.get("skip") or row.get("failed", "")
        return [row["tool"], "-", "", "", "", "", "", "", f"{'skipped' if 'skip' in row else 'FAILED'}: {why}"]
    us, note = row["us_per_step"], row.get("note", row.get("failed", ""))
    if row.get("n_not_carried"):
        note += f"; {row['n_not_carried']} node not in its answer"
    if row["cores"] > MORE_THAN_ONE_CORE:
        note += f"; {row['cores']:.1f} cores"
    ratios = [f"{us / base:.1f}" if base else "" for base in (any_us, surface_us)]
    share = f"{100 * row['limit_share']:.1f}" if "limit_share" in row else ""
    spread = f"{row['us_least']:.4g}..{row['us_most']:.4g}"
    off = f"{row['max_dvm_pu']:.1e}" if "max_dvm_pu" in row else "?"
    return [row["tool"], f"{us:.4g}", spread, *ratios, off, share, str(row["steps"]), note.removeprefix("; ")]


def verdict_table(rows: list[Row]) -> Table:
    """Promises and whether they hold."""
    table = Table(title="Verdict", title_justify="left")
    for name in ("promise", "measured", "holds"):
        table.add_column(name)
    for verdict in verdicts(rows):
        table.add_row(verdict.claim, verdict.measured, {True: "yes", False: "NO", None: "-"}[verdict.holds])
    return table


def tell(text: str) -> None:
    """What is going on, on the terminal."""
    line = f"\r\033[K{text}" if sys.stderr.isatty() else f"{text}\n"
    print(line, end="", file=sys.stderr, flush=True)


def each(options: argparse.Namespace, console: Console) -> Iterator[list[Row]]:
    """Rows of all tools on one work after the other; those of the two works in turns last."""
    how = Options(options.box, options.repeat, options.clock)
    session = Session(chosen_tools(options.tools), how, tell)
    asked = [] if options.five_nodes else list(itertools.product(options.works, options.dcs, options.log))
    refused: set[tuple[str, int]] = set()
    try:
        for work, n_dc, log in asked:
            if (work, n_dc) in refused:
                continue
            try:
                yield session.measure(make_job(WORKS[work], n_dc, options.steps), log)
            except Refused as why:
                console.print(f"{work}: {why.kind}: {why}")
                refused.add((work, n_dc))
    finally:
        session.close()
    if options.five_nodes or {(work, 1, "five") for work in FIVE_NODES} <= set(asked):
        try:
            for row in five_nodes(how, options.steps, tell):
                yield [row]
        except Refused as why:
            console.print(f"five nodes: {why.kind}: {why}")


def measure(options: argparse.Namespace, console: Console) -> list[Row]:
    """All rows, printed and written as they come."""
    found: list[Row] = []
    sink: Any = open(options.json, "w", encoding="utf-8") if options.json else None  # noqa: SIM115, PTH123
    try:
        for rows in each(options, console):
            console.print(table_of(rows, add_limits(rows)))
            found += rows
            if sink:
                sink.writelines(json.dumps(row) + "\n" for row in rows)
                sink.flush()
    finally:
        if sink:
            sink.close()
    return found


def main() -> None:
    options = arguments()
    console = Console(width=None if sys.stdout.isatty() else 170)
    if options.profile_day:
        from power_flow_tools.day import profile_day

        profile_day(options.json)
        return
    one_thread()
    console.print(f"Python {sys.version.split()[0]}, {versions()}; {options.repeat} rounds, {options.clock} time")
    console.print(verdict_table(measure(options, console)))


if __name__ == "__main__":
    main()
