"""What was promised, against what was measured."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from power_flow_tools.session import Row
from power_flow_tools.works import WORKS

EXACT_PU = 1e-7
"""A peer counts as exact where no checked voltage is further off. [pu]"""
ANY, SURFACE = "cosim any", "cosim surface"
FASTEST = {True: ("lightsim2grid time series", "power-grid-model"), False: ("OpenDSS loop",)}
"""Peers, by the beginning of their names, without which no best peer is told: on balanced works, on unbalanced ones."""
FIVE_NODES = ("ieee8500", "case33bw")
"""The large and the small work of which the one is promised to cost less than three times the other."""


@dataclass(frozen=True)
class Verdict:
    """One promise."""

    claim: str
    measured: str
    holds: bool | None
    """None where there is nothing to judge it by."""


class Measured:
    """Rows by work, number of data centers, log and tool."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = [row for row in rows if "max_dvm_pu" in row]
        self.tried = [row for row in rows if not str(row.get("skip", "")).startswith("No module named")]

    def us(self, work: str, n_dc: int, log: str, tool: str) -> float:
        """Time per step, NaN where not measured. [us]"""
        for row in self.rows:
            if (row["work"], row["n_dc"], row["log"], row["tool"]) == (work, n_dc, log, tool):
                return float(row["us_per_step"])
        return math.nan

    def best_peer_us(self, work: str, n_dc: int, log: str) -> float:
        """Time per step of the fastest exact peer, NaN where there is none or a fast one was not tried. [us]"""
        tried = [row["tool"] for row in self.tried if (row["work"], row["n_dc"], row["log"]) == (work, n_dc, log)]
        if not all(any(tool.startswith(peer) for tool in tried) for peer in FASTEST[WORKS[work].is_balanced]):
            return math.nan
        return min(
            (
                float(row["us_per_step"])
                for row in self.rows
                if (row["work"], row["n_dc"], row["log"]) == (work, n_dc, log)
                and not row["tool"].startswith("cosim")
                and row["max_dvm_pu"] <= EXACT_PU
            ),
            default=math.nan,
        )

    def ratios(self, tool: str, n_dc: int, among: Callable[[str], bool], log: str = "all") -> dict[str, float]:
        """Best exact peer over one class of cosim, by work."""
        found = {
            name: self.best_peer_us(name, n_dc, log) / self.us(name, n_dc, log, tool) for name in WORKS if among(name)
        }
        return {name: ratio for name, ratio in found.items() if not math.isnan(ratio)}


def _at_least(claim: str, ratios: dict[str, float], least: float, most_of: bool = False) -> Verdict:
    if not ratios:
        return Verdict(claim, "not measured, or without its fastest peers", None)
    worst = min(ratios, key=lambda name: ratios[name])
    reached = sum(ratio >= least for ratio in ratios.values())
    holds = 2 * reached > len(ratios) if most_of else reached == len(ratios)
    return Verdict(claim, f"{reached} of {len(ratios)} works; least {ratios[worst]:.3g}x ({worst})", holds)


def _below(claim: str, values: dict[str, float], limit: float, unit: str) -> Verdict:
    values = {name: value for name, value in values.items() if not math.isnan(value)}
    if not values:
        return Verdict(claim, "not measured", None)
    worst = max(values, key=lambda name: values[name])
    return Verdict(claim, f"{values[worst]:.3g} {unit} ({worst})", values[worst] < limit)


def _five_nodes(rows: list[Row]) -> Verdict:
    """By the works in turns, where they were; the interval must hold it, not the median alone."""
    claim = "surface, five nodes: 8500-node feeder < 3x case33bw"
    for row in rows:
        if "ratio" in row:
            told = f"{row['ratio']:.3g}x ({row['ratio_low']:.3g} to {row['ratio_high']:.3g} at 95 %)"
            told += f", {len(row['ratios'])} rounds, load {row['load']:.1f}"
            return Verdict(claim, told, row["ratio_high"] < 3.0)
    return Verdict(claim, "not measured", None)


def verdicts(rows: list[Row]) -> list[Verdict]:
    """Every promise of speed that these rows can judge."""
    measured = Measured(rows)
    found = []
    for n_dc, words in ((1, "one data center"), (3, "three data centers")):
        any_radial = measured.ratios(ANY, n_dc, lambda name: WORKS[name].is_balanced and WORKS[name].is_radial)
        any_unbalanced = measured.ratios(ANY, n_dc, lambda name: not WORKS[name].is_balanced)
        found.append(_at_least(f"any, balanced radial works, {words}: >= 8x the best exact peer", any_radial, 8.0))
        found.append(_at_least(f"any, unbalanced works, {words}: >= 2.5x", any_unbalanced, 2.5))
    one, three = (measured.ratios(SURFACE, n_dc, lambda _: True) for n_dc in (1, 3))
    found.append(_at_least("surface, every work, one data center: >= 80x", one, 80.0))
    found.append(_at_least("surface, most works, one data center: >= 100x", one, 100.0, most_of=True))
    found.append(_at_least("surface, every work, three data centers: >= 30x", three, 30.0))
    found.append(_five_nodes(rows))
    terminal = {name: measured.us(name, 1, "terminal", SURFACE) for name in WORKS}
    found.append(_below("surface, a data center's own terminals < 0.5 us", terminal, 0.5, "us"))
    off = {f"{r['work']}, {r['tool']}": r["max_dvm_pu"] for r in measured.rows if r["tool"].startswith("cosim")}
    found.append(_below("cosim within 1e-9 pu of the reference", off, 1e-9, "pu"))
    return found
