"""Controllers: plain Python objects that look at the run every period and act through events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from cosim.datacenter.kernel import SiteArrays
from cosim.feeder.compile import CompiledFeeder
from cosim.load.state import LoadArrays
from cosim.ups.kernel import UpsArrays


@runtime_checkable
class Controller(Protocol):
    """What a user's controller must have; without `state` and `restore` a run with it cannot be resumed."""

    period_s: float
    """Time between two calls. [s]"""

    def on_tick(self, view: View, t_s: float) -> Iterable[Mapping[str, Any]] | None:
        """Look at the run and return actions: events as the scenario writes them, without `at_s`."""

    def state(self) -> bytes:
        """Everything it must remember."""

    def restore(self, state: bytes) -> None:
        """Take back what `state` gave."""


class View:
    """Read-only look at the run as it stood at the end of the last step."""

    def __init__(
        self,
        sites: Sequence[str],
        jobs: Sequence[str],
        load: LoadArrays,
        dc: SiteArrays,
        ups: UpsArrays,
        compiled: CompiledFeeder,
    ) -> None:
        self._sites, self._jobs = list(sites), list(jobs)
        self._load, self._dc, self._ups, self._feeder = load, dc, ups, compiled

    def vm_pu(self, bus: str) -> float:
        """Voltage of a bus, of its lowest phase, or of one node; 0 where de-energized. [pu]"""
        return self._feeder.vm_pu(bus)

    def p_grid_mw(self, datacenter: str) -> float:
        """Power the data center takes from the feeder. [MW]"""
        return float(self._dc.sites[self._sites.index(datacenter)]["p_grid_mw"])

    def p_ai_mw(self, datacenter: str) -> float:
        """AI power of the data center. [MW]"""
        return float(self._dc.sites[self._sites.index(datacenter)]["p_ai_mw"])

    def soc(self, datacenter: str) -> float:
        """State of charge of its UPS, 0 where it has none. [1]"""
        unit = self._ups.units[self._sites.index(datacenter)]
        return float(unit["e"] / unit["e_full"]) if unit["present"] else 0.0

    def p_job_mw(self, datacenter: str, job: str) -> float:
        """Power of one job above idle. [MW]"""
        return float(self._load.jobs[self._jobs.index(f"{datacenter}/{job}")]["p_mw"])
