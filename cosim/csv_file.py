"""CSV files with a header line, gzipped or not: their rows with line numbers, their failures with file and line."""

from __future__ import annotations

import contextlib
import csv
import gzip
import math
from collections.abc import Iterator
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
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(Problem(f"{column} is not a finite number", value=text, file=file, line=line))
    return value
