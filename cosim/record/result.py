"""Result: a log opened for reading, finished, killed or still being written."""

from __future__ import annotations

import math
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from cosim.errors import InputError
from cosim.record import codec
from cosim.record.amend import plain
from cosim.record.capture_file import CaptureLog, captures_of
from cosim.record.channels import NAME, TIME_S, TIME_US
from cosim.record.opening import open_log, reading
from cosim.record.resume import datasets

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped,unused-ignore]
    import xarray as xr

DIRECT_BYTES = 16_384
"""Chunks of 4-byte values from this size on are inflated here; HDF5 walks through smaller ones faster. [byte]"""
COLUMN_BYTES = 16_000_000
"""A channel of one column up to this size is read as a whole: a day at 100 ms is 7 MB. [byte]"""
COLUMNS_BYTES = 96_000_000
"""Such channels are kept up to this size together: metrics and pages walk through each several times. [byte]"""
_EVENT_COLUMNS = ("t_s", "kind", "element", "value", "detail")


class Result:
    """A log, open for reading. Made by `open_result`.

    Of a log that is still being written it shows the rows that had been flushed when it was opened or last
    refreshed. Use it as a context manager, or call `close`.

    Attributes
    ----------
    path : Path
        The file.
    """

    def __init__(self, path: Path, scenario: dict[str, Any] | None = None) -> None:
        self.path = path
        self._scenario = scenario  # what the log holds, from whom it is known: reading it again takes 30 ms
        self._open()

    def _open(self) -> None:
        self._metrics: dict[str, Any] | None = None
        self._columns: OrderedDict[str, np.ndarray[Any, Any]] = OrderedDict()
        self._column_lock = Lock()
        self._file = open_log(self.path)
        try:
            with reading(self.path):
                self._attrs = plain(self._file.attrs)
                _check_schema(self.path, self._attrs)
                self._data = datasets(self._file)
                compression = self._attrs["compression"]
            if compression not in codec.DIRECT:
                codec.load_plugin(compression)
        except BaseException:
            self._file.close()
            raise
        # Row counts of datasets differ for an instant while a chunk is written: what all have, counts.
        self._n_rows = min(data.shape[0] for data in self._data.values())

    def refresh(self) -> None:
        """Open the file again, to see what was written since."""
        self._file.close()
        self._open()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Result:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Result {self.path.name}: {self.status}, {self.n_rows} rows, {len(self.paths())} channels>"

    @property
    def attrs(self) -> dict[str, Any]:
        """Attributes of the file: schema, cosim_version, scenario_name, seed, status, compression."""
        return dict(self._attrs)

    @property
    def status(self) -> str:
        """`complete`, `collapsed`, `interrupted`, `failed`; `running` while written, and after a kill."""
        return str(self._attrs["status"])

    @property
    def provenance(self) -> dict[str, Any]:
        """Versions, CPU, command line, wall times."""
        with reading(self.path):
            return plain(self._file["provenance"].attrs)

    @property
    def scenario_yaml(self) -> str:
        """The resolved scenario, as text."""
        with reading(self.path):
            return str(self._file["scenario"].asstr()[()])

    @property
    def scenario(self) -> dict[str, Any]:
        """The resolved scenario, as plain dicts, lists and numbers."""
        if self._scenario is None:
            from ruamel.yaml import YAML

            self._scenario = YAML(typ="safe", pure=True).load(self.scenario_yaml) or {}
        return self._scenario

    @property
    def n_rows(self) -> int:
        """Rows that every channel has."""
        return int(self._n_rows)

    @property
    def t_s(self) -> np.ndarray[Any, Any]:
        """Time of each row, float64, shape (n_rows,). [s]"""
        return self.read(TIME_S)

    @property
    def t_us(self) -> np.ndarray[Any, Any]:
        """Time of each row, int64, shape (n_rows,). [us]"""
        return self.read(TIME_US)

    def paths(self) -> list[str]:
        """Paths of all channels, sorted, times not among them."""
        return sorted(set(self._data) - {TIME_S, TIME_US})

    def _dataset(self, path: str) -> h5py.Dataset:
        try:
            return self._data[path.strip("/")]
        except KeyError:
            import difflib

            near = difflib.get_close_matches(path, self.paths(), n=3, cutoff=0.5)
            hint = f"; near: {', '.join(near)}" if near else f"; there are: {', '.join(self.paths()[:8])} ..."
            raise InputError(f"{self.path}: no channel {path!r}{hint}") from None

    def read(self, path: str, start: int | None = None, stop: int | None = None) -> np.ndarray[Any, Any]:
        """Rows of one channel.

        Parameters
        ----------
        path : str
            E.g. `bus/vm_pu`.
        start, stop : int, optional
            Row numbers, as of a Python slice; `rows_between` finds those of an interval of time.

        Returns
        -------
        ndarray
            Shape (n,) or (n, n_element), in the channel's unit and stored type.

        Raises
        ------
        InputError
            There is no such channel, or the log is damaged.
        """
        first, last, _ = slice(start, stop).indices(self._n_rows)
        data = self._dataset(path)
        if data.ndim == 1 and self._n_rows * data.dtype.itemsize <= COLUMN_BYTES:
            return self._column(path, data)[first : max(first, last)].copy()
        with reading(self.path):
            whole = _whole_chunks(data, first, last) if self._attrs["compression"] == "gzip" else None
            return np.asarray(data[first : max(first, last)]) if whole is None else whole

    def _column(self, path: str, data: h5py.Dataset) -> np.ndarray[Any, Any]:
        """A channel of one column as a whole; those asked for last are kept, the times among them."""
        with self._column_lock:
            if path not in self._columns:
                with reading(self.path):
                    self._columns[path] = np.asarray(data[: self._n_rows])
                while sum(column.nbytes for column in self._columns.values()) > COLUMNS_BYTES:
                    self._columns.popitem(last=False)
            self._columns.move_to_end(path)
            return self._columns[path]

    def rows_between(self, start_s: float, stop_s: float) -> tuple[int, int]:
        """Row numbers (start, stop) of the rows with start_s <= t_s < stop_s."""
        first, last = np.searchsorted(self.t_s, (start_s, stop_s))
        return int(first), int(last)

    def names(self, group: str) -> list[str]:
        """Names of the elements of a group, e.g. of `bus`, in the order of the columns."""
        try:
            scale = self._file[group.strip("/")][NAME]
        except KeyError:
            raise InputError(f"{self.path}: no group {group!r} with named elements") from None
        with reading(self.path):
            return [str(name) for name in scale.asstr()[()]]

    def unit(self, path: str) -> str:
        """Unit of a channel, e.g. `MW`."""
        return str(self._dataset(path).attrs["unit"])

    def description(self, path: str) -> str:
        """What a channel means, in one line."""
        return str(self._dataset(path).attrs.get("description", ""))

    @property
    def events(self) -> pd.DataFrame:
        """Events in the order they were noted: t_s [s], kind, element, value, detail."""
        import pandas as pd

        columns: dict[str, Any] = {}
        with reading(self.path):
            group = self._file["events"]
            n = min(group[name].shape[0] for name in _EVENT_COLUMNS)
            for name in _EVENT_COLUMNS:
                values = group[name][:n]
                columns[name] = [v.decode() for v in values] if values.dtype.kind == "S" else values
        frame = pd.DataFrame(columns)
        return frame.astype({"kind": object, "element": object, "detail": object})

    @property
    def metrics(self) -> dict[str, Any]:
        """Numbers under `/metrics`, nested as their groups are; empty before the run has ended. Read once."""
        if self._metrics is None:
            with reading(self.path):
                found = _nested(self._file["metrics"])
            self._metrics = {group: self._by_name(group, part) for group, part in found.items()}
            if "points" in self._metrics:  # arrays over time there: as lists of plain numbers
                self._metrics["points"] = _listed(self._metrics["points"])
        return self._metrics

    def _by_name(self, group: str, part: Any) -> Any:
        """Numbers of a group, those that are one a node under the node's name; a number of no group as it is."""
        if not isinstance(part, dict):
            return part
        columns = {key: value for key, value in part.items() if isinstance(value, np.ndarray)}
        if not columns:
            return part
        rest = {key: value for key, value in part.items() if key not in columns}
        rows = zip(*(column.tolist() for column in columns.values()), strict=True)
        by_name = {
            name.replace("/", "_"): dict(zip(columns, row, strict=True))
            for name, row in zip(self.names(group), rows, strict=True)
        }
        return rest | by_name

    @property
    def captures(self) -> tuple[CaptureLog, ...]:
        """Full-rate captures around events, in order of time; those complete so far of a run that goes on."""
        with reading(self.path):
            return captures_of(self._file, lambda: reading(self.path))

    def to_xarray(self, group: str | None = None) -> xr.Dataset:
        """Channels with their times and element names as coordinates, in memory.

        Parameters
        ----------
        group : str, optional
            E.g. `bus`: variables `vm_pu`, ..., over `t_s` and `name`. Without it all channels, under their
            paths (`bus/vm_pu`), each group's elements along a dimension called after it (`bus`).

        Returns
        -------
        xarray.Dataset
            Works on finished, running and killed logs alike.

        Raises
        ------
        InputError
            There is no such group.
        """
        import xarray as xr

        wanted = None if group is None else group.strip("/")
        chosen = [p for p in self.paths() if wanted is None or p.rpartition("/")[0] == wanted]
        if not chosen:
            raise InputError(f"{self.path}: no group {group!r} with channels; there are {self._groups()}")
        variables: dict[str, Any] = {}
        coords: dict[str, Any] = {TIME_S: (TIME_S, self.t_s, {"unit": "s"})}
        for path in chosen:
            parent, _, leaf = path.rpartition("/")
            dims = [TIME_S]
            if self._data[path].ndim == 2:
                dims.append(NAME if wanted is not None else parent)
                coords[dims[1]] = (dims[1], np.array(self.names(parent), dtype=object))
            facts = {"unit": self.unit(path), "description": self.description(path)}
            variables[path if wanted is None else leaf] = (dims, self.read(path), facts)
        return xr.Dataset(variables, coords, plain(self._attrs))

    def _groups(self) -> str:
        return ", ".join(sorted({p.rpartition("/")[0] for p in self.paths()}))


