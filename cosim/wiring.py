"""The only wiring (not named run: that is the public function): scenario -> parts -> engine -> record."""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

import cosim
from cosim.errors import InputError, Interrupted, PhysicsError, Problem
from cosim.observers import Captures, Points
from cosim.scenario import Document, FeederNames, Scenario, load_scenario, resolve
from cosim.scenario.schema import as_dict
from cosim.units import US_PER_S

if TYPE_CHECKING:
    from cosim.engine.controller import Controller
    from cosim.engine.simulation import Simulation
    from cosim.feeder.feeder import Feeder
    from cosim.record.recorder import Recorder
    from cosim.record.result import Result

CHECKPOINT_EVERY_S = 3.0
"""Wall time between two checkpoints. [s]"""
FIRST_CHECKPOINT_S = 1.0
"""Wall time before the first one. [s]"""

Progress = Callable[[str, float, float], None]
"""Called with what is being done, simulated time so far and in all [s]."""


def prepare(
    scenario: str | Path | Mapping[str, Any] | Scenario | Document,
    *,
    set: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> tuple[Scenario, Feeder]:
    """Load a scenario and its feeder and hold one against the other.

    Raises
    ------
    InputError
        Every wrong field at once; then everything the feeder lacks.
    """
    return _prepared(scenario, set, seed)


def _prepared(
    scenario: str | Path | Mapping[str, Any] | Scenario | Document,
    overrides: Mapping[str, Any] | None,
    seed: int | None,
    before_feeder: Callable[[], object] = lambda: None,
) -> tuple[Scenario, Feeder]:
    """As `prepare`; what comes before the feeder is done once the scenario is good in itself."""
    from cosim.feeder.feeder import load_feeder

    found: list[Feeder] = []

    def read_names(model: str, dss_root: str | None) -> FeederNames:
        before_feeder()
        found.append(load_feeder(model, dss_root))
        return FeederNames.of(found[-1])

    config = load_scenario(scenario, overrides=overrides, seed=seed, names_of=read_names)
    return config, found[-1]


def run(
    scenario: str | Path | Mapping[str, Any] | Scenario | Document,
    *,
    set: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    seed: int | None = None,
    resume: bool = False,
    controllers: Sequence[Controller] = (),
    progress: Progress | None = None,
    max_block_s: float | None = None,
) -> Result:
    """Run a scenario and write its log.

    Parameters
    ----------
    scenario : str, Path, mapping, Scenario or Document
        File, name of a shipped scenario, or its content.
    set : mapping, optional
        Values by dotted path that replace those of the scenario, e.g. `{"time.duration_s": 60}`.
    out : str or Path, optional
        Log to write; default the scenario's name with `.h5` in the current folder.
    seed : int, optional
        Seed instead of the scenario's.
    resume : bool
        Go on from the last checkpoint of `out`; start afresh where there is none.
    controllers : sequence of Controller
        Called every `period_s`, behind those the scenario names.
    progress : callable, optional
        Told what is being done, and simulated time so far and in all. [s]
    max_block_s : float, optional
        Longest simulated time between two returns from compiled code; results do not depend on it. [s]

    Returns
    -------
    Result
        The log, open for reading.

    Raises
    ------
    InputError
        The scenario is wrong, or `out` is another scenario's log.
    PhysicsError
        No solution exists; the log is whole up to there.
    EnvironmentFailure
        The disk is full or may not be written; what was logged is kept.
    Interrupted
        Ctrl-C or SIGTERM; the log is whole up to there and can be resumed.
    """
    from cosim.engine.ahead import compile_ahead

    config, feeder = _prepared(scenario, set, seed, compile_ahead)
    path = Path(out) if out is not None else Path(f"{config.name}.h5")
    if resume and (finished := _finished(path, resolve(config))) is not None:
        return finished
    return run_prepared(config, feeder, path, resume, controllers, progress, max_block_s)


def run_prepared(
    config: Scenario,
    feeder: Feeder,
    path: Path,
    resume: bool = False,
    controllers: Sequence[Controller] = (),
    progress: Progress | None = None,
    max_block_s: float | None = None,
    compression: str | None = None,
) -> Result:
    """Run what `prepare` gave; as `run`.

    Parameters
    ----------
    compression : str, optional
        Of the file, instead of what the scenario says: `none` for a log that is read once and thrown away.
    """
    tell = progress or (lambda *_: None)
    text = resolve(config)
    tell(*_kernel_words(config))
    from cosim.engine.simulation import Simulation
    from cosim.record.result import Result

    simulation = Simulation(config, feeder, config.folder, [*_named_controllers(config), *controllers])
    captures, points = Captures.of(config, simulation), Points(config, simulation)
    recorder = _recorder(path, text, config, simulation, captures, points, resume, compression)
    with _rare_collection(), _whole_log(recorder):
        _drive(simulation, recorder, captures, points, tell, max_block_s)
    return Result(path, as_dict(config))


@contextlib.contextmanager
def _rare_collection() -> Iterator[None]:
    """Look for garbage rarely: compiling makes millions of objects, and a run makes hardly any."""
    before = gc.get_threshold()
    gc.set_threshold(max(before[0], 100_000), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextlib.contextmanager
def _whole_log(recorder: Recorder) -> Iterator[None]:
    """Bring what was logged to disk where a run breaks off, e.g. because a controller raises."""
    try:
        yield
    except (PhysicsError, Interrupted):
        raise  # finished already
    except BaseException:
        with contextlib.suppress(Exception):
            recorder.finish("failed")
        raise


def _kernel_words(config: Scenario) -> tuple[str, float, float]:
    from cosim.jit import is_warm

    words = "running" if is_warm() else "compiling kernels (once per installation, about a minute)"
    return words, 0.0, config.time.duration_s


def _finished(path: Path, text: str) -> Result | None:
    """The log at `path` if it is complete and of this scenario."""
    from cosim.record.result import open_result
    from cosim.record.resume import resume_state

    if resume_state(path) != "complete":
        return None
    result = open_result(path)
    if result.scenario_yaml != text:
        result.close()
        raise InputError(f"{path}: is the complete log of another scenario; choose another output with -o")
    return result


def _named_controllers(config: Scenario) -> list[Controller]:
    """Controllers that the scenario names, from entry points of the group cosim.controllers."""
    found: list[Controller] = []
    for i, entry in enumerate(config.controllers):
        known = {point.name: point for point in entry_points(group="cosim.controllers")}
        if entry.name not in known:
            raise InputError(
                Problem(
                    f"no installed package offers this controller; known: {', '.join(known) or 'none'}",
                    path=f"controllers.{i}.name",
                    value=entry.name,
                )
            )
        found.append(known[entry.name].load()(**(entry.model_extra or {})))
    return found


def _recorder(
    path: Path,
    text: str,
    config: Scenario,
    simulation: Simulation,
    captures: Captures | None,
    points: Points,
    resume: bool,
    compression: str | None = None,
) -> Recorder:
    """A log to write; with `resume`, the one at `path` and the simulation brought to its checkpoint."""
    from cosim.record.channels import Channel
    from cosim.record.recorder import Recorder
    from cosim.record.resume import resume_state

    channels = [Channel(c.path, c.unit, c.names, c.dtype, c.description, c.labels) for c in simulation.columns]
    facts: dict[str, Any] = {
        "scenario_yaml": text,
        "scenario_name": config.name,
        "seed": config.seed,
        "cosim_version": cosim.__version__,
        "provenance": _provenance()
        | {"folder": str(config.folder.resolve())}
        | _regulated(simulation)
        | _accounts(config),
    }
    if resume and resume_state(path) == "resumable":
        recorder, state = Recorder.resume(path, channels, **facts)
        try:
            simulation.restore({name: np.asarray(value) for name, value in state.items()})
            if captures is not None:
                captures.restore(state)
            points.restore(state)
        except BaseException:
            recorder.finish("interrupted")  # its checkpoint stands
            raise
        return recorder
    return Recorder.create(path, channels, compression=compression or config.log.compression, **facts)


def _regulated(simulation: Simulation) -> dict[str, str | float]:
    """Node that each regulator holds, as JSON: what a picture of taps sets beside them."""
    if simulation.desk is None or not simulation.desk.controls.regulators:
        return {}
    return {"regulated_nodes": json.dumps(simulation.desk.controls.regulated_nodes)}


@functools.cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("numpy", "numba", "scipy", "h5py", "pandapower")}


def _accounts(config: Scenario) -> dict[str, str | float]:
    """Carbon intensity and price over the run, as JSON: their files need not be there when metrics are taken."""
    return {
        f"{key}_series": json.dumps(account.series(config.folder, config.time.duration_s).as_dict())
        for key, account in (("carbon", config.carbon), ("price", config.price))
        if account is not None
    }


def _provenance() -> dict[str, str | float]:
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "command": " ".join(sys.argv)[:400],
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        **_versions(),
    }


