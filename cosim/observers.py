"""What looks at a run while it steps: captures around events, and points at full step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cosim.errors import InputError, Problem

if TYPE_CHECKING:
    from cosim.engine.simulation import Block, Simulation
    from cosim.record.capture import CaptureDesk
    from cosim.record.channels import Channel
    from cosim.record.recorder import Recorder
    from cosim.scenario import Scenario

_CAPTURE = "capture/"
_POINTS = "points/"
"""Prefixes of what they keep in a checkpoint."""


class Captures:
    """Between the engine's samples and the recorder: what a scenario's `log.capture` keeps of them."""

    def __init__(self, desk: CaptureDesk, channels: Sequence[Channel]) -> None:
        self._desk, self._channels = desk, channels

    @classmethod
    def of(cls, config: Scenario, simulation: Simulation) -> Captures | None:
        """None where the scenario captures nothing.

        Raises
        ------
        InputError
            This engine hands out no samples.
        """
        if config.log.capture is None:
            return None
        from cosim.record.capture import CaptureDesk, width_of
        from cosim.record.channels import Channel

        columns = getattr(simulation, "capture_columns", None)
        if columns is None:
            raise InputError(Problem("full-rate samples are not to be had from this engine", path="log.capture"))
        channels = [Channel(c.path, c.unit, c.names, "f4", c.description) for c in columns]
        return cls(CaptureDesk(config.log.capture, width_of(channels)), channels)

    def take(self, block: Block, recorder: Recorder) -> None:
        """Write the captures that a block completes."""
        if block.sample_t_us is None or block.samples is None:
            return
        for capture in self._desk.take(block.sample_t_us, block.samples, block.events):
            recorder.capture(capture, self._channels)

    def finish(self, recorder: Recorder) -> dict[str, float]:
        """Write the capture under way at the end of the run; how many there are."""
        for capture in self._desk.finish():
            recorder.capture(capture, self._channels)
        return {"capture/n_capture": float(recorder.n_captures), "capture/n_event_missed": float(self._desk.n_missed)}

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {f"{_CAPTURE}{key}": value for key, value in self._desk.state().items()}

    def restore(self, stored: Mapping[str, Any]) -> None:
        """Take back what `state` gave."""
        mine = {key.removeprefix(_CAPTURE): value for key, value in stored.items() if key.startswith(_CAPTURE)}
        self._desk.restore(mine)


class Points:
    """Between the engine's instants and the metrics: what the scenario's `log.points` make of them."""

    def __init__(self, config: Scenario, simulation: Simulation) -> None:
        from cosim.metrics.points import PointMeters

        names = getattr(simulation, "point_names", [])
        self._meters = PointMeters(names, config.log.points.lamp, simulation.step_us) if names else None

    def take(self, block: Block) -> None:
        """Take in the instants of a block."""
        if self._meters is not None and block.wave is not None:
            self._meters.update(*block.wave)

    def finish(self, now_us: int) -> dict[str, Any]:
        """Metrics at the end of the run."""
        return {} if self._meters is None else dict(self._meters.finish(now_us))

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {} if self._meters is None else {f"{_POINTS}{k}": v for k, v in self._meters.state().items()}

    def restore(self, stored: Mapping[str, Any]) -> None:
        """Take back what `state` gave."""
        if self._meters is not None:
            n = len(_POINTS)
            self._meters.restore({k[n:]: np.asarray(v) for k, v in stored.items() if k.startswith(_POINTS)})
