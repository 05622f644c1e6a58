"""Controls and protection of one run side by side: one array of records for the kernel, what is due, what is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cosim.feeder.arrays import READ_ALL, SOURCE_ON
from cosim.feeder.compile import CompiledFeeder
from cosim.feeder.controls.desk import ControlDesk
from cosim.feeder.controls.records import CONTROL
from cosim.feeder.protection.desk import ProtectionDesk

if TYPE_CHECKING:
    from cosim.engine.simulation import Simulation


def joined_records(
    compiled: CompiledFeeder, controls: ControlDesk | None, protection: ProtectionDesk | None
) -> NDArray[Any]:
    """Records of all controls in one array, of which each desk sees its part from now on; sensors likewise."""
    desks = [desk for desk in (controls, protection) if desk is not None]
    if not desks:
        return np.zeros(0, CONTROL)
    rows = desks[0].rows if len(desks) == 1 else desks[0].rows.joined(desks[1].rows)
    compiled.set_sensors(rows)
    joined = np.concatenate([desk.ctl for desk in desks])
    first, n = 0, [desk.ctl.size for desk in desks]
    for desk, size in zip(desks, n, strict=True):
        desk.ctl = joined[first : first + size]
        first += size
    return joined


def look(sim: Simulation) -> None:
    """Show protection the currents that the loop found changed."""
    if sim.protection is not None:
        sim.tell(sim.protection.look(sim.compiled, sim.compiled.arrays.sensor, sim.now_us))


def wake(sim: Simulation, device: int, stamp: int) -> None:
    """Let a device do what is due."""
    if sim.protection is not None:
        sim.tell(sim.protection.wake(sim.compiled, device, stamp, sim.now_us))


def switch(sim: Simulation, name: str, closed: bool) -> None:
    """Open or close a switch, a line or a protective device by its name.

    Closing takes the devices that stand there along: what they had opened closes, and they begin anew. Opening by the
    name of a switch or line moves that one alone.
    """
    kind, desk = "switch_closed" if closed else "switch_opened", sim.protection
    is_device = name not in sim.compiled.switch_names
    if not is_device:
        sim.compiled.set_switch(name, closed)
        sim.emit(kind, name, float(closed))
    if desk is None or not (closed or is_device):
        return
    told = desk.command(sim.compiled, desk.places(name), closed, sim.now_us)
    sim.tell(told)
    if is_device and not told:
        sim.emit(kind, name, float(closed), f"stands {'closed' if closed else 'open'} already")


def schedule(sim: Simulation) -> None:
    """Put into the queue when protective devices want to be woken; have the loop read all currents while one acts."""
    desk = sim.protection
    if desk is None:
        return
    if sim.compiled.arrays.flags[SOURCE_ON] == 0 and desk.is_awake:
        sim.tell(desk.blackout(sim.compiled, sim.now_us))
    for wanted in desk.wakes(sim.now_us):
        sim.queue.push(wanted.t_us, {"kind": "protection", "device": wanted.device, "stamp": wanted.stamp})
    sim.compiled.arrays.flags[READ_ALL] = int(desk.is_awake)
