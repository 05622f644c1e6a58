"""Tasks on workers: as many under way as keep all busy, each told of as it ends, those of dead workers tried again."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from cosim.errors import EnvironmentFailure
from cosim.jit import is_warm
from cosim.study.execute import Order, execute_all, machine_row
from cosim.study.places import Place, connected, start_nursery

WINDOW = 4
"""Tasks under way for each worker: enough that none waits, few enough that the scheduler holds a short list."""
COUNT_EVERY_S = 2.0
"""Between two counts of the workers. [s]"""
TASK_S = 1.0
"""Short runs go to a worker together, as many as take about this long: Dask takes some 20 ms a task. [s]"""
MAX_TOGETHER = 64
"""Most runs that go together without being packed."""

Row = dict[str, Any]
Done = Callable[[Order, Row], None]
"""Called with each task and its row as it ends."""
Work = Callable[[Sequence[Order]], list[Row]]
"""Rows of some tasks, worked out on a worker."""


class Pool:
    """Workers of a place, started when the first task comes and kept for those that follow.

    Parameters
    ----------
    place : Place
    n_pack : int
        Tasks that go to a worker together.
    work : callable
        What a worker does with them.
    """

    def __init__(self, place: Place, n_pack: int = 1, work: Work = execute_all) -> None:
        self._place, self._n_pack, self._work = place, n_pack, work
        self._stack = contextlib.ExitStack()
        self._client: Any = None
        self._run_s: float | None = None
        """What a run took lately on a worker. [s]"""
        self.is_open = False
        """Whether tasks have run."""

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def get_ready(self) -> None:
        """Let what workers of this machine start from load, while this process loads for itself."""
        if self._place.is_local and is_warm():
            start_nursery()

    def run(self, orders: Iterable[Order], done: Done) -> None:
        """Run tasks and tell of each that ends; a task whose workers keep dying tells a row that failed.

        Parameters
        ----------
        orders : iterable of Order
            Taken from it as workers become free.
        done : callable

        Raises
        ------
        EnvironmentFailure
            No cluster, or it was lost; tasks that ended are kept.
        """
        self.is_open = True
        if self._place.is_here:
            for pack in _packed(orders, lambda: self._n_pack):
                _tell(pack, self._work(pack), done)
            return
        if self._client is None:
            self._client = self._stack.enter_context(connected(self._place))
        suspects: list[tuple[Order, ...]] = []
        for pack, rows, _, took_s in _ended(self._client, _packed(orders, self._n_together), self._work):
            if rows is None:
                suspects.append(pack)  # its workers died: perhaps by a neighbour's fault
            else:
                self._note(took_s / len(pack))
                _tell(pack, rows, done)
        for order in itertools.chain.from_iterable(suspects):
            # One at a time, so that no task dies of another's.
            for pack, rows, error, _ in _ended(self._client, [(order,)], self._work):
                _tell(pack, rows if rows is not None else [machine_row(order, error)], done)

    def _note(self, run_s: float) -> None:
        """Take in what a run took; the first of a worker takes longer, so it counts until the next."""
        self._run_s = run_s if self._run_s is None else min(run_s, 0.5 * (self._run_s + run_s))

    def _n_together(self) -> int:
        """How many runs the next task holds: one until it is known how long they take."""
        if self._n_pack > 1 or self._run_s is None:
            return self._n_pack
        return max(1, min(MAX_TOGETHER, int(TASK_S / max(self._run_s, 1e-6))))


def _packed(orders: Iterable[Order], n_together: Callable[[], int]) -> Iterator[tuple[Order, ...]]:
    waiting = iter(orders)
    while pack := tuple(itertools.islice(waiting, n_together())):
        yield pack


def _tell(pack: Sequence[Order], rows: Sequence[Row], done: Done) -> None:
    for order, row in zip(pack, rows, strict=True):
        done(order, row)


Ended = tuple[tuple[Order, ...], list[Row] | None, str, float]
"""A pack, its rows or None where its workers died, what Dask says of their death, and how long it took. [s]"""


def _timed(work: Work, pack: Sequence[Order]) -> tuple[list[Row], float]:
    """What a worker does with a pack, and how long it took. [s]"""
    started = time.perf_counter()
    return work(pack), time.perf_counter() - started


def _ended(client: Any, packs: Iterable[tuple[Order, ...]], work: Work) -> Iterator[Ended]:
    """Packs as they end."""
    from distributed import as_completed

    waiting = iter(packs)
    under_way: dict[str, tuple[Order, ...]] = {}
    # Results come with their futures and in batches: asking for each takes two round trips to the client's loop.
    pool, workers = as_completed(with_results=True, raise_errors=False), _Workers(client)

    def fill() -> None:
        room = WINDOW * max(workers.count(), 1) - len(under_way)
        for pack in itertools.islice(waiting, max(room, 0)):
            # Not pure, and a key of its own: a run goes to a worker once, whatever Dask remembers of others.
            future = client.submit(_timed, work, pack, pure=False)
            under_way[future.key] = pack
            pool.add(future)

    fill()
    for batch in pool.batches():
        ended = []
        for future, result in batch:
            pack = under_way.pop(future.key)
            ended.append((pack, *_outcome(pack, result)))
            future.release()
        fill()
        yield from ended


class _Workers:
    """How many workers there are, asked for seldom: each time is a question to the scheduler."""

    def __init__(self, client: Any) -> None:
        self._client, self._next, self._n = client, 0.0, 0

    def count(self) -> int:
        now = time.monotonic()
        if now >= self._next:
            self._n = len(self._client.ncores())
            self._next = now + COUNT_EVERY_S
        return self._n


def _outcome(pack: Sequence[Order], result: Any) -> tuple[list[Row] | None, str, float]:
    """Rows of a pack, None where workers died under it; words of Dask; how long it took. [s]

    What came with the future decides, not its status: that says `lost` where a worker dies just behind its result.

    Raises
    ------
    EnvironmentFailure
        The scheduler is gone.
    """
    if isinstance(result, BaseException):  # cancelled, which only the client's own end does
        raise EnvironmentFailure("the Dask scheduler was lost; runs that ended are kept, the same command goes on")
    if len(result) == 2:  # of `_timed`
        rows, took_s = result
        return rows, "", took_s
    _, error, _ = result
    words = f"{type(error).__name__}: {error}"
    if type(error).__name__ == "KilledWorker":
        return None, words, 0.0
    return [machine_row(order, words) for order in pack], words, 0.0


def warm_up(feeders: Iterable[tuple[str, str | None]]) -> float:
    """Compile kernels and feeders, so that no worker has to; how long it took. [s]"""
    from cosim.engine.warmup import warm_up as compile_kernels
    from cosim.feeder.feeder import load_feeder

    started = time.perf_counter()
    compile_kernels()
    for name, root in dict.fromkeys(feeders):
        load_feeder(name, root)
    return time.perf_counter() - started
