"""Captures in the log: one group each under `/capture`, laid out as the log itself is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from cosim.record.capture import Capture, Event
from cosim.record.channels import NAME, TIME_S, TIME_US, Channel
from cosim.units import US_PER_S

if TYPE_CHECKING:
    import xarray as xr

ROOT = "capture"
CHUNK_VALUES = 1 << 17
"""Values in a chunk of a capture's widest dataset: half a mebibyte of float32."""
GZIP_LEVEL = 4


def write_capture(file: h5py.File, number: int, capture: Capture, channels: Sequence[Channel]) -> None:
    """Write a capture under `/capture/<number>`: its times, and a dataset for each channel.

    Parameters
    ----------
    file : h5py.File
        Open for writing, not as SWMR.
    number : int
        From 1.
    capture : Capture
    channels : sequence of Channel
        What the columns of its values are; paths within the capture, e.g. `vm_pu`, `datacenter/campus/p_total_mw`.
    """
    group = file.create_group(f"{ROOT}/{number}")
    t_us, kind, element, value, detail = capture.trigger
    group.attrs.update(
        trigger_us=t_us,
        trigger_kind=kind,
        trigger_element=element,
        trigger_value=value,
        trigger_detail=detail,
        n_event=capture.n_event,
        is_cut=int(capture.is_cut),
    )
    scale = group.create_dataset(TIME_S, data=capture.t_us / US_PER_S)
    scale.make_scale(TIME_S)
    scale.attrs.update(unit="s", description="time since the start of the simulation")
    exact = group.create_dataset(TIME_US, data=capture.t_us)
    exact.attrs.update(unit="us", description="the same, in whole microseconds: exact")
    exact.dims[0].attach_scale(scale)
    start = 0
    for channel in channels:
        width = int(np.prod(channel.row_shape))
        values = capture.values[:, start : start + width]
        _write_channel(group, channel, values if channel.row_shape else values[:, 0], scale)
        start += width