def _nested(group: h5py.Group) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, item in group.items():
        if isinstance(item, h5py.Group):
            found[key] = _nested(item)
        else:
            found[key] = item[()] if item.shape else float(item[()])
    return found


def _listed(part: dict[str, Any]) -> dict[str, Any]:
    """Nested numbers with their arrays as lists."""
    return {
        key: _listed(value) if isinstance(value, dict) else value.tolist() if isinstance(value, np.ndarray) else value
        for key, value in part.items()
    }


def _whole_chunks(data: h5py.Dataset, first: int, last: int) -> np.ndarray[Any, Any] | None:
    """Rows of whole chunks, inflated here; None for small pieces, and where HDF5 has to say what is wrong."""
    n, *rest = data.chunks
    is_wide = data.dtype.itemsize == 4 and 4 * n * math.prod(rest) >= DIRECT_BYTES
    if last - first < n or not is_wide or tuple(rest) != data.shape[1:]:
        return None
    rows, edge = np.empty((last - first, *rest), data.dtype), np.empty((n, *rest), data.dtype)
    try:
        for start in range(first - first % n, last, n):
            mask, raw = data.id.read_direct_chunk((start, *(0 for _ in rest)))
            if mask:
                return None
            a, b = max(start, first), min(start + n, last)
            if b - a == n:
                codec.decode(raw, rows[a - first : b - first])
            else:
                codec.decode(raw, edge)
                rows[a - first : b - first] = edge[a - start : b - start]
    except (OSError, RuntimeError, ValueError, codec.Damaged):
        return None
    return rows


def _check_schema(path: Path, attrs: dict[str, Any]) -> None:
    from cosim.record.layout import SCHEMA

    if attrs.get("schema") != SCHEMA or "cosim_version" not in attrs:
        raise InputError(f"{path}: not a log of cosim that this version reads (schema {attrs.get('schema')!r})")


def open_result(path: str | Path) -> Result:
    """Open a log: of a finished run, of one that was killed, or of one that still runs.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    Result
        Open; close it, or use it as a context manager.

    Raises
    ------
    InputError
        There is no such file, it is no log of cosim, or it is damaged.
    EnvironmentFailure
        Permission is missing, or the disk fails.
    """
    return Result(Path(path))
