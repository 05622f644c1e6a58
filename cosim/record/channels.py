"""Channels: what a log records, one dataset each, and the unit its name carries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cosim.errors import InputError, Problem

CHUNK_BYTES = 1024 * 1024
"""Most that one chunk of the widest channel takes, uncompressed: HDF5 before 2.0 caches no larger ones, and inflates
them anew for every part of them that is read. [byte]"""
MAX_CHUNK_ROWS = 1024
MIN_CHUNK_ROWS = 64

TIME_S = "t_s"
TIME_US = "t_us"
NAME = "name"
RESERVED_ROOTS = frozenset({TIME_S, TIME_US, "events", "metrics", "scenario", "provenance", "capture"})

_UNITS = {
    "us": "us",
    "ms": "ms",
    "s": "s",
    "min": "min",
    "h": "h",
    "w": "W",
    "kw": "kW",
    "mw": "MW",
    "gw": "GW",
    "wh": "Wh",
    "kwh": "kWh",
    "mwh": "MWh",
    "gwh": "GWh",
    "mvar": "Mvar",
    "mvarh": "Mvarh",
    "mva": "MVA",
    "pu": "pu",
    "kv": "kV",
    "ka": "kA",
    "ohm": "ohm",
    "hz": "Hz",
    "degree": "degree",
    "degc": "degC",
    "percent": "%",
    "km": "km",
}


@dataclass(frozen=True)
class Channel:
    """One recorded quantity: one dataset of the log, one row per log step.

    Parameters
    ----------
    path : str
        Group and name in the file, unit last: `bus/vm_pu`, `datacenter/campus/p_total_mw`.
    unit : str
        Unit as stored beside the data, e.g. `MW`; `1` for a bare number.
    group_names : tuple of str or None
        Names of the elements along axis 1, the same for every such channel of a group; None for a
        quantity with one value per row. An empty tuple leaves the channel out of the file.
    dtype : {"f4", "f8", "i4"}
        Stored type.
    description : str
        One line for readers of the file, with its sign.
    labels : tuple of str, optional
        What the whole numbers of the channel point to: they become the group's `name`.
    """

    path: str
    unit: str
    group_names: tuple[str, ...] | None = None
    dtype: Literal["f4", "f8", "i4"] = "f4"
    description: str = ""
    labels: tuple[str, ...] | None = None

    @property
    def group(self) -> str:
        """Path of the group that holds the dataset."""
        return self.path.rpartition("/")[0]

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one row: () or (n_element,)."""
        return () if self.group_names is None else (len(self.group_names),)

    @property
    def is_empty(self) -> bool:
        """True for a channel over a kind of element that the feeder lacks."""
        return self.group_names == ()

    @property
    def row_bytes(self) -> int:
        """Size of one row, uncompressed. [byte]"""
        width = 1 if self.group_names is None else len(self.group_names)
        return width * int(self.dtype[1:])


def unit_of(path: str) -> str:
    """Unit that a name carries by the house's rule: unit last, `_per_` divides.

    The last part of the path that carries a unit decides, so that `sag/depth_pu/bus 18` is in pu.

    Parameters
    ----------
    path : str
        Name, or names joined by "/".

    Returns
    -------
    str
        The unit, e.g. `MW/s`; `1` where the name carries none.
    """
    for part in reversed(path.lower().split("/")):
        numerator, *denominators = part.split("_per_")
        top = _UNITS.get(numerator.rpartition("_")[2])
        if denominators:
            bottom = "/".join(_UNITS.get(d, d.replace("_", " ")) for d in denominators)
            return f"{top or '1'}/{bottom}"
        if top:
            return top
    return "1"


def choose_chunk_rows(channels: Sequence[Channel]) -> int:
    """Rows per chunk, one number for all datasets of a log: a power of two from 64 to 1024.

    Parameters
    ----------
    channels : sequence of Channel
        All channels of the log.

    Returns
    -------
    int
        Rows, the most with which a chunk of the widest channel holds no more than `CHUNK_BYTES`.
    """
    widest = max((c.row_bytes for c in channels), default=8)
    rows = max(1, CHUNK_BYTES // max(widest, 1))
    return min(MAX_CHUNK_ROWS, max(MIN_CHUNK_ROWS, 1 << (rows.bit_length() - 1)))


def checked(channels: Sequence[Channel]) -> tuple[Channel, ...]:
    """Return the channels that get a dataset; refuse sets that no file could hold.

    Parameters
    ----------
    channels : sequence of Channel
        All channels of the log.

    Returns
    -------
    tuple of Channel
        Those with at least one element, in the order given.

    Raises
    ------
    InputError
        A path stands twice, collides with the log's own, or a group has two lists of names. Names come
        from the scenario (a data center called `name`), so the fault is the input's.
    """
    problems: list[Problem] = []
    seen: set[str] = set()
    names: dict[str, tuple[str, ...]] = {}
    for channel in channels:
        root, _, leaf = channel.path.partition("/")
        last = channel.path.rpartition("/")[2]
        if not leaf or root in RESERVED_ROOTS or last in (NAME, TIME_S) or "" in channel.path.split("/"):
            problems.append(Problem("a channel needs a path like `group/name_unit`", value=channel.path))
        if channel.path in seen:
            problems.append(Problem("two channels have the same path", value=channel.path))
        seen.add(channel.path)
        of_group = channel.group_names if channel.group_names is not None else channel.labels
        if of_group is not None:
            known = names.setdefault(channel.group, of_group)
            if known != of_group:
                problems.append(Problem("channels of one group name different elements", value=channel.path))
    if problems:
        raise InputError(problems)
    return tuple(c for c in channels if not c.is_empty)
