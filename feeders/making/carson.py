"""Phase impedances and susceptances of overhead lines from conductors and spacings.

Modified Carson equations at 60 Hz and 100 ohm m, Kron reduction of the grounded neutral, and
potential coefficients for the shunt part: W. H. Kersting, Distribution System Modeling and
Analysis, chapters 4 (series) and 5 (shunt).
"""

from __future__ import annotations

import math

import numpy as np

R_EARTH = 0.09530
"""Resistance of the earth return. [ohm/mile]"""
X_LOG = 0.12134
"""Factor of the logarithm. [ohm/mile]"""
X_EARTH = 7.93402
"""Logarithm that stands for the depth of the return. [1]"""
P_LOG = 11.17689
"""Potential coefficient in air per logarithm. [mile/uF]"""
OMEGA = 2 * math.pi * 60

Row = dict[str, str]
Point = tuple[float, float]


def series_impedance(at_ft: list[Point], gmr_ft: list[float], r_ohm_per_mile: list[float], n_phase: int) -> np.ndarray:
    """Phase impedance matrix of conductors at (x, height), phases first, neutrals after them. [ohm/mile]"""
    n = len(at_ft)
    z = np.empty((n, n), complex)
    for i in range(n):
        for j in range(n):
            apart = gmr_ft[i] if i == j else math.dist(at_ft[i], at_ft[j])
            own = r_ohm_per_mile[i] if i == j else 0.0
            z[i, j] = own + R_EARTH + 1j * X_LOG * (math.log(1 / apart) + X_EARTH)
    return _kron(z, n_phase)


def shunt_susceptance(at_ft: list[Point], radius_ft: list[float], n_phase: int) -> np.ndarray:
    """Phase susceptance matrix of conductors at (x, height) above ground. [uS/mile]"""
    n = len(at_ft)
    p = np.empty((n, n))
    for i, (x, y) in enumerate(at_ft):
        for j in range(n):
            image = math.dist((x, y), (at_ft[j][0], -at_ft[j][1]))
            p[i, j] = P_LOG * math.log(image / (radius_ft[i] if i == j else math.dist(at_ft[i], at_ft[j])))
    return OMEGA * np.linalg.inv(_kron(p, n_phase))


def _kron(full: np.ndarray, keep: int) -> np.ndarray:
    """Matrix of the first conductors with the others grounded."""
    if keep == len(full):
        return full
    a, b, c, d = full[:keep, :keep], full[:keep, keep:], full[keep:, :keep], full[keep:, keep:]
    return a - b @ np.linalg.solve(d, c)


def configs_of_constructions(constructions: list[Row], conductors: list[Row], spacings: list[Row]) -> list[Row]:
    """Line configurations in the form of `configs.csv`, one for each construction.

    A construction names the phases from position to position (`bac`), a phase and a neutral
    conductor and a spacing; matrices come out in the order a, b, c.
    """
    wires = {row["conductor"]: row for row in conductors}
    places = {row["spacing"]: row for row in spacings}
    return [_config(row, wires, places[row["spacing"]]) for row in constructions]


def _config(row: Row, wires: dict[str, Row], spacing: Row) -> Row:
    phase, neutral = wires[row["phase_conductor"]], wires[row["neutral_conductor"]]
    order = row["positions"]
    positions = [_point(text) for text in spacing["phases_ft"].split(";")]
    placed = sorted(zip(order, positions, strict=True))
    at = [point for _, point in placed] + [_point(spacing["neutral_ft"])]
    used = [phase] * len(placed) + [neutral]
    n = len(placed)
    z = series_impedance(at, [float(w["gmr_ft"]) for w in used], [float(w["r_ohm_per_mile"]) for w in used], n)
    b = shunt_susceptance(at, [float(w["diameter_in"]) / 24 for w in used], n)
    return {
        "config": row["config"],
        "phases": "".join(name for name, _ in placed),
        "r_ohm_per_mile": _triangle(z.real),
        "x_ohm_per_mile": _triangle(z.imag),
        "b_us_per_mile": _triangle(b),
        "rating_a": phase["rating_a"],
        "conductor": phase["conductor"],
    }


def _point(text: str) -> Point:
    x, y = text.split()
    return float(x), float(y)


def _triangle(matrix: np.ndarray) -> str:
    n = len(matrix)
    return " ".join(f"{matrix[i, j]:.4f}" for i in range(n) for j in range(i, n))
