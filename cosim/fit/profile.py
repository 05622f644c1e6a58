"""Fit energy and runtime of a query by its tokens: e(tin, tout) = a0 tin + a1 tout + a2 tin tout.

Ordinary least squares without a constant, as the workload-based models of Wilkins, Keshav and Mortier have it ("Offline
Energy-Optimal LLM Serving: Workload-Based Energy Models for LLM Inference on Heterogeneous Systems", 2024). R2 is the
uncentred one that goes with it, F tests all three coefficients against none.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy import stats

from cosim.csv_file import csv_rows
from cosim.errors import InputError, Problem
from cosim.fit.as_yaml import as_yaml
from cosim.fit.document import checked_size
from cosim.fit.simulate import SITE
from cosim.load.config_serving import TokenModel

Floats = NDArray[np.float64]

COLUMNS = ("tokens_in", "tokens_out", "energy_j", "runtime_s")
TERMS = ("tokens_in", "tokens_out", "tokens_in x tokens_out")
MIN_ROWS = 6


@dataclass(frozen=True)
class TokenFit:
    """Least squares of one quantity of a query on its tokens."""

    unit: str
    a: tuple[float, float, float]
    error: tuple[float, float, float]
    """Standard errors of the coefficients."""
    p: tuple[float, float, float]
    """Two-sided p values of the coefficients (t test)."""
    r2: float
    """1 - sum of squared residuals / sum of squares, uncentred."""
    f: float
    p_f: float
    n: int

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers."""
        names = ("a0", "a1", "a2")
        return {
            **dict(zip(names, self.a, strict=True)),
            "standard_error": dict(zip(names, self.error, strict=True)),
            "p_value": dict(zip(names, self.p, strict=True)),
            "r2": self.r2,
            "f": self.f,
            "f_p_value": self.p_f,
            "n": self.n,
        }


@dataclass(frozen=True)
class ProfileFit:
    """Energy and runtime of queries on one machine."""

    name: str
    energy: TokenFit | None
    runtime: TokenFit | None
    median: tuple[int, int]
    """Median tokens in and out of the profile."""


def fit_tokens_model(tokens_in: Floats, tokens_out: Floats, y: Floats, unit: str) -> TokenFit:
    """Least squares of y on tokens in, tokens out and their product.

    Parameters
    ----------
    tokens_in, tokens_out, y : ndarray, shape (n,)
    unit : str
        Of y.

    Raises
    ------
    InputError
        The three terms cannot be told apart: too few different queries.
    """
    terms = np.column_stack((tokens_in, tokens_out, tokens_in * tokens_out))
    scale = np.sqrt((terms**2).sum(axis=0))
    if np.linalg.matrix_rank(terms / scale, tol=1e-6) < 3:
        raise InputError("the profile does not tell the three terms apart; vary tokens_in and tokens_out on their own")
    a = np.linalg.lstsq(terms / scale, y, rcond=None)[0]
    left = y - terms / scale @ a
    n = len(y)
    free = n - 3
    residual, whole = float(left @ left), float(y @ y)
    variance = residual / free * np.diag(np.linalg.inv((terms / scale).T @ (terms / scale)))
    a, error = a / scale, np.sqrt(variance) / scale
    f = (whole - residual) / 3 / (residual / free) if residual > 0 else math.inf
    with np.errstate(divide="ignore"):
        p = 2 * stats.t.sf(np.abs(a / error), free)
    three = [tuple(float(v) for v in values) for values in (a, error, p)]
    return TokenFit(unit, three[0], three[1], three[2], 1 - residual / whole, f, float(stats.f.sf(f, 3, free)), n)  # type: ignore[arg-type]


def load_profile(path: Path) -> dict[str, Floats]:
    """A profile: `tokens_in`, `tokens_out` and `energy_j`, `runtime_s` or both.

    Raises
    ------
    InputError
        Columns missing, values that are no finite numbers or not above zero, too few rows; with file and line.
    """
    file = str(path)
    with csv_rows(path, "this profile") as (header, found):
        held = [name for name in COLUMNS if name in header]
        if held[:2] != list(COLUMNS[:2]) or len(held) < 3:
            told = (
                "looks for columns tokens_in, tokens_out and energy_j [J], runtime_s [s] or both in its first line, "
                f"which has {', '.join(header) or 'nothing'}"
            )
            raise InputError(Problem(told, file=file, line=1))
        rows = [_values(row, header, held, file, line) for line, row in found]
    if len(rows) < MIN_ROWS:
        raise InputError(Problem(f"has {len(rows)} queries; a fit needs at least {MIN_ROWS}", file=file))
    return dict(zip(held, np.array(rows).T, strict=True))


