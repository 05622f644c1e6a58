"""Energy per piece of work: what a facility took from the grid for an iteration, a token, a query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cosim.metrics.log import Log

_UNIT = {"token": ("j", 3.6e9), "query": ("wh", 1e6), "request": ("wh", 1e6)}
"""Unit of the energy per piece, and how many of it are a MWh; kWh where nothing is said."""
_PARTS = {"prefill": "token_in", "decode": "token_out"}
"""Of which pieces a part of the energy is the work."""


@dataclass(frozen=True)
class Work:
    """What one job did, and its share of the facility's energy."""

    count: dict[str, float]
    """Pieces by kind: iteration, token, query, token_in, token_out, ..."""
    e_above_idle_mwh: float
    """Energy of its accelerators above idle, by the engine. [MWh]"""
    e_mwh: float
    """Energy of the facility, shared among its jobs as their energy above idle is. [MWh]"""
    part: dict[str, float]
    """Parts of that by name: prefill, decode. [MWh]"""

    def per_piece(self) -> dict[str, float]:
        """Energy per piece, by key: `e_kwh_per_iteration`, `e_j_per_token`; tokens in and out by their own parts."""
        pieces = dict(self.count)
        if "token_in" in pieces and "token_out" in pieces:
            pieces.setdefault("token", pieces["token_in"] + pieces["token_out"])
        energies = {kind: self.e_mwh for kind in pieces if not kind.startswith("token_")}
        energies |= {_PARTS[name]: e_mwh for name, e_mwh in self.part.items() if name in _PARTS}
        found = {}
        for kind, e_mwh in energies.items():
            if pieces.get(kind, 0.0) > 0.0:
                unit, factor = _UNIT.get("token" if kind.startswith("token") else kind, ("kwh", 1e3))
                found[f"e_{unit}_per_{kind}"] = e_mwh * factor / pieces[kind]
        return found

    def summary(self) -> dict[str, float]:
        """Plain numbers."""
        numbers = {f"n_{kind}": n for kind, n in self.count.items()}
        numbers |= {"e_above_idle_mwh": self.e_above_idle_mwh, "e_mwh": self.e_mwh}
        numbers |= {f"e_{name}_mwh": e_mwh for name, e_mwh in self.part.items()}
        return numbers | self.per_piece()


def work_of(log: Log, site: str, e_site_mwh: float | None) -> dict[str, Work]:
    """Work of every job of a data center that counts something; empty where the run has not ended.

    Parameters
    ----------
    log : Log
        Its totals have, by job, `n_<kind>` (counts), `e_mwh` (energy above idle) and `e_<part>_mwh` (parts of that).
    site : str
        The data center.
    e_site_mwh : float or None
        Energy of its facility, less what its UPS holds more than at the start. [MWh]
    """
    jobs: Mapping[str, Any] = (log.metrics.get("job") or {}).get(site) or {}
    above = {name: float(totals["e_mwh"]) for name, totals in jobs.items() if "e_mwh" in totals}
    whole_mwh = sum(above.values())
    if e_site_mwh is None or whole_mwh <= 0.0:
        return {}
    found = {}
    for name, e_mwh in above.items():
        totals = jobs[name]
        told = {key.removeprefix("n_"): float(n) for key, n in totals.items() if key.startswith("n_")}
        count = {kind: n for kind, n in told.items() if not kind.endswith("_lost")}
        if not count:
            continue
        share = e_site_mwh / whole_mwh
        part = {p: share * float(totals[f"e_{p}_mwh"]) for p in _PARTS if f"e_{p}_mwh" in totals}
        found[name] = Work(count, e_mwh, share * e_mwh, part)
    return found
