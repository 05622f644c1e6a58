"""Kinds of events and the units of their values, against the tables that a reader of a log has."""

from __future__ import annotations

import re
from pathlib import Path

from cosim.events import KINDS, UNITS

DOCS = Path(__file__).parents[2] / "docs"
UNIT_OF = {kind: unit for unit, kinds in UNITS.items() for kind in kinds}


def told(page: str, unit_column: int) -> dict[str, str]:
    """Unit of each kind by a page's tables; where kinds of one row differ, in their order, with `;` between."""
    found = {}
    for line in (DOCS / page).read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        kinds = [kind for kind in re.findall(r"`([a-z_]+)`", cells[0]) if kind in KINDS]
        if line.startswith("| `") and kinds and len(cells) > unit_column:
            units = cells[unit_column].split("; ")
            found |= dict(zip(kinds, units if len(units) == len(kinds) else units * len(kinds), strict=True))
    return found


def test_every_kind_stands_in_a_table_with_its_unit():
    documented = told("engine.md", 3) | told("ups.md", 2)
    assert sorted(KINDS) == sorted(documented)
    for kind, unit in documented.items():
        assert UNIT_OF.get(kind, "1") == (unit if unit in UNITS else "1"), kind
    assert set(UNIT_OF) <= set(KINDS)
