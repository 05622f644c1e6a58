"""cosim: an AI data center and the distribution feeder that supplies it, in one time domain.

Where things are; data flows up, each part imports those below it and none above:

    cli         commands
    study/      many runs: sweeps, Monte Carlo, hosting capacity, sizing; local or on a cluster
    fit/        measured trace, requests or profile -> scenario
    estimate/   model, parallelism and accelerator -> step time, memory, power, before anything is measured
    report/     tables and figures from metrics and a record
    wiring      the only place that knows all parts: scenario -> parts -> engine -> record
    metrics/    arrays -> numbers
    record/     HDF5 log: channels, writer, reader
    engine/     clock, event queue, the advance loop, checkpoint
    scenario/   YAML -> one frozen, explicit Scenario
    load/       AI load: phases, jobs, queries, Eq. 9 dynamics
    datacenter/ electrical and thermal chain, Eq. 1-4
    ups/        Bi-way UPS
    feeder/     network arrays from pandapower or OpenDSS; power flow, controls, faults, protection
    area/       frequency behind the source, and what answers it
    converter/  efficiency over load
    catalog/    facts with their source: accelerators, models, servers
    jit, ring, events, units, errors, cores, lazy, cache_folder; doctor says whether an installation works
"""

from __future__ import annotations

from typing import Any

from cosim.lazy import loader

_WHERE = {
    "run": "cosim.wiring",
    "prepare": "cosim.wiring",
    "open_result": "cosim.record.result",
    "Result": "cosim.record.result",
    "load_feeder": "cosim.feeder.feeder",
    "Feeder": "cosim.feeder.feeder",
    "Solution": "cosim.feeder.feeder",
    "load_scenario": "cosim.scenario",
    "Scenario": "cosim.scenario",
    "resolve": "cosim.scenario",
    "summarize": "cosim.metrics",
    "flickermeter": "cosim.metrics.flicker",
    "Flicker": "cosim.metrics.flicker",
    "rainflow_cycles": "cosim.metrics.cycles",
    "open_study": "cosim.study.results",
    "run_study": "cosim.study.study",
    "write_report": "cosim.report.page",
    "CosimError": "cosim.errors",
    "InputError": "cosim.errors",
    "PhysicsError": "cosim.errors",
    "EnvironmentFailure": "cosim.errors",
}
__all__ = sorted(_WHERE)


_load = loader(__name__, _WHERE)


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for."""
    return _version() if name == "__version__" else _load(name)


def _version() -> str:
    """Version of the installed cosim; read when it is first asked for, as `import cosim` is to stay light."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        found = version("cosim-feeder")
    except PackageNotFoundError:
        found = "0+unknown"
    globals()["__version__"] = found
    return found


def __dir__() -> list[str]:
    """Public names."""
    return __all__
