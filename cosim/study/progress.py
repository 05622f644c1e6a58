"""How far a study is: a bar on a terminal, a line now and then in a log file."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

EVERY_S = 30.0
"""Between two lines in a log file. [s]"""


class Progress:
    """Runs done and failed, their rate, time left, the worst so far."""

    def __init__(self, n_total: int, quiet: bool) -> None:
        self._total, self._before, self._quiet = n_total, 0, quiet
        self._new = self._failed = 0
        self._worst = ""
        self._started = self._said = time.monotonic()
        self._bar: Any = None

    def __enter__(self) -> Progress:
        if not self._quiet and sys.stderr.isatty():
            self._bar = _bar()
            self._bar.start()
            self._bar.add_task("study", total=self._total, completed=self._before, words="")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def skip(self) -> None:
        """One more row needs no run: it is done already, or the same as another."""
        self._before += 1

    def tell(self, row: dict[str, Any]) -> None:
        """One more run has ended."""
        self._new += 1
        if row["status"] == "failed":
            self._failed += 1
        self._note_worst(row)
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(0, completed=self._before + self._new, words=self._words(now))
        elif not self._quiet and now - self._said > EVERY_S:
            self._said = now
            print(f"{self._before + self._new} of {self._total} runs, {self._words(now)}", file=sys.stderr, flush=True)

    def _note_worst(self, row: dict[str, Any]) -> None:
        vm = row["metrics"].get("voltage.vm_min_pu", row["metrics"].get("vm_min_pu"))
        if vm is not None and (not self._worst or vm < float(self._worst.split()[0])):
            self._worst = f"{vm:.4f} pu"

    def _words(self, now: float) -> str:
        rate = self._new / max(now - self._started, 1e-9)
        left_s = (self._total - self._before - self._new) / rate if rate else 0.0
        worst = f", lowest voltage {self._worst}" if self._worst else ""
        return f"{self._failed} failed, {rate:.2g} a second, {left_s:.0f} s left{worst}"


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[words]}"))
    return Bar(*columns, console=Console(stderr=True, highlight=False), transient=True)
