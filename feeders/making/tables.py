"""The tables of one feeder, as they stand in its folder, and what follows from them: phases and nominal voltages."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from .carson import configs_of_constructions

Row = dict[str, str]

TABLES = (
    "lines",
    "configs",
    "loads",
    "distributed_loads",
    "transformers",
    "regulators",
    "tap_changers",
    "capacitors",
    "capacitor_controls",
    "switches",
    "coordinates",
    "published",
)


def read_rows(path: Path) -> list[Row]:
    """Rows of a .csv without its comment lines; none where there is no file."""
    if not path.is_file():
        return []
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return list(csv.DictReader(lines))


@dataclass(frozen=True)
class Tables:
    """All tables of one feeder by name, and its `feeder.yaml` as `settings`."""

    folder: Path
    settings: dict[str, Any]
    rows: dict[str, list[Row]] = field(repr=False)

    @classmethod
    def read(cls, folder: Path) -> Tables:
        """Read a folder; where it holds `constructions.csv`, the configurations are computed from it."""
        rows = {name: read_rows(folder / f"{name}.csv") for name in TABLES}
        if (folder / "constructions.csv").is_file():
            parts = [read_rows(folder / f"{name}.csv") for name in ("constructions", "conductors", "spacings")]
            rows["configs"] = configs_of_constructions(*parts)
        settings = YAML(typ="safe").load((folder / "feeder.yaml").read_text(encoding="utf-8"))
        return cls(folder, settings, rows)

    def __getitem__(self, name: str) -> list[Row]:
        return self.rows[name]

    @cached_property
    def config_phases(self) -> dict[str, str]:
        """Phases of each line configuration, such as `abc` or `b`."""
        return {row["config"]: row["phases"] for row in self["configs"]}

    def branches(self) -> list[tuple[str, str, str, str]]:
        """Everything in series as (kind, from, to, phases), normally open switches included."""
        found = [("line", r["from"], r["to"], self.config_phases[r["config"]]) for r in self["lines"]]
        found += [("transformer", r["from"], r["to"], "abc") for r in self["transformers"] if in_model(r)]
        found += [(f"switch_{r['position']}", r["from"], r["to"], r["phases"]) for r in self["switches"]]
        joined: dict[tuple[str, str], str] = {}
        for r in self["regulators"]:
            joined[r["from"], r["to"]] = joined.get((r["from"], r["to"]), "") + r["phases"]
        return found + [("regulator", *ends, "".join(sorted(set(phases)))) for ends, phases in joined.items()]

    @cached_property
    def vn_kv(self) -> dict[str, float]:
        """Nominal line-to-line voltage of each bus, followed from the source through the transformers. [kV]"""
        source = self.settings["source"]
        known = {str(source["bus"]): float(source["vn_kv"])}
        low = {(r["from"], r["to"]): (float(r["kv_from"]), float(r["kv_to"])) for r in self["transformers"]}
        waiting = self.branches()
        while waiting:
            left = []
            for branch in waiting:
                kind, a, b, _ = branch
                if (a in known) == (b in known):
                    if a not in known:
                        left.append(branch)
                    continue
                if kind == "transformer":
                    high, lower = low[a, b]
                    known[a if b in known else b] = high if b in known else lower
                else:
                    known[a if b in known else b] = known[b if b in known else a]
            if len(left) == len(waiting):
                raise ValueError(f"{self.folder.name}: no path from the source to {left[0][1]}")
            waiting = left
        return known

    @cached_property
    def phases(self) -> dict[str, str]:
        """Phases that reach each bus."""
        reached: dict[str, set[str]] = {}
        for _, a, b, phases in self.branches():
            for bus in (a, b):
                reached.setdefault(bus, set()).update(phases)
        return {bus: "".join(sorted(found)) for bus, found in reached.items()}


def in_model(row: Row) -> bool:
    """Whether a transformer stands in the model (a substation's may stand in the table only)."""
    return row.get("in_model", "yes") == "yes"


def kv_of_leg(vn_kv: float, connection: str) -> float:
    """Voltage across one phase of a wye (Y) or delta (D) connection. [kV]"""
    return vn_kv if connection == "D" else vn_kv / math.sqrt(3)


def upper_triangle(text: str, n: int) -> list[list[float]]:
    """Full symmetric matrix of an upper triangle that is written row by row."""
    values = iter(text.split())
    full = [[0.0] * n for _ in range(n)]
    for i in range(n):
        for j in range(i, n):
            full[i][j] = full[j][i] = float(next(values))
    return full