def _values(row: list[str], header: list[str], held: list[str], file: str, line: int) -> list[float]:
    values = []
    for name in held:
        place = header.index(name)
        try:
            value = float(row[place]) if place < len(row) else math.nan
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or value <= 0:
            shown = row[place] if place < len(row) else ""
            raise InputError(Problem(f"{name} is not a number above 0", value=shown, file=file, line=line))
        values.append(value)
    return values


def fit_profile(path: Path) -> ProfileFit:
    """Models of what a profile has."""
    table = load_profile(path)
    tokens = table["tokens_in"], table["tokens_out"]
    found = {
        name: fit_tokens_model(*tokens, table[name], unit)
        for name, unit in (("energy_j", "J"), ("runtime_s", "s"))
        if name in table
    }
    median = (max(1, round(float(np.median(tokens[0])))), max(1, round(float(np.median(tokens[1])))))
    return ProfileFit(path.name, found.get("energy_j"), found.get("runtime_s"), median)


def profile_yaml(fit: ProfileFit) -> str:
    """A complete scenario whose queries take the fitted energy and time.

    Raises
    ------
    InputError
        The profile lacks energy or runtime, or the median query has none by the models.
    """
    if fit.energy is None or fit.runtime is None:
        raise InputError(f"{fit.name}: a scenario needs energy_j and runtime_s; it has one of them")
    models = [dict(zip(("a0", "a1", "a2"), part.a, strict=True)) for part in (fit.energy, fit.runtime)]
    tokens_in, tokens_out = fit.median
    energy_j, runtime_s = (TokenModel(**model).of(tokens_in, tokens_out) for model in models)
    if energy_j <= 0 or runtime_s <= 0:
        raise InputError(f"{fit.name}: by these models its median query has {energy_j:.3g} J in {runtime_s:.3g} s")
    rate = float(f"{8 / runtime_s:.3g}")
    count = max(8, math.ceil(2.5 * rate * energy_j / 1000))
    document = {
        "schema": 1,
        "name": "queries of " + fit.name.removesuffix(".gz").removesuffix(".csv"),
        "description": f"Queries whose energy and time were fitted by cosim to {fit.name}; eight at a time.",
        "seed": 1,
        "time": {"duration_s": 600, "step_s": 0.01},
        "feeder": {"model": "case33bw"},
        "datacenters": {
            SITE: {
                "bus": 1,
                "load": {
                    "accelerators": {"count": count, "p_peak_w": 1100, "p_idle_w": 100},
                    "jobs": {
                        "queries": {
                            "kind": "inference",
                            "energy_model": models[0],
                            "runtime_model": models[1],
                            "classes": {
                                "median": {
                                    "tokens_in": tokens_in,
                                    "tokens_out": tokens_out,
                                    "rate": [{"t_s": 0, "rate_per_s": rate}],
                                }
                            },
                            "step_s": min(0.1, float(f"{runtime_s / 4:.2g}")),
                        }
                    },
                },
            }
        },
        "log": {"step_s": 0.1, "nodes": "extremes"},
    }
    return checked_size(as_yaml(document))


def render_profile(fit: ProfileFit, console: Console) -> None:
    """Print the models and how well they fit."""
    for name, part in (("Energy", fit.energy), ("Runtime", fit.runtime)):
        if part is None:
            continue
        table = Table(
            title=f"{name} of a query in {part.unit}: {part.n} queries, R2 {part.r2:.4f}, F {part.f:.5g}, "
            f"p {part.p_f:.3g}",
            title_justify="left",
        )
        for head in ("for each", "coefficient", "standard error", "p"):
            table.add_column(head, justify="left" if head == "for each" else "right")
        for term, a, error, p in zip(TERMS, part.a, part.error, part.p, strict=True):
            table.add_row(term, f"{a:.5g}", f"{error:.2g}", f"{p:.3g}")
        console.print(table)


def profile_json(fit: ProfileFit) -> str:
    """The same for programs."""
    parts = {"energy_j": fit.energy, "runtime_s": fit.runtime}
    found = {name: part.as_dict() for name, part in parts.items() if part is not None}
    for part in found.values():
        part["f"] = part["f"] if math.isfinite(part["f"]) else None
    return json.dumps({"profile": fit.name, **found}, indent=2, allow_nan=False)
