"""CSV files with a header line, gzipped or not: their rows with line numbers, their failures with file and line."""

from __future__ import annotations

import contextlib
import csv
import gzip
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cosim.errors import InputError, Problem, unreadable

Row = tuple[int, list[str]]
"""Line of the file, and its fields."""


@contextlib.contextmanager
def csv_rows(path: Path, what: str) -> Iterator[tuple[list[str], Iterator[Row]]]:
    """Header and rows of a file while the block runs.

    Parameters
    ----------
    path : Path
        CSV, or CSV.gz.
    what : str
        What it is, for messages: `this trace`.

    Yields
    ------
    header : list of str
        Names of its first line, stripped; empty of an empty file.
    rows : iterator of (int, list of str)
        Line and fields of each row behind it that is not empty.

    Raises
    ------
    InputError, EnvironmentFailure
        It cannot be read, also while its rows are taken, or its columns are not separated by commas.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", newline="", encoding="utf-8-sig") as stream:  # spreadsheets put a mark before the text
            reader = csv.reader(stream)
            header = [name.strip() for name in next(reader, [])]
            _check_separator(header, str(path))
            yield header, ((reader.line_num, row) for row in reader if row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise unreadable(error, str(path), f"cannot read {what}") from None


def _check_separator(header: list[str], file: str) -> None:
    """Name another separator: columns that are looked for would only seem to be missing."""
    other = next((sign for sign in (";", "\t") if len(header) == 1 and sign in header[0]), None)
    if other is not None:
        called = "semicolons" if other == ";" else "tabs"
        told = f"has {called} between its columns; it must have commas, and points in its numbers"
        raise InputError(Problem(told, value=header[0], file=file, line=1))


def finite(text: str, column: str, file: str, line: int) -> float:
    """A field as a finite number.

    Raises
    ------
    InputError
        It is none.
    """
    value = number(text)
    if math.isnan(value):
        raise InputError(Problem(f"{column} is not a finite number", value=text, file=file, line=line))
    return value


@dataclass
class Faults:
    """Rows of a file that cannot be used, by kind, so that all are told at once."""

    file: str
    found: dict[str, list[tuple[int, object]]] = field(default_factory=dict)
    """Kind of fault: line and value of each row."""

    def add(self, kind: str, line: int, value: object) -> None:
        """One row that cannot be used."""
        self.found.setdefault(kind, []).append((line, value))

    @property
    def n(self) -> int:
        """Rows that cannot be used."""
        return len({line for rows in self.found.values() for line, _ in rows})

    def problems(self, repair: str = "") -> list[Problem]:
        """One for each kind: how many rows, the lines of the first, the value of the first.

        Parameters
        ----------
        repair : str
            What can be done, said behind the last one.
        """
        out = []
        for i, (kind, rows) in enumerate(self.found.items()):
            lines = ", ".join(str(line) for line, _ in rows[:3]) + (", ..." if len(rows) > 3 else "")
            told = kind if len(rows) == 1 else f"{kind} in {len(rows):,} rows: lines {lines}"
            last = f"; {repair}" if repair and i == len(self.found) - 1 else ""
            out.append(Problem(told + last, value=rows[0][1], file=self.file, line=rows[0][0]))
        return out


def number(text: str) -> float:
    """A field as a number; nan where it is none or not finite."""
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan
