"""What a run says of a feeder that has no solution, or that cannot be run as it stands at the start."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from cosim.feeder.arrays import LS_FRACTION, LS_P_MW
from cosim.feeder.base_case import LOWEST_PU, base_case, lowest_in_file

if TYPE_CHECKING:
    from cosim.engine.simulation import Simulation

_LOWER = "lower the data center's power or raise datacenters.*.facility.v_min_pu"
_MEND = "lower feeder.load_scaling, or mend the feeder's own loads and source"


def report_collapse(sim: Simulation) -> None:
    """Note that no solution exists: because of the data centers, or of the feeder itself; and what would help."""
    case = base_case(sim.compiled)
    if case.told:
        sim.advice = _MEND
        sim.emit("collapsed", "feeder", 0.0, case.told)
        return
    f = sim.compiled.arrays
    fraction, p_mw, asked_mw = f.last_solvable[LS_FRACTION], f.last_solvable[LS_P_MW], float(f.port_p_mw.sum())
    vm_pu = float(f.port_vm_pu.min(initial=1.0))  # below its window a data center draws less than what it asks
    told = f"asked {asked_mw:.4g} MW; last solvable {fraction:.1%} of that, which draws {p_mw:.4g} MW at {vm_pu:.3g} pu"
    sim.advice = _LOWER
    sim.emit("collapsed", "feeder", p_mw, told)


def warn_of_start(sim: Simulation) -> None:
    """Warn of a feeder that the scenario's scaling, source or load shapes leave without voltage at t = 0.

    Of one that its file leaves so the check of the scenario has warned already.
    """
    if lowest_in_file(sim.compiled.network)[1] < LOWEST_PU:
        return
    case = base_case(sim.compiled)
    if case.told:
        warnings.warn(f"at t = 0 s {case.told}; {_MEND}", UserWarning, stacklevel=3)
