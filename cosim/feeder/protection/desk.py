"""The protection of one run: devices placed in the network, their records for the kernel, their timers.

The advance loop watches currents against pick-ups only (`controls.kernel.watch`). Where one is above, or a device in
action, it comes back to Python with every change of current; what is due then is scheduled at its exact time.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from cosim.feeder.controls import records
from cosim.feeder.controls.arrays import SensorRows, rows_of
from cosim.feeder.controls.desk import ControlEvent
from cosim.feeder.network import Ints, Network
from cosim.feeder.protection.config import AnyConfig
from cosim.feeder.protection.device import Device, Operation
from cosim.feeder.protection.devices import make_device, pickups
from cosim.feeder.protection.placing import Placed, conductors_of_switch, place_all

_SURFACE_UNIT: Final = 2.5e4
"""Response surfaces hold currents to 4e-10 of this many pick-ups, a hundred-thousandth of one. [1]"""


class Switchable(Protocol):
    """What protection opens and closes: a compiled feeder."""

    def set_poles(self, conductors: Ints, closed: bool) -> None:
        """Open or close conductors of elements."""


@dataclass(frozen=True)
class Wake:
    """When a device wants to be woken."""

    t_us: int
    device: int
    stamp: int
    """Of several wishes of a device the last one counts."""


class ProtectionDesk:
    """All protective devices of one feeder in time.

    Parameters
    ----------
    configs : sequence of device configs
        `feeder.protection`.
    network : Network
    first_sensor : int
        Number of its first sensor among all of the feeder.

    Raises
    ------
    InputError
        If a device stands at what is not there, open, or without supply.
    """

    def __init__(self, configs: Sequence[AnyConfig], network: Network, first_sensor: int = 0) -> None:
        self._network = network
        self.placed: list[Placed] = place_all(configs, network)
        self.devices: list[Device] = [make_device(p.config, p.phases) for p in self.placed]
        self._stamps = [0] * len(self.devices)
        self._wanted: list[int | None] = [None] * len(self.devices)
        sensors = [sensor for p in self.placed for sensor in p.sensors]
        pickup = [np.array(p.pickups_a) for p in self.placed]
        least = [_SURFACE_UNIT * np.minimum(a, a.min()) for a in pickup]
        rows = rows_of(sensors, network)
        others = np.column_stack([np.conj(rows.cond_factor), np.abs(rows.cond_factor)])
        self.rows: SensorRows = replace(
            rows, least=np.concatenate(least), pickup=np.concatenate(pickup), cond_20=others
        )
        self.ctl: NDArray[Any] = np.zeros(len(self.devices), records.CONTROL)
        at = first_sensor
        for record, p in zip(self.ctl, self.placed, strict=True):
            n_phase = len(p.phases)
            record["kind"], record["live"] = records.OVERCURRENT, 1
            record["relay"], record["n_phase"] = at, n_phase
            record["current"], record["n_current"] = at + n_phase, len(p.sensors) - n_phase
            record["low2"], record["high2"] = (a * a for a in pickups(p.config))
            for field in ("due_us", "rev_due_us", "edge_us"):
                record[field] = records.NEVER_US
            record["v_now"] = -1.0
            at += len(p.sensors)

    @property
    def is_awake(self) -> bool:
        """Whether a device is in action."""
        return bool(np.any(self.ctl["pending"] == 1))

    def look(self, compiled: Switchable, sensors: NDArray[np.float64], now_us: int) -> list[ControlEvent]:
        """Show devices the currents that `watch` found changed.

        Parameters
        ----------
        compiled : Switchable
        sensors : array [n_sensor, 2]
            Of all controls of the feeder. [A]
        now_us : int
            [us]
        """
        events = []
        for d in np.flatnonzero(self.ctl["due"] != 0).tolist():
            record, p = self.ctl[d], self.placed[d]
            record["due"] = 0
            first, n = int(record["relay"]), len(p.sensors)
            i_a = np.hypot(sensors[first : first + n, 0], sensors[first : first + n, 1]).tolist()
            currents = i_a if n > len(p.phases) else [*i_a, 0.0]
            told = self.devices[d].look(int(record["acted_us"]), currents)
            events += self._done(d, told, compiled)
            events += self._refreshed(d, compiled, now_us)
        return events

    def blackout(self, compiled: Switchable, now_us: int) -> list[ControlEvent]:
        """The source is gone, and with it all current."""
        events = []
        for d in np.flatnonzero(self.ctl["pending"] == 1).tolist():
            device = self.devices[d]
            if any(device.i_a):
                events += self._done(d, device.look(now_us, [0.0] * len(device.i_a)), compiled)
                self.ctl[d]["v_now"] = -1.0
                events += self._refreshed(d, compiled, now_us)
        return events

    def wake(self, compiled: Switchable, device: int, stamp: int, now_us: int) -> list[ControlEvent]:
        """Let a device do what is due, if it still wants to."""
        if stamp != self._stamps[device]:
            return []
        return self._refreshed(device, compiled, now_us)

    def places(self, name: str) -> Ints:
        """Conductors at which the devices stand that a command to a switch, `line:NAME` or a device reaches.

        A device by its own name, and whatever shares its poles; of a line the devices at both its ends, of a switch at
        one end those there.
        """
        own = [p.conductors for p in self.placed if p.config.name == name]
        return np.concatenate([*own, conductors_of_switch(self._network, name)])

    def command(self, compiled: Switchable, conductors: Ints, closed: bool, now_us: int) -> list[ControlEvent]:
        """Open or close the devices at some conductors by command; closed ones begin anew."""
        events = []
        for d, (p, device) in enumerate(zip(self.placed, self.devices, strict=True)):
            if np.isin(p.conductors, conductors).any():
                told = device.closed(now_us) if closed else device.opened(now_us)
                events += self._done(d, told, compiled)
                if told:
                    self.ctl[d]["v_now"] = -1.0
                    events += self._refreshed(d, compiled, now_us)
        return events

    def wakes(self, now_us: int) -> list[Wake]:
        """Wishes to be woken that are new since the last call."""
        found = []
        for d, device in enumerate(self.devices):
            wanted = device.next_us()
            if wanted == self._wanted[d]:
                continue
            self._wanted[d] = wanted
            self._stamps[d] += 1
            if wanted is not None:
                found.append(Wake(max(wanted, now_us), d, self._stamps[d]))
        return found

    def _refreshed(self, d: int, compiled: Switchable, now_us: int) -> list[ControlEvent]:
        """Do what is due of a device, and have the kernel watch it as it then is."""
        events = self._done(d, self.devices[d].wake(now_us), compiled)
        record = self.ctl[d]
        record["pending"] = int(self.devices[d].is_awake)
        if not record["pending"]:
            record["v_now"] = -1.0
        return events

    def _done(self, d: int, operations: Sequence[Operation], compiled: Switchable) -> list[ControlEvent]:
        p, events = self.placed[d], []
        for operation in operations:
            if operation.poles:
                compiled.set_poles(p.conductors[list(operation.poles)], operation.closes)
            events.append(ControlEvent(operation.kind, p.config.name, operation.value, operation.detail))
        return events

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything that changes, for a checkpoint."""
        text = json.dumps(
            {"stamps": self._stamps, "wanted": self._wanted, "devices": [device.state() for device in self.devices]}
        )
        return {"ctl": self.ctl.copy(), "devices": np.frombuffer(text.encode(), np.uint8)}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Go on from what `state` gave; poles are the feeder's."""
        self.ctl[:] = state["ctl"].view(self.ctl.dtype).reshape(self.ctl.shape)
        stored = json.loads(state["devices"].tobytes().decode())
        self._stamps, self._wanted = stored["stamps"], stored["wanted"]
        for device, kept in zip(self.devices, stored["devices"], strict=True):
            device.restore(kept)
