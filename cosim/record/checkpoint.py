"""The sidecar `<log>.checkpoint`: the state of a run, and of its log, at one instant."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cosim.record.failure import as_environment_failure

State = dict[str, "np.ndarray[Any, Any] | bytes"]
VERSION = 3
_META = "meta"


def path_for(out: Path) -> Path:
    """Where the checkpoint of the log `out` stands."""
    return out.with_name(out.name + ".checkpoint")


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint.

    Parameters
    ----------
    run_id : str
        Identity of the run: a checkpoint of another run is no checkpoint of this log.
    n_rows : int
        Rows that stand in the log as whole chunks.
    n_events : int
        Events that stand in the log as whole chunks.
    pending : dict of str to ndarray
        Rows after those, by path, with the times as `t_us`; they fill less than one chunk.
    events : ndarray
        Events after those, of dtype `layout.EVENT`.
    state : dict of str to ndarray or bytes
        The engine's own.
    last_us : int or None
        Time of the last row given; None before the first. [us]
    n_captures : int
        Captures that stand in the log.
    """

    run_id: str
    n_rows: int
    n_events: int
    pending: dict[str, np.ndarray[Any, Any]]
    events: np.ndarray[Any, Any]
    state: State
    last_us: int | None
    n_captures: int = 0


def write(path: Path, point: Checkpoint) -> None:
    """Write the checkpoint whole or not at all: a temporary file, synced, then renamed.

    Raises
    ------
    EnvironmentFailure
        The disk is full or not ours to write; the earlier checkpoint stands.
    """
    meta: dict[str, Any] = {
        "version": VERSION,
        "run_id": point.run_id,
        "n_rows": point.n_rows,
        "n_events": point.n_events,
    }
    meta |= {"last_us": point.last_us, "n_captures": point.n_captures}
    parts: dict[str, np.ndarray[Any, Any]] = {
        _META: np.frombuffer(json.dumps(meta).encode(), np.uint8),
        "events": point.events,
    }
    parts.update({f"pending:{k}": v for k, v in point.pending.items()})
    for key, value in point.state.items():
        if isinstance(value, bytes | bytearray | memoryview):
            parts[f"bytes:{key}"] = np.frombuffer(value, np.uint8)
        else:
            parts[f"array:{key}"] = np.asarray(value)
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as stream:
            _write_parts(stream, parts)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise as_environment_failure(error, path, "the log and the checkpoint before this one are whole") from error


def _write_parts(stream: Any, parts: Mapping[str, np.ndarray[Any, Any]]) -> None:
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for key, array in parts.items():
            with archive.open(key, "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)


def read(path: Path) -> Checkpoint | None:
    """Read the checkpoint; None where there is none, or none that this version can use."""
    parts: dict[str, np.ndarray[Any, Any]] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for key in archive.namelist():
                with archive.open(key) as entry:
                    parts[key] = np.lib.format.read_array(entry, allow_pickle=False)
        meta = json.loads(parts.pop(_META).tobytes())
        events = parts.pop("events")
    except (FileNotFoundError, zipfile.BadZipFile, KeyError, ValueError):
        return None
    if meta.get("version") != VERSION:
        return None
    pending: dict[str, np.ndarray[Any, Any]] = {}
    state: State = {}
    for key, array in parts.items():
        kind, _, name = key.partition(":")
        if kind == "pending":
            pending[name] = array
        else:
            state[name] = array.tobytes() if kind == "bytes" else array
    counts = meta["n_rows"], meta["n_events"]
    return Checkpoint(meta["run_id"], *counts, pending, events, state, meta["last_us"], meta["n_captures"])
