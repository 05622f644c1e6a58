"""Starts of jobs as the grid sees them: announced ahead, held back until the utility allows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cosim.datacenter.steady import steady_grid_mw
from cosim.load import kernel as load_kernel
from cosim.load.weights import highest_mw
from cosim.units import US_PER_S, to_us

if TYPE_CHECKING:
    from cosim.engine.queue import Event
    from cosim.engine.simulation import Simulation


def announce_later(sim: Simulation, event: Event) -> None:
    """Schedule the announcement of a start that the scenario has. `event` has its `at_s`."""
    if event.get("notice_s") is not None:
        told = {key: event[key] for key in ("datacenter", "job", "at_s", "notice_s", "p_mw")}
        sim.queue.push(to_us(event["at_s"]) - to_us(event["notice_s"]), {"kind": "start_announced", **told})


def start_announced(sim: Simulation, event: Event) -> None:
    """The site tells how much will be drawn more, and from when on."""
    due = f"due at t = {event['at_s']:.12g} s, {event['notice_s']:.12g} s ahead"
    sim.emit("start_announced", f"{event['datacenter']}/{event['job']}", expected_mw(sim, event), due)


def expected_mw(sim: Simulation, event: Event) -> float:
    """Rise of the power from the feeder that a start is announced with. [MW]

    Where the site does not give it: of its steady state with nothing but idle accelerators to that with this job at its
    highest stage.
    """
    if event.get("p_mw") is not None:
        return float(event["p_mw"])
    s, config = sim.sites.index(event["datacenter"]), sim.scenario.datacenters[event["datacenter"]]
    standby_mw = config.ups.p_standby_mw if config.ups is not None else 0.0
    idle_mw = float(sim.load.p_const_mw[s])
    job_mw = highest_mw(config.load, event["job"], sim.now_us / US_PER_S)
    low, high = (steady_grid_mw(sim.dc.sites[s], p_mw, standby_mw) for p_mw in (idle_mw, idle_mw + job_mw))
    return high - low


def job_started(sim: Simulation, event: Event) -> None:
    """The job starts, or waits where the utility holds starts."""
    name = f"{event['datacenter']}/{event['job']}"
    until_us = sim.queue.until_us(_hold(event))
    if until_us is None:
        load_kernel.start(sim.load, sim.job_names.index(name), sim.now_us)
        return
    sim.emit("start_held", name, expected_mw(sim, event), f"until t = {until_us / US_PER_S:.12g} s")
    sim.queue.push(until_us, event)


def start_hold_started(sim: Simulation, event: Event) -> None:
    """No job of a site may start for so long."""
    until_us = sim.now_us + to_us(event["duration_s"])
    sim.queue.begin(_hold(event), until_us)
    sim.queue.push(until_us, event | {"kind": "start_hold_ended"})
    sim.emit("start_hold_started", event["datacenter"], event["duration_s"])


def start_hold_ended(sim: Simulation, event: Event) -> None:
    """Starts are allowed again; those that waited follow at once."""
    sim.queue.end(_hold(event), sim.now_us)
    sim.emit("start_hold_ended", event["datacenter"], event["duration_s"])


def _hold(event: Event) -> str:
    return f"hold on starts of {event['datacenter']}"