def _write_channel(group: h5py.Group, channel: Channel, values: NDArray[np.float32], scale: h5py.Dataset) -> None:
    if channel.is_empty:
        return
    rows = max(1, min(len(values), CHUNK_VALUES // max(1, values[:1].size)))
    options = {"compression": "gzip", "compression_opts": GZIP_LEVEL, "shuffle": True}
    data = group.create_dataset(channel.path, data=values, chunks=(rows, *values.shape[1:]), **options)
    data.attrs.update(unit=channel.unit, description=channel.description)
    data.dims[0].attach_scale(scale)
    parent = data.parent
    if parent != group and TIME_S not in parent:
        parent[TIME_S] = scale
    if channel.group_names is not None:
        if NAME not in parent:
            names = parent.create_dataset(NAME, data=list(channel.group_names), dtype=h5py.string_dtype())
            names.make_scale(NAME)
            names.attrs.update(unit="1", description="name of the element in each column")
        data.dims[1].attach_scale(parent[NAME])


def read_capture(group: h5py.Group) -> tuple[Capture, list[Channel]]:
    """A capture as it was written."""
    channels: list[Channel] = []
    parts: list[NDArray[Any]] = []
    for path, data in datasets_of(group).items():
        names = tuple(data.parent[NAME].asstr()[()]) if data.ndim == 2 else None
        channels.append(Channel(path, str(data.attrs["unit"]), names, "f4", str(data.attrs["description"])))
        parts.append(data[()].reshape(len(data), -1))
    t_us = group[TIME_US][()]
    values = np.concatenate([np.zeros((len(t_us), 0), np.float32), *parts], axis=1)
    return Capture(t_us, values, trigger_of(group), int(group.attrs["n_event"]), bool(group.attrs["is_cut"])), channels


def trigger_of(group: h5py.Group) -> Event:
    """The event that started a capture."""
    facts = group.attrs
    return (
        int(facts["trigger_us"]),
        str(facts["trigger_kind"]),
        str(facts["trigger_element"]),
        float(facts["trigger_value"]),
        str(facts["trigger_detail"]),
    )


def datasets_of(group: h5py.Group) -> dict[str, h5py.Dataset]:
    """Channels of a capture by their paths in it."""
    found: dict[str, h5py.Dataset] = {}

    def visit(here: h5py.Group, prefix: str) -> None:
        for key in here:
            if key in (NAME, TIME_S, TIME_US):
                continue
            item = here[key]
            if isinstance(item, h5py.Group):
                visit(item, f"{prefix}{key}/")
            else:
                found[prefix + key] = item

    visit(group, "")
    return found


class CaptureLog:
    """One capture of an open log.

    Attributes
    ----------
    number : int
        From 1, in order of time.
    trigger : tuple
        The event that started it: time [us], kind, element, value, detail.
    n_event : int
        Events that started and prolonged it.
    is_cut : bool
        It reached its longest duration, or the run ended, before all was over.
    """

    def __init__(self, number: int, group: h5py.Group, reading: Callable[[], AbstractContextManager[None]]) -> None:
        self.number, self._group, self._reading = number, group, reading
        with reading():
            self.trigger = trigger_of(group)
            self.n_event = int(group.attrs["n_event"])
            self.is_cut = bool(group.attrs["is_cut"])
            self._data = datasets_of(group)
            self._t_us: NDArray[np.int64] = group[TIME_US][()]

    def __repr__(self) -> str:
        return f"<Capture {self.number}: {self.trigger[1]} at {self.trigger_s:g} s, {len(self.t_us)} instants>"

    @property
    def trigger_s(self) -> float:
        """Time of the event that started it. [s]"""
        return self.trigger[0] / US_PER_S

    @property
    def t_us(self) -> NDArray[np.int64]:
        """Time of each instant. [us]"""
        return self._t_us

    @property
    def t_s(self) -> NDArray[np.float64]:
        """Time of each instant. [s]"""
        return self._t_us / US_PER_S

    def paths(self) -> list[str]:
        """Channels, e.g. `vm_pu`, `datacenter/campus/p_total_mw`; sorted."""
        return sorted(self._data)

    def read(self, path: str) -> NDArray[Any]:
        """One channel, shape (n,) or (n, n_element), in its unit.

        Raises
        ------
        InputError
            The log is damaged.
        KeyError
            There is no such channel.
        """
        data = self._data[path]
        with self._reading():
            return np.asarray(data[()])

    def unit(self, path: str) -> str:
        """Unit of a channel, e.g. `pu`."""
        return str(self._data[path].attrs["unit"])

    def names(self, path: str = "vm_pu") -> list[str]:
        """Elements that are the columns of a channel."""
        with self._reading():
            return [str(name) for name in self._data[path].parent[NAME].asstr()[()]]

    def to_xarray(self) -> xr.Dataset:
        """All channels over `t_s`, those of nodes also over `name`, those of neutrals over `neutral`."""
        import xarray as xr

        variables: dict[str, Any] = {}
        coords: dict[str, Any] = {TIME_S: (TIME_S, self.t_s, {"unit": "s"})}
        for path in self.paths():
            values = self.read(path)
            along = path.rpartition("/")[0] or NAME
            dims = (TIME_S, along)[: values.ndim]
            if values.ndim == 2:
                coords[along] = (along, np.array(self.names(path), dtype=object))
            variables[path] = (dims, values, {"unit": self.unit(path)})
        return xr.Dataset(variables, coords)


def captures_of(file: h5py.File, reading: Callable[[], AbstractContextManager[None]]) -> tuple[CaptureLog, ...]:
    """Captures of an open log, in order of time."""
    if ROOT not in file:
        return ()
    numbers = sorted(int(name) for name in file[ROOT])
    return tuple(CaptureLog(number, file[f"{ROOT}/{number}"], reading) for number in numbers)
