"""July 2024 as it was, and what would have prevented it: the runs and their figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import cosim
from cosim.metrics.load_loss import load_losses

SITES = [f"campus_{i}" for i in range(1, 7)]


def every(path: str, value: Any, sites: list[str] = SITES) -> dict[str, Any]:
    return {f"datacenters.{site}.{path}": value for site in sites}


BORNE = [{"vm_pu": 0.1, "t_s": 0.02}, {"vm_pu": 0.7, "t_s": 0.15}, {"vm_pu": 0.9, "t_s": 10.0}]
NO_COUNTER = every("ups.ride_through.counter", None)
CURVE = every("ups.ride_through.low", BORNE)
ON_AC = every("ups.topology", "ac_dc", SITES[::2]) | every("ups.max_p_ac_mw", 260, SITES[::2])
MEASURES: dict[str, dict[str, Any]] = {
    "as it was: three dips in 60 s lock out": {},
    "half of the sites on `ac_dc`": ON_AC,
    "no counter": NO_COUNTER,
    "no counter, walk-in of 10 MW/s a site": NO_COUNTER | every("ups.ride_through.walk_in_mw_per_s", 10),
    "no counter, half of the sites on `ac_dc`": NO_COUNTER | ON_AC,
    "dips to 0.1 pu borne for 150 ms": CURVE,
    "the same, contactors hold to 0.1 pu": CURVE | every("facility.cooling.v_drop_pu", 0.1),
}


def figures(folder: Path, name: str, changes: dict[str, Any]) -> tuple[dict[str, float], np.ndarray, np.ndarray]:
    """Figures of one run; times [s] and power of all sites [MW]."""
    out = folder / f"{list(MEASURES).index(name)}.h5"
    with cosim.run("incidents/july_2024", set=changes, out=out) as result:
        t_s = result.t_s
        p_mw = sum(result.read(f"datacenter/{site}/p_grid_mw") for site in SITES)
        vm_pu = result.read("bus/vm_min_pu")[:, result.names("bus").index("grid.1")]
        (loss,) = load_losses(t_s, vm_pu, p_mw, t_s[1] - t_s[0])
        totals = result.metrics
        highest = float(result.read("bus/vm_max_pu").max())
    missing = {f"not_back_{key}": value for key, value in loss.not_returned_mw.items()}
    numbers = {
        "before_mw": loss.before_mw,
        "lost_mw": loss.lost_mw,
        **missing,
        "n_lockout": sum(totals["ups"][site]["n_lockout"] for site in SITES),
        "n_transfer": sum(totals["ups"][site]["n_transfer"] for site in SITES),
        "without_cooling_s": sum(totals["datacenter"][site]["without_cooling_s"] for site in SITES) / len(SITES),
        "down_s": max(totals["datacenter"][site]["down_s"] for site in SITES),
        "highest_pu": highest,
    }
    return numbers, t_s, p_mw
