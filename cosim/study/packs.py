"""Rows of many runs in one file: what a study of a million runs keeps instead of a million folders."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cosim.study.folder import write_whole

FOLDER = "packs"


def write_pack(runs: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Put the rows of one task in place, in a file named by what it holds.

    Parameters
    ----------
    runs : Path
        Folder of the study's runs; packs stand beside it.
    rows : sequence of dict
        One row a run.
    """
    folder = runs.parent / FOLDER
    folder.mkdir(exist_ok=True)
    text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)
    name = hashlib.sha256(text.encode()).hexdigest()[:20]
    write_whole(folder / f"{name}.jsonl", text)


def read_packs(runs: Path) -> dict[str, dict[str, Any]]:
    """Rows of every pack by run; where a run that failed was tried again, the row that did not fail."""
    found: dict[str, dict[str, Any]] = {}
    for row in _rows(runs.parent / FOLDER):
        if row["run"] not in found or found[row["run"]]["status"] == "failed":
            found[row["run"]] = row
    return found


def _rows(folder: Path) -> Iterator[dict[str, Any]]:
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.name.endswith(".jsonl"))
    except FileNotFoundError:
        return
    for name in names:
        with (folder / name).open(encoding="utf-8") as file:
            for line in file:
                with contextlib.suppress(ValueError):  # a line that a failing disk cut off: its run is missing
                    yield json.loads(line)
