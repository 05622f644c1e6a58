"""The file before its first row: groups, empty datasets, dimension scales, attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from cosim.record import codec
from cosim.record.channels import NAME, TIME_S, TIME_US, Channel, choose_chunk_rows

SCHEMA = 1
LIBVER = ("v110", "v110")
EVENT_ROWS = 128
"""Rows per chunk of the event columns, which are stored as they are and rewritten in place."""

EVENT = np.dtype(
    [("t_s", "f8"), ("t_us", "i8"), ("kind", "S24"), ("element", "S48"), ("value", "f8"), ("detail", "S120")]
)
"""One event. Strings are UTF-8, padded with zeros."""
_EVENT_UNITS = {"t_s": "s", "t_us": "us"}


@dataclass(frozen=True)
class Header:
    """What a log says of itself before its first row."""

    scenario_yaml: str
    scenario_name: str
    seed: int
    cosim_version: str
    compression: str = "gzip"
    provenance: Mapping[str, str | float] = field(default_factory=dict)


def build(path: Path, channels: Sequence[Channel], header: Header) -> h5py.File:
    """Create the file at `path` with every dataset empty; SWMR is not yet on.

    Parameters
    ----------
    path : Path
        Truncated where it exists.
    channels : sequence of Channel
        Those with at least one element.
    header : Header
        Attributes, scenario and provenance.

    Returns
    -------
    h5py.File
        Open for writing, libver v110.
    """
    # No chunk cache: only whole chunks are written, once each.
    file = h5py.File(path, "w", libver=LIBVER, rdcc_nbytes=0)
    try:
        file.attrs.update(
            schema=SCHEMA,
            cosim_version=header.cosim_version,
            scenario_name=header.scenario_name,
            seed=header.seed,
            status="running",
            compression=header.compression,
        )
        text = file.create_dataset("scenario", data=header.scenario_yaml, dtype=h5py.string_dtype())
        text.attrs["unit"] = "1"
        file.create_group("provenance").attrs.update(header.provenance)
        file.create_group("metrics")
        rows = choose_chunk_rows(channels)
        scale = _add_time(file, rows, header.compression)
        for channel in channels:
            _add_channel(file, channel, rows, scale, header.compression)
        _add_events(file)
    except BaseException:
        file.close()
        raise
    return file


def _add_time(file: h5py.File, rows: int, compression: str) -> h5py.Dataset:
    options = codec.dataset_options(compression)
    scale = file.create_dataset(TIME_S, (0,), maxshape=(None,), chunks=(rows,), dtype="f8", fillvalue=0, **options)
    scale.make_scale(TIME_S)
    scale.attrs.update(unit="s", description="time since the start of the simulation")
    exact = file.create_dataset(TIME_US, (0,), maxshape=(None,), chunks=(rows,), dtype="i8", fillvalue=0, **options)
    exact.dims[0].attach_scale(scale)
    exact.attrs.update(unit="us", description="the same, in whole microseconds: exact")
    return scale


def _add_channel(file: h5py.File, channel: Channel, rows: int, scale: h5py.Dataset, compression: str) -> None:
    group = file.require_group(channel.group)
    if TIME_S not in group:
        group[TIME_S] = scale  # a hard link: xarray opens one group and finds its times there
    data = file.create_dataset(
        channel.path,
        (0, *channel.row_shape),
        maxshape=(None, *channel.row_shape),
        chunks=(rows, *channel.row_shape),
        dtype=channel.dtype,
        **codec.dataset_options(compression),
    )
    data.attrs.update(unit=channel.unit, description=channel.description)
    data.dims[0].attach_scale(scale)
    if channel.group_names is not None:
        data.dims[1].attach_scale(_names_of(group, channel.group_names))
    elif channel.labels is not None:
        _names_of(group, channel.labels)
        data.attrs["points_to"] = NAME


def _names_of(group: h5py.Group, names: tuple[str, ...]) -> h5py.Dataset:
    if NAME not in group:
        scale = group.create_dataset(NAME, data=list(names), dtype=h5py.string_dtype())
        scale.make_scale(NAME)
        scale.attrs.update(unit="1", description="name of the element in each column")
    return group[NAME]


def _add_events(file: h5py.File) -> None:
    group = file.create_group("events")
    columns: dict[str, Any] = {}
    for name in EVENT.names or ():
        kind = EVENT.fields[name][0] if EVENT.fields else None
        dtype = h5py.string_dtype("utf-8", kind.itemsize) if kind is not None and kind.kind == "S" else kind
        columns[name] = group.create_dataset(name, (0,), maxshape=(None,), chunks=(EVENT_ROWS,), dtype=dtype)
        columns[name].attrs["unit"] = _EVENT_UNITS.get(name, "1")
    scale = columns.pop(TIME_US)  # not t_s: a group may not redefine a dimension of its parent
    scale.make_scale(TIME_US)
    for column in columns.values():
        column.dims[0].attach_scale(scale)
    columns["value"].attrs["description"] = "size of the event, in the unit that docs/ gives for its kind"


def event_row(t_us: int, kind: str, element: str, value: float, detail: str) -> np.ndarray[Any, Any]:
    """One event as a record of dtype `EVENT`; strings too long are cut at a whole character."""
    row = np.zeros((), EVENT)
    row["t_s"], row["t_us"], row["value"] = t_us / 1e6, t_us, value
    for name, text in (("kind", kind), ("element", element), ("detail", detail)):
        row[name] = _cut(text, EVENT[name].itemsize)
    return row


def _cut(text: str, size: int) -> bytes:
    data = text.encode()
    if len(data) <= size:
        return data
    return data[: size - 3].decode(errors="ignore").encode() + b"..."
