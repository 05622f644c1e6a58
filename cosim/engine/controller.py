"""Controllers: plain Python objects that look at the run every period and act through events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from cosim.datacenter.kernel import SiteArrays
from cosim.errors import InputError, Problem
from cosim.feeder.compile import CompiledFeeder
from cosim.load.state import LoadArrays
from cosim.scenario.fields import nearest
from cosim.ups.state import UpsArrays


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


def _place(names: Sequence[str], name: str, noun: str) -> int:
    """Index of a name; InputError with the nearest where there is none."""
    try:
        return names.index(name)
    except ValueError:
        raise InputError(Problem(f"a controller asks for {noun} {name!r}; {nearest(str(name), names)}")) from None


class View:
    """Read-only look at the run as it stood at the end of the last step. Names that do not exist raise InputError."""

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
        return float(self._dc.sites[_place(self._sites, datacenter, "data center")]["p_grid_mw"])

    def p_ai_mw(self, datacenter: str) -> float:
        """AI power of the data center. [MW]"""
        return float(self._dc.sites[_place(self._sites, datacenter, "data center")]["p_ai_mw"])

    def p_need_mw(self, datacenter: str) -> float:
        """Power the data center would take from the feeder if its UPS did nothing. [MW]"""
        return float(self._dc.sites[_place(self._sites, datacenter, "data center")]["p_need_mw"])

    def soc(self, datacenter: str) -> float:
        """State of charge of its UPS, 0 where it has none. [1]"""
        unit = self._ups.units[_place(self._sites, datacenter, "data center")]
        return float(unit["e"] / unit["e_full"]) if unit["present"] else 0.0

    def p_job_mw(self, datacenter: str, job: str) -> float:
        """Power of one job above idle. [MW]"""
        return float(self._load.jobs[_place(self._jobs, f"{datacenter}/{job}", "job")]["p_mw"])
