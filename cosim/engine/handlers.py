"""What each scheduled event does to the arrays. One function a kind, found by its name."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cosim.engine import protection, starts
from cosim.engine.faults import lasting
from cosim.errors import InputError, Problem
from cosim.load import kernel as load_kernel
from cosim.units import US_PER_S, to_us
from cosim.ups import kernel_ride as ride_kernel

if TYPE_CHECKING:
    from cosim.engine.queue import Event
    from cosim.engine.simulation import Simulation

_Handler = Callable[["Simulation", "Event"], None]


def apply_event(sim: Simulation, event: Event, place: str = "") -> None:
    """Apply a due event to the run, and note it.

    Parameters
    ----------
    sim : Simulation
    event : mapping
        Checked on its own before: `kind` and what that kind needs.
    place : str
        Who asks, for messages; empty for the scenario.

    Raises
    ------
    InputError
        It contradicts what lasts at this time: a dip within a dip, a return of what is not out.
    """
    try:
        _HANDLERS[event["kind"]](sim, event)
    except InputError as error:
        if event["kind"] != "fault_applied":
            raise
        raise InputError([replace(p, path=f"{place}.{p.path}" if place else p.path) for p in error.problems]) from None
    except ValueError as error:
        at = f"{event['kind']} at t = {sim.now_us / US_PER_S:.12g} s"
        raise InputError(Problem(f"{at}: {error}", path=place)) from None


def _begin(sim: Simulation, event: Event, what: str, ends: str) -> None:
    """Note what lasts from now on, and schedule its end where the event has a duration."""
    if event.get("duration_s") is None:
        sim.queue.begin(what, None)
        return
    until_us = sim.now_us + to_us(event["duration_s"])
    sim.queue.begin(what, until_us)
    rest = {k: v for k, v in event.items() if k not in ("kind", "duration_s")}
    sim.queue.push(until_us, {"kind": ends, **rest})


def _job(kernel: Any) -> _Handler:
    def handle(sim: Simulation, event: Event) -> None:
        kernel(sim.load, sim.job_names.index(f"{event['datacenter']}/{event['job']}"), sim.now_us)

    return handle


def _load_changed(sim: Simulation, event: Event) -> None:
    if event.get("scale") is not None:
        sim.compiled.scale_load(event["load"], event["scale"])
        sim.emit("load_changed", event["load"], event["scale"], "scale")
    else:
        sim.compiled.set_load(event["load"], event["p_mw"], event.get("q_mvar"))
        sim.emit("load_changed", event["load"], event["p_mw"], "p_mw")


def _dip_started(sim: Simulation, event: Event) -> None:
    _begin(sim, event, "dip", "dip_ended")
    sim.compiled.set_source(event["vm_pu"], event.get("va_degree", 0.0))
    sim.emit("dip_started", "source", event["vm_pu"], f"phase jump {event.get('va_degree', 0.0):g} degree")


def _dip_ended(sim: Simulation, _: Event) -> None:
    sim.queue.end("dip", sim.now_us)
    sim.compiled.set_source(1.0, 0.0)
    sim.emit("dip_ended", "source", 1.0)


def _source_lost(sim: Simulation, event: Event) -> None:
    _begin(sim, event, "loss of the source", "source_returned")
    sim.compiled.lose_source()
    sim.emit("source_lost", "source")


def _source_returned(sim: Simulation, _: Event) -> None:
    sim.queue.end("loss of the source", sim.now_us)
    sim.compiled.return_source()
    sim.emit("source_returned", "source")


def _fault_applied(sim: Simulation, event: Event) -> None:
    place = f"bus {event['bus']}" if event.get("bus") is not None else f"line {event['line']}"
    _begin(sim, event, lasting(place), "fault_cleared")
    sim.faults.apply(sim, event)


def _fault_cleared(sim: Simulation, event: Event) -> None:
    place = f"bus {event['bus']}" if event.get("bus") is not None else f"line {event['line']}"
    sim.queue.end(lasting(place), sim.now_us)
    sim.faults.clear(sim, place, "its duration is over" if "type" in event else "removed")


def _fault_look(sim: Simulation, event: Event) -> None:
    sim.faults.look(sim, event["switched_us"])


def _fault_extinct(sim: Simulation, event: Event) -> None:
    sim.faults.extinct(sim, event["place"], event["since_us"])


def _switch(kind: str) -> _Handler:
    closed = kind == "switch_closed"

    def handle(sim: Simulation, event: Event) -> None:
        protection.switch(sim, event["switch"], closed)

    return handle


def _ups_service(kind: str) -> _Handler:
    def handle(sim: Simulation, event: Event) -> None:
        outage = f"outage of the UPS of {event['datacenter']}"
        if kind == "ups_in_service":
            sim.queue.end(outage, sim.now_us)
        else:
            _begin(sim, event, outage, "ups_in_service")
        unit = sim.ups.units[sim.sites.index(event["datacenter"])]
        unit["in_service"] = kind == "ups_in_service"
        unit["engaged"] = unit["walking"] = unit["saturated"] = unit["primed"] = 0
        sim.emit(kind, event["datacenter"], float(unit["e"] / unit["e_full"]))

    return handle


def _ups_unlocked(sim: Simulation, event: Event) -> None:
    s = sim.sites.index(event["datacenter"])
    if sim.dc.sites[s]["comp_on"]:
        site = sim.dc.sites[s]
        site["comp_keep"] = 0.0
        ready_us = int(site["comp_ok_us"])  # below zero: its voltage is still low
        sim.emit("ups_unlocked", event["datacenter"], (sim.now_us - ready_us) / US_PER_S if ready_us >= 0 else 0.0)
    else:
        ride_kernel.unlock(sim.ups, s, sim.now_us)


def _ups_reference(sim: Simulation, event: Event) -> None:
    p_mw = event["p_mw"]
    sim.ups.units[sim.sites.index(event["datacenter"])]["p_set_mw"] = math.nan if p_mw is None else p_mw


def _demand_response(kind: str) -> _Handler:
    def handle(sim: Simulation, event: Event) -> None:
        what = f"demand response of {event['datacenter']}"
        unit = sim.ups.units[sim.sites.index(event["datacenter"])]
        if kind == "demand_response_ended":
            sim.queue.end(what, sim.now_us)
            unit["cap_goal_mw"] = math.inf
        else:
            _begin(sim, event, what, "demand_response_ended")
            unit["cap_goal_mw"], unit["cap_ramp"] = event["p_mw"], event["ramp_mw_per_s"]
            unit["cap_us"] = sim.now_us
        sim.emit(kind, event["datacenter"], event["p_mw"])

    return handle


_HANDLERS: dict[str, _Handler] = {
    "job_started": starts.job_started,
    "job_stopped": _job(load_kernel.stop),
    "job_failed": _job(load_kernel.fail),
    "load_changed": _load_changed,
    "dip_started": _dip_started,
    "dip_ended": _dip_ended,
    "source_lost": _source_lost,
    "source_returned": _source_returned,
    "switch_opened": _switch("switch_opened"),
    "switch_closed": _switch("switch_closed"),
    "fault_applied": _fault_applied,
    "fault_cleared": _fault_cleared,
    "fault_look": _fault_look,
    "fault_extinct": _fault_extinct,
    "ups_out_of_service": _ups_service("ups_out_of_service"),
    "ups_in_service": _ups_service("ups_in_service"),
    "ups_unlocked": _ups_unlocked,
    "ups_reference": _ups_reference,
    "demand_response_started": _demand_response("demand_response_started"),
    "demand_response_ended": _demand_response("demand_response_ended"),
    "start_announced": starts.start_announced,
    "start_hold_started": starts.start_hold_started,
    "start_hold_ended": starts.start_hold_ended,
}
