"""What is worked out of all rows of a study: `analysis.csv`, by kind.

`sensitivity`: first-order and total Sobol indices of each input on each output (Saltelli 2010, by scipy), with
bootstrap intervals. `monte_carlo` and `coincidence`: mean and quantiles of each metric, with intervals.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from cosim.study.folder import write_whole
from cosim.study.stopping import mean_interval, quantile_interval

if TYPE_CHECKING:
    import pandas as pd

    from cosim.study.results import StudyResult

CSV = "analysis.csv"
QUANTILES = (0.05, 0.5, 0.95)
CONFIDENCE = 0.95
N_BOOTSTRAP = 999


def write_analysis(result: StudyResult, config: Any) -> None:
    """Write `analysis.csv` where the study's kind has one.

    Raises
    ------
    InputError
        No run has an output of the study.
    EnvironmentFailure
        It cannot be written.
    """
    found = analysis(result.table, config)
    if found is None:
        return
    from cosim.errors import EnvironmentFailure

    try:
        write_whole(result.folder / CSV, found.to_csv(index=False, lineterminator="\n"))
    except OSError as error:
        raise EnvironmentFailure(f"{result.folder}: cannot write {CSV} ({error.strerror or error})") from error


def analysis(table: pd.DataFrame, config: Any) -> pd.DataFrame | None:
    """What a kind works out of its rows; None where it has nothing to work out."""
    if config.kind == "sensitivity":
        return sobol_table(table, config)
    if config.kind in ("monte_carlo", "coincidence"):
        return estimates(table, config)
    return None


def sobol_table(table: pd.DataFrame, config: Any) -> pd.DataFrame:
    """Sobol indices with their intervals, one row for an output and an input.

    Where a run failed or has no such number, the output's indices are NaN: the design is whole or of no use.
    """
    import pandas as pd

    from cosim.errors import InputError
    from cosim.scenario.fields import nearest

    rows, n_done = [], int((table["status"] != "failed").sum())
    for output in config.outputs:
        if output not in table and n_done:
            raise InputError(f"outputs: no run has the metric {output}; {nearest(output, list(table.columns))}")
        values = np.asarray(table[output], dtype=float) if output in table else np.full(len(table), np.nan)
        for path, indices in zip(config.distributions, _sobol(values, config), strict=True):
            rows.append({"output": output, "input": path, **indices})
    return pd.DataFrame(rows)


def _sobol(values: np.ndarray[Any, Any], config: Any) -> list[dict[str, float]]:
    from scipy.stats import sobol_indices

    n, n_dim = config.n, len(config.distributions)
    names = ("first", "first_low", "first_high", "total", "total_low", "total_high")
    if values.size != n * (n_dim + 2) or not np.isfinite(values).all():
        return [dict.fromkeys(names, np.nan)] * n_dim
    parts = values.reshape(n_dim + 2, 1, n)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # an output that no input moves has no spread to resample
        found = sobol_indices(
            func={"f_A": parts[0], "f_B": parts[1], "f_AB": parts[2:]}, n=n, rng=np.random.default_rng(config.seed)
        )
        spread = found.bootstrap(confidence_level=config.confidence, n_resamples=N_BOOTSTRAP)
    first, total = spread.first_order.confidence_interval, spread.total_order.confidence_interval
    columns = (found.first_order, first.low, first.high, found.total_order, total.low, total.high)
    table = np.array([np.ravel(column) for column in columns]).T
    return [dict(zip(names, map(float, row), strict=True)) for row in table]


def estimates(table: pd.DataFrame, config: Any) -> pd.DataFrame:
    """Mean and quantiles of every metric that differs between runs, with intervals at 95 % confidence.

    A bound that the number of runs is too small for is infinite.
    """
    import pandas as pd

    done = table[table["status"] != "failed"]
    inputs = {"seed", *config.distributions}
    rows = []
    for name in done.select_dtypes("number"):
        values = np.asarray(done[name].dropna(), dtype=float)
        if name in inputs or values.size < 2 or values.min() == values.max():
            continue
        low, high = mean_interval(values, CONFIDENCE)
        row = {"metric": name, "n": values.size, "mean": float(values.mean()), "mean_low": low, "mean_high": high}
        for q in QUANTILES:
            low, high = quantile_interval(values, q, CONFIDENCE)
            key = f"p{100 * q:02.0f}"
            row |= {key: float(np.quantile(values, q)), f"{key}_low": low, f"{key}_high": high}
        rows.append(row)
    return pd.DataFrame(rows)
