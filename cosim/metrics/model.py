"""The feeder that a log is of, read again from its model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cosim.errors import CosimError
from cosim.feeder.feeder import Feeder, load_feeder
from cosim.feeder.names import is_path
from cosim.metrics.log import Log


def feeder_of(log: Log) -> Feeder | None:
    """Feeder of a run; None where its model cannot be read from here.

    A path is looked for from the folder in which the scenario stood, which the log's provenance tells, then from the
    current one.
    """
    told: Mapping[str, Any] = log.scenario.get("feeder") or {}
    model = str(told.get("model") or "")
    folder = str(getattr(log, "provenance", {}).get("folder", ""))
    for start in (folder, "") if is_path(model) and folder else ("",):
        try:
            return load_feeder(*(_from(start, told.get(key)) for key in ("model", "dss_root"))) if model else None
        except (CosimError, OSError):
            continue
    return None


def _from(folder: str, path: Any) -> Any:
    return str(Path(folder) / str(path)) if folder and path is not None else path