@functools.cache
def _cpu_name() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


@contextlib.contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Signals that ask to stop, gathered instead of raised, so that the log ends between two blocks."""
    seen: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield seen
        return

    def note(number: int, _: object) -> None:
        if seen:
            raise KeyboardInterrupt
        seen.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _state(simulation: Simulation, captures: Captures | None, points: Points) -> dict[str, Any]:
    return simulation.state() | (captures.state() if captures is not None else {}) | points.state()


def _drive(
    simulation: Simulation,
    recorder: Recorder,
    captures: Captures | None,
    points: Points,
    tell: Progress,
    max_block_s: float | None,
) -> None:
    """Step to the end, log what comes, keep checkpoints; end the log whole whatever happens."""
    from cosim.engine.totals import run_totals

    started = time.perf_counter()
    end_s = simulation.end_us / US_PER_S
    next_checkpoint = started + FIRST_CHECKPOINT_S
    status: Literal["complete", "collapsed", "interrupted"] = "complete"
    collapse = ""
    with _interrupts() as stops:
        for block in simulation.blocks(max_block_s):
            recorder.append(block.t_us, block.columns)
            for event in block.events:
                recorder.add_event(*event)
                if event[1] == "collapsed":
                    status, collapse = "collapsed", event[4]
            if captures is not None:
                captures.take(block, recorder)
            points.take(block)
            tell("running", block.now_us / US_PER_S, end_s)
            if status == "collapsed" or block.now_us >= simulation.end_us:
                continue
            if stops:
                status = "interrupted"
                recorder.checkpoint(_state(simulation, captures, points))
                break
            if time.perf_counter() > next_checkpoint:
                recorder.checkpoint(_state(simulation, captures, points))
                next_checkpoint = time.perf_counter() + CHECKPOINT_EVERY_S
        counts = captures.finish(recorder) if captures is not None and status != "interrupted" else {}
        totals = run_totals(simulation) | counts | points.finish(simulation.now_us)
        recorder.finish(status, totals, {"wall_s": time.perf_counter() - started})
    at = simulation.now_us / US_PER_S
    if status == "collapsed":
        raise PhysicsError(
            f"no power flow solution exists at t = {at:g} s: {collapse}. The log is whole up to there; "
            f"{simulation.advice}"
        )
    if status == "interrupted":
        raise Interrupted(f"stopped at t = {at:g} s; the log is whole up to there, go on with --resume")
