"""What a running study knows: its tasks in their order, the rows of those that ended, and its summary on disk."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from cosim.errors import EnvironmentFailure
from cosim.study.execute import Order, done_row, is_machine_row
from cosim.study.packs import read_packs
from cosim.study.progress import Progress
from cosim.study.table import Listed, frame, kept_row, write_summary

SUMMARY_EVERY_S = 2.0
"""Time between two summaries while runs end, at least. [s]"""
SUMMARY_SHARE = 50
"""It is at least this many times what writing one takes."""
SUMMARY_RETRY_S = 10.0
"""Until a summary is tried again that could not be written. [s]"""
MAX_MACHINE = 20
"""Tasks one after the other that the machine may fail before the study stops."""


class State:
    """What is known so far: tasks in their order, rows by run; writes the summary seldom enough to cost no time."""

    def __init__(self, runs: Path, config: Any, retry_failed: bool) -> None:
        self._folder, self._config, self._retry = runs.parent, config, retry_failed
        self._packed = read_packs(runs)
        self.listed: list[Listed] = []
        self.rows: dict[str, dict[str, Any]] = {}
        self._asked: set[str] = set()
        self._next = time.monotonic() + SUMMARY_EVERY_S
        self._n_machine = 0

    def missing(self, orders: Iterable[Order], bar: Progress) -> Iterator[Order]:
        """Orders that have to run, each run once."""
        for order in orders:
            self.listed.append(Listed.of(order))
            if order.run in self._asked:
                bar.skip()
                continue
            self._asked.add(order.run)
            row = done_row(order, self._retry, self._packed)
            if row is None:
                yield order
            else:
                self.take(row)
                bar.skip()

    def take(self, row: dict[str, Any]) -> None:
        """Keep a row, with the metrics that are of use.

        Raises
        ------
        EnvironmentFailure
            The machine failed many tasks in a row: it would fail the rest as well.
        """
        self.rows[row["run"]] = kept_row(row, self._config)
        self._n_machine = self._n_machine + 1 if is_machine_row(row) else 0
        if self._n_machine >= MAX_MACHINE:
            raise EnvironmentFailure(f"{MAX_MACHINE} runs in a row: {row['error']}; the same command goes on")

    def write(self) -> None:
        """Write the summary."""
        if not self.rows:
            return
        started = time.monotonic()
        write_summary(self._folder, frame(self.listed, self.rows, self._config))
        took = time.monotonic() - started
        self._next = started + max(SUMMARY_EVERY_S, SUMMARY_SHARE * took)

    def write_now_and_then(self) -> None:
        """Write it where the last one is old enough; where the disk is full, that one stands."""
        if time.monotonic() >= self._next:
            try:
                self.write()
            except EnvironmentFailure:
                self._next = time.monotonic() + SUMMARY_RETRY_S

    def write_last(self) -> None:
        """Write it; where that fails while another error is on its way, that one is told."""
        another = sys.exc_info()[0] is not None
        try:
            self.write()
        except EnvironmentFailure:
            if not another:
                raise
