"""Write docs/validation.md: every feeder, held to OpenDSS or pandapower. Takes minutes.

    python tests/validation/feeder_opendss/make_table.py [--cases ieee123 ...] [--rows FILE] [--out FILE]

`--rows` keeps one line of JSON a feeder; feeders that stand there already are not computed again. `--judge-only`
leaves cosim out and prints what the judge finds.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cosim_subject import Subject
from dss_cases import CASES, Case, write_case
from dss_reference import OpenDss
from holding import POWER_FACTORS, SIZES, Held, Judge, difference_pu, hold_place
from pandapower_reference import Pandapower
from place import Place
from placement import ten_places
from published import spread_pu
from table_text import page

ROOT = Path(__file__).resolve().parents[3]
FEEDERS = ROOT.parent / "shared" / "data" / "feeders"
PANDAPOWER = (
    "case33bw",
    "cigre_mv",
    "cigre_lv",
    "mv_oberrhein",
    "kerber_dorfnetz",
    "kerber_vorstadtnetz_kabel_1",
    "lv_schutterwald",
    "simple_mv_open_ring_net",
    "1-MV-rural--0-sw",
    "1-LV-urban6--0-sw",
)
"""Balanced feeders by the name cosim knows them by."""
QUICK_SIZES = (0.4, 0.95)

Row = dict[str, Any]


def shipped_masters() -> list[Case]:
    """OpenDSS masters of the feeders that ship, as they stand."""
    found = []
    for folder in sorted((ROOT / "feeders").glob("*/")):
        masters = sorted(folder.glob("*aster*.dss")) or sorted(folder.glob("*.dss"))
        if masters:
            found.append(Case(f"{folder.name} (shipped)", "file", "", str(masters[0])))
    return found


def hold_all(judge: Judge, subject: Subject | None, places: list[Place], sizes: tuple[float, ...]) -> list[Held]:
    """Every place at every power factor."""
    found = []
    for place in places:
        if isinstance(judge, OpenDss):
            judge.add_port(place)
            judge.add_datacenter(place)
        for power_factor in POWER_FACTORS:
            found.append(hold_place(judge, subject, place, power_factor, sizes))
            print(f"  {found[-1]}", file=sys.stderr)
    return found


def row_of(judge: Judge, subject: Subject | None, places: list[Place], sizes: tuple[float, ...]) -> Row:
    """What holds for any judge: as it stands, and with a data center."""
    row: Row = {"n_node": len(judge.nodes)}
    if subject is not None:
        found = subject.v_pu()
        if found is None:
            return row | {"as_is": None, "failed": "cosim finds no solution of the feeder as it stands"}
        row["as_is"], row["as_is_at"] = difference_pu(judge, found)
    row["held"] = [held.as_row() for held in hold_all(judge, subject, places, sizes)]
    return row | {"tolerance": judge.loosest}


def opendss_row(case: Case, judge_only: bool, sizes: tuple[float, ...]) -> Row:
    """One OpenDSS feeder in one state."""
    with tempfile.TemporaryDirectory(prefix="validation_") as folder:
        master = write_case(case, FEEDERS / "dss", Path(folder)) if case.archive else Path(case.master)
        judge = OpenDss(master)
        subject = None if judge_only else Subject.of_master(master)
        repeats, where = judge.repeatability_pu()
        row: Row = {"repeats": repeats, "repeats_at": where}
        if case.published:
            found = dict(zip(judge.nodes, judge.v_pu().tolist(), strict=True)) if subject is None else subject.v_pu()
            if found is not None:
                row["spread"], row["spread_at"], row["n_published"] = spread_pu(case, FEEDERS / "published", found)
                row["spread_allowed"] = case.published_spread_pu
        return row | row_of(judge, subject, ten_places(judge), sizes)


def pandapower_row(name: str, judge_only: bool, sizes: tuple[float, ...]) -> Row:
    """One balanced feeder."""
    from cosim.feeder.names import make_net

    net = make_net(name)
    subject = Subject.of_net(net)
    judge = Pandapower(net, subject.feeder.node_names)
    return row_of(judge, None if judge_only else subject, judge.ten_places(), sizes)


def sizes_of(options: argparse.Namespace) -> tuple[float, ...]:
    """Parts of the nose."""
    return QUICK_SIZES if options.quick else SIZES


def rows(options: argparse.Namespace) -> Iterator[Row]:
    """One row a feeder, from the file of rows where it is there."""
    stored: dict[str, Row] = {}
    path = Path(options.rows) if options.rows else None
    if path and path.is_file():
        stored = {row["id"]: row for row in map(json.loads, path.read_text().splitlines())}
    works: list[tuple[str, str, str, Any]] = [(c.id, c.name, c.state, c) for c in (*CASES, *shipped_masters())]
    works += [(f"{name}-pandapower", name, "pandapower", name) for name in PANDAPOWER]
    for key, name, state, what in works:
        if not any(part in key for part in options.cases):
            continue
        if key not in stored:
            print(key, file=sys.stderr)
            started = time.perf_counter()
            make = opendss_row if isinstance(what, Case) else pandapower_row
            try:
                row = make(what, options.judge_only, sizes_of(options))
            except Exception as wrong:  # the table names what fails, and goes on
                row = {"failed": f"{type(wrong).__name__}: {wrong}"}
            row = {"id": key, "name": name, "state": state, "took_s": time.perf_counter() - started} | row
            if path:
                with path.open("a") as file:
                    file.write(json.dumps(row) + "\n")
            stored[key] = row
        yield stored[key]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", default=[""], help="parts of the feeders' names")
    parser.add_argument("--rows", help="file that keeps what was computed")
    parser.add_argument("--out", default=str(ROOT / "docs" / "validation.md"))
    parser.add_argument("--quick", action="store_true", help="two sizes instead of five")
    parser.add_argument("--judge-only", action="store_true", help="leave cosim out; print, do not write")
    options = parser.parse_args()
    text = page(list(rows(options)), dataclasses.asdict(Limits()), len(sizes_of(options)))
    if options.judge_only:
        print(text)
    else:
        Path(options.out).write_text(text)


@dataclasses.dataclass(frozen=True)
class Limits:
    """What is promised."""

    dv_pu: float = 1e-6
    nose: float = 1e-3


if __name__ == "__main__":
    main()
