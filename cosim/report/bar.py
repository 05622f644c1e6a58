"""Progress of a run: simulated time, speed and time left on a terminal; a line every 10 % in a log file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


class Bar:
    """Simulated time, speed and time left on a terminal; one line every 10 % in a log file."""

    def __init__(self, console: Callable[[], Console], *, enabled: bool) -> None:
        self._console = console
        self._enabled = enabled
        self._bar: object | None = None
        self._started = time.perf_counter()
        self._first_s: float | None = None
        self._shown = 0.0
        self._words = ""

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()  # type: ignore[attr-defined]

    @property
    def tell(self) -> Callable[[str, float, float], None]:
        """What `cosim.run` calls."""
        return self._tell

    def _tell(self, words: str, now_s: float, end_s: float) -> None:
        if not self._enabled:
            return
        if self._first_s is None or (words == "running" and self._words.startswith("compiling")):
            self._first_s = now_s  # compiling does not count for the speed
            self._started = time.perf_counter()
        if sys.stderr.isatty():
            self._draw(words, now_s, end_s)
            self._words = words
            return
        if words != self._words and words != "running":
            print(words, file=sys.stderr, flush=True)
        self._words = words
        elapsed = time.perf_counter() - self._started
        if now_s - self._shown >= 0.1 * end_s and elapsed > 5:
            self._shown = now_s
            left = elapsed * (end_s - now_s) / max(now_s - self._first_s, 1e-9)
            print(
                f"t = {now_s:g} of {end_s:g} s, {now_s / elapsed:.0f} x real time, {left:.0f} s left", file=sys.stderr
            )

    def _draw(self, words: str, now_s: float, end_s: float) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        if self._bar is None:
            bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[where]}"),
                TimeRemainingColumn(),
                console=self._console(),
                transient=True,
            )
            bar.start()
            bar.add_task(words, total=end_s, where="")
            self._bar = bar
        elapsed = max(time.perf_counter() - self._started, 1e-6)
        speed = (now_s - (self._first_s or 0.0)) / elapsed
        self._bar.update(  # type: ignore[attr-defined]
            0, completed=now_s, description=words, where=f"t = {now_s:.0f} of {end_s:g} s, {speed:,.0f} x real time"
        )
