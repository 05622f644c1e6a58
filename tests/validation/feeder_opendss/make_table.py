"""Write docs/validation.md: every feeder, held to OpenDSS or pandapower. Takes minutes.

    python tests/validation/feeder_opendss/make_table.py [--cases ieee123 ...] [--places 3] [--rows FILE] [--out FILE]

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

import numpy as np
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
QUICK_POWER_FACTORS = (0.98,)

Row = dict[str, Any]


def shipped_masters() -> list[Case]:
    """OpenDSS masters of the feeders that ship, as they stand."""
    found = []
    for folder in sorted((ROOT / "feeders").glob("*/")):
        masters = sorted(folder.glob("*aster*.dss")) or sorted(folder.glob("*.dss"))
        if masters:
            found.append(Case(f"{folder.name} (shipped)", "file", "", str(masters[0])))
    return found


@dataclasses.dataclass(frozen=True)
class Extent:
    """How much is held."""

    sizes: tuple[float, ...] = SIZES
    power_factors: tuple[float, ...] = POWER_FACTORS
    n_places: int = 10

    def of(self, places: list[Place]) -> list[Place]:
        """The places held, spread over all."""
        if len(places) <= self.n_places:
            return places
        return [places[k] for k in np.linspace(0, len(places) - 1, self.n_places).round().astype(int)]


def hold_all(judge: Judge, subject: Subject | None, places: list[Place], extent: Extent) -> list[Held]:
    """Every place at every power factor."""
    found = []
    for place in extent.of(places):
        if isinstance(judge, OpenDss):
            judge.add_port(place)
            judge.add_datacenter(place)
        for power_factor in extent.power_factors:
            found.append(hold_place(judge, subject, place, power_factor, extent.sizes))
            print(f"  {found[-1]}", file=sys.stderr)
    return found


def row_of(judge: Judge, subject: Subject | None, places: list[Place], extent: Extent) -> Row:
    """What holds for any judge: as it stands, and with a data center."""
    row: Row = {"n_node": len(judge.nodes)}
    if subject is not None:
        found = subject.v_pu()
        if found is None:
            return row | {"as_is": None, "failed": "cosim finds no solution of the feeder as it stands"}
        row["as_is"], row["as_is_at"] = difference_pu(judge, found)
    row["held"] = [held.as_row() for held in hold_all(judge, subject, places, extent)]
    return row | {"tolerance": judge.loosest}


def opendss_row(case: Case, judge_only: bool, extent: Extent) -> Row:
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
        return row | row_of(judge, subject, ten_places(judge), extent)


def pandapower_row(name: str, judge_only: bool, extent: Extent) -> Row:
    """One balanced feeder."""
    from cosim.feeder.names import make_net

    net = make_net(name)
    subject = Subject.of_net(net)
    judge = Pandapower(net, subject.feeder.node_names)
    return row_of(judge, None if judge_only else subject, judge.ten_places(), extent)


def extent_of(options: argparse.Namespace) -> Extent:
    """How much the command line asks for."""
    if options.quick:
        return Extent(QUICK_SIZES, QUICK_POWER_FACTORS, options.places)
    return Extent(n_places=options.places)


def all_works() -> list[tuple[str, str, str, Any]]:
    """Every feeder in every state: key, name, state, what it is read from."""
    works: list[tuple[str, str, str, Any]] = [(c.id, c.name, c.state, c) for c in (*CASES, *shipped_masters())]
    return works + [(f"{name}-pandapower", name, "pandapower", name) for name in PANDAPOWER]


def left_out(found: list[Row], extent: Extent) -> str:
    """What a full table would hold beside this one."""
    done = {row["id"] for row in found}
    missing = [f"{name} ({state})" for key, name, state, _ in all_works() if key not in done]
    parts = [f"feeders {', '.join(missing)}"] if missing else []
    parts += [f"all but {extent.n_places} of ten places a feeder"] if extent.n_places < 10 else []
    parts += [f"sizes but {', '.join(f'{s:g}' for s in extent.sizes)} of the nose"] if extent.sizes != SIZES else []
    if extent.power_factors != POWER_FACTORS:
        parts.append(f"power factors but {', '.join(f'{pf:g}' for pf in extent.power_factors)}")
    return f"Left out to save time: {'; '.join(parts)}." if parts else "Nothing was left out."


def head_of(found: list[Row], options: argparse.Namespace) -> dict[str, Any]:
    """Fields of the page's head."""
    extent = extent_of(options)
    cases = [] if options.cases == [""] else ["--cases", *options.cases]
    places = [] if options.places == 10 else ["--places", str(options.places)]
    words = [*cases, *places, *(["--quick"] if options.quick else [])]
    return {
        "command": " ".join(["python tests/validation/feeder_opendss/make_table.py", *words]),
        "left_out": left_out(found, extent),
        "n_places": extent.n_places,
        "n_sizes": len(extent.sizes),
        "power_factors": ", ".join(f"{pf:g}" for pf in extent.power_factors),
    }


def rows(options: argparse.Namespace) -> Iterator[Row]:
    """One row a feeder, from the file of rows where it is there."""
    stored: dict[str, Row] = {}
    path = Path(options.rows) if options.rows else None
    if path and path.is_file():
        stored = {row["id"]: row for row in map(json.loads, path.read_text().splitlines())}
    for key, name, state, what in all_works():
        if not any(part in key for part in options.cases):
            continue
        if key not in stored:
            print(key, file=sys.stderr)
            started = time.perf_counter()
            make = opendss_row if isinstance(what, Case) else pandapower_row
            try:
                row = make(what, options.judge_only, extent_of(options))
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
    parser.add_argument("--quick", action="store_true", help="two sizes instead of five, one power factor of three")
    parser.add_argument("--places", type=int, default=10, help="a feeder")
    parser.add_argument("--judge-only", action="store_true", help="leave cosim out; print, do not write")
    options = parser.parse_args()
    found = list(rows(options))
    text = page(found, dataclasses.asdict(Limits()), head_of(found, options))
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
