"""What each scheduled event does to the arrays. One function a kind, found by its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cosim.errors import InputError, Problem
from cosim.load import kernel as load_kernel
from cosim.units import to_us

if TYPE_CHECKING:
    from cosim.engine.queue import Event
    from cosim.engine.simulation import Simulation

_Handler = Callable[["Simulation", "Event"], None]


def apply_event(sim: Simulation, event: Event) -> None:
    """Apply a due event to the run, and note it.

    Raises
    ------
    InputError
        A kind or an element that does not exist (from a controller; a scenario's events are checked before).
    """
    handler = _HANDLERS.get(event.get("kind", ""))
    if handler is None:
        raise InputError(Problem(f"no such event kind; known: {', '.join(_HANDLERS)}", value=event.get("kind")))
    try:
        handler(sim, event)
    except (KeyError, ValueError) as error:
        raise InputError(Problem(f"event {event['kind']}: {error}", value=event)) from None


def _later(sim: Simulation, event: Event, kind: str) -> None:
    """Schedule the end of an event that has a duration."""
    if event.get("duration_s") is not None:
        rest = {k: v for k, v in event.items() if k not in ("kind", "duration_s")}
        sim.queue.push(sim.now_us + to_us(event["duration_s"]), {"kind": kind, **rest})


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
    sim.compiled.set_source(event["vm_pu"], event.get("va_degree", 0.0))
    sim.emit("dip_started", "source", event["vm_pu"], f"phase jump {event.get('va_degree', 0.0):g} degree")
    _later(sim, event, "dip_ended")


def _dip_ended(sim: Simulation, _: Event) -> None:
    sim.compiled.set_source(1.0, 0.0)
    sim.emit("dip_ended", "source", 1.0)


def _source_lost(sim: Simulation, event: Event) -> None:
    sim.compiled.lose_source()
    sim.emit("source_lost", "source")
    _later(sim, event, "source_returned")


def _source_returned(sim: Simulation, _: Event) -> None:
    sim.compiled.return_source()
    sim.emit("source_returned", "source")


def _switch(kind: str) -> _Handler:
    closed = kind == "switch_closed"

    def handle(sim: Simulation, event: Event) -> None:
        sim.compiled.set_switch(event["switch"], closed)
        sim.emit(kind, event["switch"], float(closed))

    return handle


def _ups_service(kind: str) -> _Handler:
    def handle(sim: Simulation, event: Event) -> None:
        unit = sim.ups.units[sim.sites.index(event["datacenter"])]
        if not unit["present"]:
            raise ValueError(f"{event['datacenter']} has no UPS")
        unit["in_service"] = kind == "ups_in_service"
        unit["engaged"] = unit["restoring"] = unit["saturated"] = 0
        sim.emit(kind, event["datacenter"], float(unit["e"] / unit["e_full"]))
        if kind == "ups_out_of_service":
            _later(sim, event, "ups_in_service")

    return handle


_HANDLERS: dict[str, _Handler] = {
    "job_started": _job(load_kernel.start),
    "job_stopped": _job(load_kernel.stop),
    "job_failed": _job(load_kernel.fail),
    "load_changed": _load_changed,
    "dip_started": _dip_started,
    "dip_ended": _dip_ended,
    "source_lost": _source_lost,
    "source_returned": _source_returned,
    "switch_opened": _switch("switch_opened"),
    "switch_closed": _switch("switch_closed"),
    "ups_out_of_service": _ups_service("ups_out_of_service"),
    "ups_in_service": _ups_service("ups_in_service"),
}
