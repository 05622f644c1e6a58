"""Feeder: network arrays from pandapower, switches, and the compiled power flow.

`config` is what YAML may say, `names` and `cache` find a feeder, `extract` reads a pandapower network
into the plain arrays of `network`, `ordering` and `topology` turn switch states into nodes and a sparse
pattern, `compile` is the host object, `arrays` what the kernels see, `kernel*` the power flow.
"""

from __future__ import annotations

from cosim.feeder.arrays import COLLAPSED, DEAD, OK, FeederArrays
from cosim.feeder.compile import CompiledFeeder
from cosim.feeder.config import FeederConfig, SourceConfig
from cosim.feeder.feeder import Feeder, Solution, from_pandapower, load_feeder
from cosim.feeder.kernel import solve
from cosim.feeder.kernel_flows import balance, change_bound, observe
from cosim.feeder.names import list_feeders
from cosim.feeder.network import Network

__all__ = [
    "COLLAPSED",
    "DEAD",
    "OK",
    "CompiledFeeder",
    "Feeder",
    "FeederArrays",
    "FeederConfig",
    "Network",
    "Solution",
    "SourceConfig",
    "balance",
    "change_bound",
    "from_pandapower",
    "list_feeders",
    "load_feeder",
    "observe",
    "solve",
]
