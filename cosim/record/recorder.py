"""Recorder: rows and events of a run into its log, in a stream, safe at any moment."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cosim.errors import EnvironmentFailure, InputError
from cosim.record import checkpoint as sidecar
from cosim.record import codec, layout
from cosim.record.amend import amended, plain, write_metrics
from cosim.record.capture import Capture
from cosim.record.capture_file import write_capture
from cosim.record.channels import TIME_S, TIME_US, Channel, checked
from cosim.record.checkpoint import Checkpoint, State
from cosim.record.failure import as_environment_failure
from cosim.record.opening import open_log, reading
from cosim.record.resume import check_place, check_same, resume_state
from cosim.record.stream import Stream
from cosim.units import US_PER_S

FinalStatus = Literal["complete", "collapsed", "interrupted", "failed"]

__all__ = ["Channel", "Recorder", "resume_state"]


class Recorder:
    """Writes one log. Made by `create` or `resume`.

    Rows gather in memory until they fill a chunk of every dataset; then the chunk is written and flushed,
    so that memory does not grow with duration and a reader sees whole chunks.
    """

    def __init__(self, stream: Stream, channels: Sequence[Channel], run_id: str, n_captures: int = 0) -> None:
        self.path = stream.out
        self.n_captures = n_captures
        self._stream = stream
        self._run_id = run_id
        self._started = time.perf_counter()
        rows = stream.chunk_rows
        self._channels = tuple(channels)
        self._blocks: dict[str, np.ndarray[Any, Any]] = {
            c.path: np.zeros((rows, *c.row_shape), c.dtype) for c in channels
        }
        self._blocks[TIME_S] = np.zeros(rows)
        self._blocks[TIME_US] = np.zeros(rows, np.int64)
        self._n_pending = 0
        self._last_us: int | None = None
        self._settled = np.zeros(0, layout.EVENT)
        self._new_events: list[np.ndarray[Any, Any]] = []

    @classmethod
    def create(
        cls,
        out: Path,
        channels: Sequence[Channel],
        *,
        scenario_yaml: str,
        scenario_name: str,
        seed: int,
        cosim_version: str,
        compression: str = "gzip",
        provenance: Mapping[str, str | float] | None = None,
    ) -> Recorder:
        """Start a log at `out`; a log and a checkpoint that stood there are replaced.

        Parameters
        ----------
        out : Path
            File to write; its folder must exist.
        channels : sequence of Channel
            What is recorded. Channels over no elements are left out of the file.
        scenario_yaml, scenario_name, seed
            The resolved scenario, its name and its seed.
        cosim_version : str
            Version that writes.
        compression : str
            `gzip` or `none`, which every HDF5 reads; or `lz4`, `zstd`, `blosc`, `bitshuffle`, which need
            hdf5plugin to write and to read.
        provenance : mapping, optional
            Versions, CPU, command line, start time: attributes of `/provenance`.

        Returns
        -------
        Recorder
            Ready for rows.

        Raises
        ------
        InputError
            The folder does not exist, or the channels contradict one another.
        EnvironmentFailure
            The disk is full, permission is missing, or another run is writing this log.
        """
        out = Path(out)
        check_place(out)
        codec.check(compression)
        kept = checked(channels)
        run_id = uuid.uuid4().hex
        header = layout.Header(
            scenario_yaml,
            scenario_name,
            seed,
            cosim_version,
            compression,
            {**(provenance or {}), "run_id": run_id},
        )
        stream = Stream(out, kept, header)
        sidecar.path_for(out).unlink(missing_ok=True)
        return cls(stream, kept, run_id)

    @classmethod
    def resume(
        cls,
        out: Path,
        channels: Sequence[Channel],
        *,
        scenario_yaml: str,
        scenario_name: str,
        seed: int,
        cosim_version: str,
        provenance: Mapping[str, str | float] | None = None,
    ) -> tuple[Recorder, State]:
        """Go on with a log from its checkpoint, to the same bits as if it had never stopped.

        The whole chunks before the checkpoint are copied as they are into a new file, which then takes the
        place of the old one; the rows and events behind them come from the checkpoint.

        Parameters
        ----------
        out, channels, scenario_yaml, scenario_name, seed, cosim_version, provenance
            As for `create`; the compression stays what it was.

        Returns
        -------
        recorder : Recorder
            Ready for the rows after the checkpoint.
        state : dict of str to ndarray or bytes
            What `checkpoint` was given.

        Raises
        ------
        InputError
            There is nothing to go on from (see `resume_state`), or scenario, seed, channels or version
            differ from those of the log.
        EnvironmentFailure
            The disk is full or permission is missing; the old log and checkpoint stand.
        """
        out = Path(out)
        if resume_state(out) != "resumable":
            raise InputError(f"{out}: there is no checkpoint to go on from; run again without --resume")
        point = sidecar.read(sidecar.path_for(out))
        assert point is not None
        kept = checked(channels)
        with open_log(out) as earlier:
            with reading(out):
                check_same(out, earlier, kept, scenario_yaml, seed, cosim_version)
                facts = {**plain(earlier["provenance"].attrs), **(provenance or {})}
                facts.update(run_id=point.run_id, n_resumed=float(facts.get("n_resumed", 0)) + 1)
                compression = str(earlier.attrs["compression"])
            codec.check(compression)
            header = layout.Header(scenario_yaml, scenario_name, seed, cosim_version, compression, facts)
            stream = Stream(out, kept, header, earlier, point.n_rows, point.n_events, point.n_captures)
        recorder = cls(stream, kept, point.run_id, point.n_captures)
        recorder._restore(point)
        return recorder, point.state

    def _restore(self, point: Checkpoint) -> None:
        n = len(point.pending[TIME_US])
        for path, rows in point.pending.items():
            self._blocks[path][:n] = rows
        self._n_pending = n
        self._settled = point.events
        self._last_us = point.last_us

    @property
    def n_rows(self) -> int:
        """Rows taken so far, those still in memory included."""
        return self._stream.n_rows + self._n_pending

    @property
    def chunk_rows(self) -> int:
        """Rows that are written together; blocks of a multiple of it pass with the least copying."""
        return self._stream.chunk_rows

    def append(self, t_us: np.ndarray[Any, Any], columns: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Take rows; whole chunks go to disk.

        Parameters
        ----------
        t_us : ndarray of int64, shape (n,)
            Times, strictly increasing, after all earlier ones. [us]
        columns : mapping of str to ndarray
            For every channel its rows, shape (n,) or (n, n_element), in the channel's unit.

        Raises
        ------
        ValueError
            A channel is missing, a shape is wrong, or time goes back: a fault of the caller.
        EnvironmentFailure
            The disk is full; what was logged up to the last whole chunk is kept.
        """
        n = len(t_us)
        if n == 0:
            return
        self._check_rows(t_us, columns)
        done = 0
        while done < n:
            if self._n_pending == self.chunk_rows:
                self._write_chunk()  # refused before; perhaps there is room now
            take = min(self.chunk_rows - self._n_pending, n - done)
            here = slice(self._n_pending, self._n_pending + take)
            self._blocks[TIME_US][here] = t_us[done : done + take]
            for channel in self._channels:
                self._blocks[channel.path][here] = columns[channel.path][done : done + take]
            self._n_pending += take
            self._last_us = int(t_us[done + take - 1])
            done += take
            if self._n_pending == self.chunk_rows:
                self._write_chunk()

    def _check_rows(self, t_us: np.ndarray[Any, Any], columns: Mapping[str, np.ndarray[Any, Any]]) -> None:
        n = len(t_us)
        for channel in self._channels:
            column = columns.get(channel.path)
            if column is None or column.shape != (n, *channel.row_shape):
                found = "nothing" if column is None else f"shape {column.shape}"
                raise ValueError(f"{channel.path}: {found}, expected shape {(n, *channel.row_shape)}")
        follows = self._last_us is None or t_us[0] > self._last_us
        if not follows or (n > 1 and not (t_us[1:] > t_us[:-1]).all()):
            raise ValueError(f"rows from t_us={t_us[0]} do not follow t_us={self._last_us} in rising order")

    def _write_chunk(self) -> None:
        n = self._n_pending
        for block in self._blocks.values():
            block[n:] = 0
        np.divide(self._blocks[TIME_US], US_PER_S, out=self._blocks[TIME_S])
        self._settled = self._stream.write_rows(self._blocks, n, self._events())
        self._new_events.clear()
        self._n_pending = 0

    def _events(self) -> np.ndarray[Any, Any]:
        return np.concatenate([self._settled, np.array(self._new_events, layout.EVENT)])

    def add_event(self, t_us: int, kind: str, element: str, value: float, detail: str = "") -> None:
        """Note an event; it goes to disk with the next chunk or checkpoint.

        Parameters
        ----------
        t_us : int
            Time. [us]
        kind : str
            What happened, past tense; at most 24 bytes.
        element : str
            Name of the element it happened to; at most 48 bytes.
        value : float
            Its size, in the unit that docs/ gives for the kind.
        detail : str
            One line; longer ones are cut to 120 bytes.
        """
        self._new_events.append(layout.event_row(t_us, kind, element, value, detail))

    def capture(self, capture: Capture, channels: Sequence[Channel]) -> None:
        """Write a capture under `/capture/<n>`, n from 1 in the order of the calls; it is readable at once.

        Parameters
        ----------
        capture : Capture
            From a `CaptureDesk`.
        channels : sequence of Channel
            What the columns of its values are, one behind the other; paths within the capture.

        Raises
        ------
        EnvironmentFailure
            The disk is full; everything before stands.
        """
        number = self.n_captures + 1
        self._stream.amend(lambda file: write_capture(file, number, capture, channels))
        self.n_captures = number

    def checkpoint(self, state: Mapping[str, np.ndarray[Any, Any] | bytes]) -> None:
        """Write `<out>.checkpoint`, from which `resume` goes on.

        Parameters
        ----------
        state : mapping of str to ndarray or bytes
            The engine's state after the last row and event given; arrays may be structured.

        Raises
        ------
        EnvironmentFailure
            The disk is full; the log and the checkpoint before this one stand.
        """
        self._settled = self._stream.write_events(self._events())
        self._new_events.clear()
        self._stream.sync()
        n = self._n_pending
        pending = {path: block[:n].copy() for path, block in self._blocks.items() if path != TIME_S}
        point = Checkpoint(
            run_id=self._run_id,
            n_rows=self._stream.n_rows,
            n_events=self._stream.n_events,
            pending=pending,
            events=self._settled,
            state=dict(state),
            last_us=self._last_us,
            n_captures=self.n_captures,
        )
        sidecar.write(sidecar.path_for(self.path), point)

    def finish(
        self,
        status: FinalStatus,
        metrics: Mapping[str, Any] | None = None,
        provenance: Mapping[str, str | float] | None = None,
    ) -> None:
        """Write the rest, the metrics and the status, and close.

        Parameters
        ----------
        status : {"complete", "collapsed", "interrupted", "failed"}
            How the run ended. After all but the first, a checkpoint stays, and `resume` goes on from it.
        metrics : mapping, optional
            Numbers by name, nested or joined by "/"; the unit is read off the name.
        provenance : mapping, optional
            More attributes of `/provenance`, e.g. wall times.

        Raises
        ------
        EnvironmentFailure
            The disk is full; what was logged up to the last whole chunk is kept.
        """
        failure: EnvironmentFailure | None = None
        try:
            if self._n_pending or self._new_events:
                self._write_rest()
            self._stream.close()
        except EnvironmentFailure as error:
            failure = error
            self._stream.abandon()
            status = "failed"
        try:
            self._amend(status, metrics or {}, provenance or {})
        except (OSError, RuntimeError) as error:
            failure = failure or as_environment_failure(error, self.path, "all rows are kept, metrics are not")
        if failure is not None:
            raise failure
        if status == "complete":
            sidecar.path_for(self.path).unlink(missing_ok=True)

    def _write_rest(self) -> None:
        if self._n_pending:
            self._write_chunk()
        else:
            self._settled = self._stream.write_events(self._events())
            self._new_events.clear()

    def _amend(self, status: str, metrics: Mapping[str, Any], provenance: Mapping[str, str | float]) -> None:
        try:
            # Before a checkpoint is given up, the disk must have what replaces it.
            sync = status == "complete" and sidecar.path_for(self.path).exists()
            with amended(self.path, sync) as file:
                write_metrics(file, metrics)
                facts = {"log_wall_s": time.perf_counter() - self._started, **provenance}
                file["provenance"].attrs.update(facts)
                file.attrs["status"] = status
        except OSError:
            with amended(self.path) as file:  # needs no room
                file.attrs["status"] = "failed"
            raise
