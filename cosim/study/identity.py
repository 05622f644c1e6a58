"""What makes a run the same run: its resolved scenario, the files it reads, its seed, the version, its search."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import cosim
from cosim.feeder.cache import content_key
from cosim.feeder.names import is_dss
from cosim.feeder.shipped import shipped_feeder
from cosim.scenario import Scenario, resolve
from cosim.scenario.schema import dss_root

N_DIGIT = 20
"""Hex digits of an identity; a million runs share one with a probability of 4e-13."""


class Identities:
    """Gives identities; keeps hashes of feeders, which many runs share."""

    def __init__(self) -> None:
        self._feeders: dict[tuple[str, str | None], str] = {}
        self.version = cosim.__version__

    def of(self, scenario: Scenario, search: dict[str, Any]) -> str:
        """Hash of everything a result depends on; limits and columns of plain runs are no part of it.

        Parameters
        ----------
        scenario : Scenario
            Resolved; its seed is in it.
        search : dict
            What a search works with; empty for a plain run.
        """
        if search.get("way") == "steady":
            told = json.dumps([scenario.feeder.model_dump(mode="json"), _source(scenario)], sort_keys=True)
        else:
            told = resolve(scenario)
        files = {"/".join(map(str, path)): file_hash(file) for path, file in scenario.trace_files()}
        parts = [told, self.version, self._feeder(scenario), json.dumps([search, files], sort_keys=True)]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:N_DIGIT]

    def _feeder(self, scenario: Scenario) -> str:
        key = scenario.feeder_source, dss_root(scenario.feeder, scenario.folder)
        if key not in self._feeders:
            self._feeders[key] = feeder_key(scenario)
        return self._feeders[key]


def _source(scenario: Scenario) -> Any:
    return None if scenario.source is None else scenario.source.model_dump(mode="json")


def feeder_key(scenario: Scenario) -> str:
    """Hash of the content of a scenario's feeder, whichever files it is read from."""
    name = scenario.feeder_source
    master = Path(name) if is_dss(name) else shipped_feeder(name)
    if master is None:
        return content_key(name)
    from cosim.feeder.dss.scan import scan

    root = dss_root(scenario.feeder, scenario.folder)
    return content_key(name, scan(master, None if root is None else Path(root)))


def file_hash(file: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
