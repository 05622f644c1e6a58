"""Published solutions of the IEEE test feeders."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from dss_cases import Case

PHASES = {"A": 1, "B": 2, "C": 3}
NEXT_PHASE = {1: 2, 2: 3, 3: 1}


def published_vm_pu(case: Case, folder: Path) -> dict[str, float]:
    """|V| by node as published, line to line ones by the node of their first phase. [pu]"""
    aliases = dict(case.aliases)
    found = {}
    with (folder / case.published).open(newline="") as file:
        for row in csv.DictReader(file):
            bus = row["node"].lower()
            if bus in case.not_compared or not row["vmag_pu"]:
                continue
            found[f"{aliases.get(bus, bus)}.{PHASES[row['phase']]}"] = float(row["vmag_pu"])
    return found


def spread_pu(case: Case, folder: Path, v_pu: dict[str, complex]) -> tuple[float, str, int]:
    """Largest difference from the published table, where, and how many values there are.

    Raises
    ------
    KeyError
        If the solution lacks a published node.
    """
    table = published_vm_pu(case, folder)
    difference = {node: abs(_vm(case, node, v_pu) - vm) for node, vm in table.items()}
    worst = max(difference, key=lambda node: difference[node])
    return difference[worst], worst, len(table)


def _vm(case: Case, node: str, v_pu: dict[str, complex]) -> float:
    if not case.line_to_line:
        return abs(v_pu[node])
    bus, _, phase = node.rpartition(".")
    return abs(v_pu[node] - v_pu[f"{bus}.{NEXT_PHASE[int(phase)]}"]) / float(np.sqrt(3))
