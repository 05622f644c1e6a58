"""The open HDF5 file of a running log: whole chunks go in, and what is on disk is always readable."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from cosim.errors import CosimError, EnvironmentFailure
from cosim.record import codec, layout, superblock
from cosim.record.amend import amended
from cosim.record.capture_file import ROOT, read_capture, write_capture
from cosim.record.channels import TIME_S, TIME_US, Channel, choose_chunk_rows
from cosim.record.failure import as_environment_failure, errno_of
from cosim.record.opening import reading

_METADATA_BYTES = 16 * 1024
"""Room for what HDF5 adds per dataset and flush (chunk index pages, headers); far above what it takes."""
_KEPT = "what was logged up to the last whole chunk is kept"
_UNSUPPORTED = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.ENODEV}


class Stream:
    """A log open for SWMR writing. Rows go in as whole chunks, events as often as one likes.

    Parameters
    ----------
    out : Path
        The log. It appears there, complete with its layout, once it can take rows.
    channels : sequence of Channel
        Those with at least one element.
    header : layout.Header
        Attributes, scenario and provenance.
    earlier : h5py.File, optional
        Log whose first chunks are taken over, bit for bit.
    n_rows, n_events, n_captures : int
        Rows and events to take over, whole chunks, and captures.

    Raises
    ------
    EnvironmentFailure
        The disk is full, permission is missing, or another process writes this log.
    """

    def __init__(
        self,
        out: Path,
        channels: Sequence[Channel],
        header: layout.Header,
        earlier: h5py.File | None = None,
        n_rows: int = 0,
        n_events: int = 0,
        n_captures: int = 0,
    ) -> None:
        self.out = out
        self.chunk_rows = choose_chunk_rows(channels)
        self.n_rows = n_rows
        self._compression = header.compression
        self._n_events_full = self._n_events_put = n_events
        self._fd = -1
        self._file: h5py.File | None = None
        temporary = out.with_name(out.name + ".tmp")
        try:
            _refuse_second_writer(out)
            self._file = layout.build(temporary, channels, header)
            self._paths = [TIME_S, TIME_US, *(c.path for c in channels)]
            self._find_datasets()
            if earlier is not None:
                self._take_over(earlier)
                for number in range(1, n_captures + 1):
                    with reading(out):
                        capture = read_capture(earlier[f"{ROOT}/{number}"])
                    write_capture(self._file, number, *capture)
            self._file.flush()
            self._file.swmr_mode = True
            self._fd = os.open(temporary, os.O_RDWR)
            superblock.lock_writer(self._fd)
            superblock.clear_marks(self._fd)
            temporary.replace(out)
        except (OSError, RuntimeError, CosimError) as error:
            self.abandon()
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            if isinstance(error, CosimError):
                raise
            raise as_environment_failure(error, out, "what stood there before is untouched") from error

    def _find_datasets(self) -> None:
        assert self._file is not None
        self._data = {path: self._file[path] for path in self._paths}
        self._events = {name: self._file[f"events/{name}"] for name in layout.EVENT.names or ()}

    def _take_over(self, earlier: h5py.File) -> None:
        step = self.chunk_rows
        for path in self._paths:
            source, target = earlier[path].id, self._data[path].id
            target.set_extent((self.n_rows, *target.shape[1:]))
            rest = (0,) * (len(target.shape) - 1)
            for start in range(0, self.n_rows, step):
                mask, chunk = _chunk(self.out, source, (start, *rest))
                target.write_direct_chunk((start, *rest), chunk, mask)
        for name, data in self._events.items():
            data.id.set_extent((self._n_events_full,))
            for start in range(0, self._n_events_full, layout.EVENT_ROWS):
                mask, chunk = _chunk(self.out, earlier[f"events/{name}"].id, (start,))
                data.id.write_direct_chunk((start,), chunk, mask)

    def write_rows(
        self, blocks: Mapping[str, np.ndarray[Any, Any]], n_rows: int, events: np.ndarray[Any, Any]
    ) -> np.ndarray[Any, Any]:
        """Write one chunk of every dataset, then flush.

        Parameters
        ----------
        blocks : mapping of str to ndarray
            By path, times included, each of the full shape of a chunk.
        n_rows : int
            Rows of it that count: all, but for the last chunk of a log.
        events : ndarray
            See `write_events`.

        Returns
        -------
        ndarray
            See `write_events`.

        Raises
        ------
        EnvironmentFailure
            The disk is full; nothing of the chunk was written, everything before it stands.
        """
        self._check_open()
        total = self.n_rows + n_rows
        encoded: dict[str, bytes] = {}
        if self._compression in codec.DIRECT:
            encoded = {path: codec.encode(blocks[path], self._compression) for path in self._paths}
            size = sum(map(len, encoded.values()))
        else:
            size = sum(block.nbytes for block in blocks.values())
        self._reserve(size + events.nbytes + layout.EVENT.itemsize * layout.EVENT_ROWS)
        with self._told():
            for path in self._paths:
                data, tail = self._data[path], blocks[path].shape[1:]  # a dataset asks its file for its shape
                data.id.set_extent((total, *tail))
                if encoded:
                    data.id.write_direct_chunk((self.n_rows,) + (0,) * len(tail), encoded[path])
                else:
                    data[self.n_rows : total] = blocks[path][:n_rows]
            rest = self._put_events(events)
            self._flush()
        self.n_rows = total
        return rest

    def write_events(self, events: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Write events after the last whole chunk of them, over those of them already there.

        Parameters
        ----------
        events : ndarray
            All events since the last whole chunk, of dtype `layout.EVENT`.

        Returns
        -------
        ndarray
            Those that fill no whole chunk yet; they are to be given again.

        Raises
        ------
        EnvironmentFailure
            The disk is full; nothing was written.
        """
        self._check_open()
        self._reserve(events.nbytes + layout.EVENT.itemsize * layout.EVENT_ROWS)
        with self._told():
            rest = self._put_events(events)
            self._flush()
        return rest

    def _put_events(self, events: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        step, first = layout.EVENT_ROWS, self._n_events_full
        if first + events.size == self._n_events_put:  # these stand there
            return events
        padded = np.zeros(-(-events.size // step) * step, layout.EVENT)
        padded[: events.size] = events
        for name, data in self._events.items():
            column = np.ascontiguousarray(padded[name])
            data.id.set_extent((first + events.size,))
            for start in range(0, padded.size, step):
                data.id.write_direct_chunk((first + start,), column[start : start + step].tobytes())
        n_whole = events.size // step * step
        self._n_events_full += n_whole
        self._n_events_put = first + events.size
        return events[n_whole:].copy()

    def amend(self, write: Callable[[h5py.File], None]) -> None:
        """Add new objects between two chunks, which HDF5 takes in a closed file only, and go on.

        Readers in this process are closed, as at the end of the run; those in others go on.

        Parameters
        ----------
        write : callable
            Given the file to add to. What it adds reaches the disk together, or not at all.

        Raises
        ------
        EnvironmentFailure
            The disk is full; everything before stands.
        """
        self._check_open()
        with self._told():
            file, self._file = self._file, None
            assert file is not None
            _close_everywhere(file)
            with amended(self.out) as more:
                write(more)
            superblock.unlock_for_hdf5(self._fd)
            self._file = h5py.File(self.out, "r+", libver=layout.LIBVER, rdcc_nbytes=0)
            self._find_datasets()
            self._file.swmr_mode = True
            superblock.lock_writer(self._fd)
            superblock.clear_marks(self._fd)

    @property
    def n_events(self) -> int:
        """Events that stand in the file as whole chunks."""
        return self._n_events_full

    def sync(self) -> None:
        """Wait until the disk has it all (a power cut spares it, not only a kill)."""
        with self._told():
            os.fsync(self._fd)

    def close(self) -> None:
        """Close the file and let go of it; what could not be flushed is lost, what was flushed stands.

        Raises
        ------
        EnvironmentFailure
            The disk is full.
        """
        with self._told():
            file, self._file = self._file, None
            if file is not None:
                _close_everywhere(file)
        self.abandon()

    def _check_open(self) -> None:
        if self._file is None:
            raise EnvironmentFailure(
                f"{self.out}: closed after a failure to write; {_KEPT}; free some space and go on with --resume"
            )

    def _flush(self) -> None:
        assert self._file is not None
        self._file.flush()
        superblock.clear_marks(self._fd)

    def _reserve(self, size: int) -> None:
        """Claim disk space before HDF5 is asked to write: it does not survive being refused half-way."""
        size += _METADATA_BYTES * len(self._paths)
        assert self._file is not None
        if not hasattr(os, "posix_fallocate"):
            return
        try:
            start = self._file.id.get_filesize()
            os.posix_fallocate(self._fd, start, size)
            superblock.raise_end(self._fd, start + size)
        except OSError as error:
            if errno_of(error) not in _UNSUPPORTED:
                raise as_environment_failure(error, self.out, _KEPT) from error

    @contextlib.contextmanager
    def _told(self) -> Any:
        try:
            yield
        except (OSError, RuntimeError) as error:
            self.abandon()
            raise as_environment_failure(error, self.out, _KEPT) from error

    def abandon(self) -> None:
        """Let go of the file without complaint."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError, RuntimeError, ValueError):
                file.close()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _chunk(log: Path, data: Any, offset: tuple[int, ...]) -> tuple[int, bytes]:
    """Filter mask and bytes of a chunk as they stand in a log; InputError where the log is damaged."""
    with reading(log):
        mask, chunk = data.read_direct_chunk(offset)
        return int(mask), chunk


def _refuse_second_writer(out: Path) -> None:
    """Raise where another process writes `out` at this moment."""
    if not out.exists():
        return
    fd = os.open(out, os.O_RDWR)
    try:
        if not superblock.lock_writer(fd):
            raise EnvironmentFailure(f"{out}: another run is writing this log; wait for it, or choose -o")
    finally:
        os.close(fd)


def _close_everywhere(file: h5py.File) -> None:
    """Close the file, and every handle by which this process reads it.

    In one process HDF5 keeps one image of a file for all handles, and writes the image back when the last of
    them is closed: a reader that outlived the writer would undo what is written after it.
    """
    file.flush()
    for kind in (h5py.h5f.OBJ_ALL & ~h5py.h5f.OBJ_FILE, h5py.h5f.OBJ_FILE):
        for handle in h5py.h5f.get_obj_ids(file.id, kind):
            if handle.id != file.id.id:
                while handle.valid:
                    h5py.h5i.dec_ref(handle)
    file.close()
