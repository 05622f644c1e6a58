"""Feeder: network arrays from pandapower, switches, and the compiled power flow.

`config` is what YAML may say, `names` and `cache` find a feeder, `extract` reads a pandapower network
into the plain arrays of `network`, `ordering` and `topology` turn switch states into nodes and a sparse
pattern, `compile` is the host object, `arrays` what the kernels see, `kernel*` the power flow.
"""

from __future__ import annotations

from typing import Any

from cosim.lazy import loader

_WHERE = {
    "COLLAPSED": "cosim.feeder.arrays",
    "DEAD": "cosim.feeder.arrays",
    "OK": "cosim.feeder.arrays",
    "CompiledFeeder": "cosim.feeder.compile",
    "Feeder": "cosim.feeder.feeder",
    "FeederArrays": "cosim.feeder.arrays",
    "FeederConfig": "cosim.feeder.config",
    "Network": "cosim.feeder.network",
    "Solution": "cosim.feeder.feeder",
    "SourceConfig": "cosim.feeder.config",
    "balance": "cosim.feeder.kernel_flows",
    "change_bound": "cosim.feeder.kernel_flows",
    "from_pandapower": "cosim.feeder.feeder",
    "list_feeders": "cosim.feeder.names",
    "load_feeder": "cosim.feeder.feeder",
    "observe": "cosim.feeder.kernel_flows",
    "solve": "cosim.feeder.kernel",
}
__all__ = sorted(_WHERE)

_load = loader(__name__, _WHERE)


def __getattr__(name: str) -> Any:
    """Load a name when it is first asked for: reading what YAML may say needs no kernels."""
    return _load(name)
