"""One run: parts, clock and queue; `blocks` steps them and hands out the log as it grows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosim.area.build import build_area
from cosim.area.config import AreaConfig
from cosim.area.kernel import NOBODY
from cosim.datacenter.build import build_sites
from cosim.engine import advance as adv
from cosim.engine import kernel_log as kl
from cosim.engine import protection
from cosim.engine.checkpoint import restore_arrays, store_arrays
from cosim.engine.collapse import report_collapse, warn_of_start
from cosim.engine.columns import Column, extremes, log_columns, sample_columns
from cosim.engine.controller import Controller, View
from cosim.engine.devices import LoggedDevices
from cosim.engine.faults import FaultDesk, is_unbalanced_fault
from cosim.engine.handlers import apply_event
from cosim.engine.points import point_places, take_wave, watched_names, watched_nodes
from cosim.engine.queue import EventQueue
from cosim.engine.rooms import new_clock, new_log
from cosim.engine.samples import captured_places, n_before, ring_size, take_samples
from cosim.engine.serving import serving_columns
from cosim.engine.starts import announce_later
from cosim.errors import InputError, Problem
from cosim.events import AREA_LOAD_SHED, KINDS, START_HELD, SURFACE_GIVEN_UP
from cosim.feeder.checks import make_desk, make_protection, make_shapes
from cosim.feeder.compile import CompiledFeeder
from cosim.feeder.controls.desk import ControlEvent
from cosim.feeder.feeder import Feeder
from cosim.feeder.surfaces import ALLOWED
from cosim.load.build import LoadBuilder
from cosim.scenario.actions import read_action
from cosim.scenario.names import FeederNames
from cosim.scenario.schema import Scenario
from cosim.units import US_PER_S, to_us
from cosim.ups.build import SupplyLimits, build_ups

_WHY = {SURFACE_GIVEN_UP: f"off a full solve; allowed {ALLOWED:g} pu", START_HELD: "its site has no power for it"}
MAX_TICKS = 1_000_000
"""Ticks of one block, so that progress shows and Ctrl-C is heard even where rows are far apart."""


@dataclass
class Block:
    """What one stretch of the run gave: rows (views, valid until the next block) and events."""

    t_us: NDArray[np.int64]
    columns: dict[str, NDArray[np.generic]]
    events: list[tuple[int, str, str, float, str]]
    """Time [us], kind, element, value, detail."""
    now_us: int
    sample_t_us: NDArray[np.int64] | None = None
    """Where the scenario captures: every instant since the last block, and before them those of `pre_s`. [us]"""
    samples: NDArray[np.float32] | None = None
    """[n, width] what `Simulation.capture_columns` names, one column behind the other."""
    wave: tuple[NDArray[np.int64], NDArray[np.float64]] | None = None
    """Every instant since the last block [us], and the voltages of `Simulation.point_names` from it on [pu]: views."""


class Simulation:
    """All parts of one scenario, ready to step.

    Parameters
    ----------
    scenario : Scenario
    feeder : Feeder
    folder : Path
        Where relative file names of the scenario start.
    controllers : sequence of Controller
        Objects whose `on_tick` is called every `period_s`.

    Raises
    ------
    InputError
        A trace that cannot be read, parameters no load or converter can have, a bus the feeder lacks.
    """

    def __init__(
        self, scenario: Scenario, feeder: Feeder, folder: Path, controllers: Sequence[Controller] = ()
    ) -> None:
        self.scenario = scenario
        self.sites = list(scenario.datacenters)
        self.step_us = to_us(scenario.time.step_s)
        self.end_us = to_us(scenario.time.duration_s)
        self.controllers = list(controllers)
        self._names = FeederNames.of(feeder)
        centers = scenario.datacenters
        builder = LoadBuilder(
            {name: dc.load for name, dc in centers.items()}, step_us=self.step_us, seed=scenario.seed, folder=folder
        )
        self.load, self.book = builder.build()
        self.job_names = [f"{site}/{job}" for site, job in builder.names]
        self.ups = build_ups(
            {name: dc.ups for name, dc in centers.items()},
            {
                name: SupplyLimits(**{key: getattr(dc.facility, key) for key in SupplyLimits.__dataclass_fields__})
                for name, dc in centers.items()
            },
            builder.names,
            step_us=self.step_us,
            events=self.load.events,
            n_event=self.load.n_event,
        )
        self.dc = build_sites(
            {name: dc.facility for name, dc in centers.items()},
            builder.most_mw(),
            {name: dc.ups.p_standby_mw if dc.ups else 0.0 for name, dc in centers.items()},
        )
        self.compiled: CompiledFeeder = feeder.compile(
            [dc.bus for dc in centers.values()], scenario.feeder, scenario.source
        )
        for s, dc in enumerate(centers.values()):
            self.compiled.arrays.port_v_min_pu[s] = dc.facility.v_min_pu
            self.compiled.arrays.port_across[s] = dc.facility.v_sensed == "phase_to_phase"
        self.compiled.watch(watched_nodes(scenario, self.compiled))
        self.area = build_area(self._area_config, feeder.network.f_hz)
        self.desk = make_desk(feeder.network, scenario.feeder)
        n_sensor = 0 if self.desk is None else self.desk.rows.n_sensor
        self.protection = make_protection(feeder.network, scenario.feeder, n_sensor)
        self._devices = LoggedDevices.of(feeder.network, self.desk)
        self._ctl = protection.joined_records(self.compiled, self.desk, self.protection)
        self.shapes = make_shapes(feeder.network, scenario.feeder, folder)
        limits = np.array([scenario.feeder.max_dvm_pu, scenario.feeder.max_dp_mw])
        self.clock = new_clock(self.step_us, to_us(scenario.log.step_s), self.end_us, limits)
        points = point_places(scenario, self.compiled)
        n_ring = ring_size(scenario.log.capture, self.step_us, self.compiled.watched.size, len(self.sites))
        sizes = len(self.sites), len(self.load.queues), self._devices.width, n_ring
        self.log = new_log(self.compiled, *sizes, {column.source for column in self.columns}, points)
        self.queue = EventQueue()
        self.faults = FaultDesk()
        self.events: list[tuple[int, str, str, float, str]] = []
        self.device_range = np.tile(self.compiled.device_values(), (2, 1))
        """Lowest and highest tap, or number of steps on, that each device has had."""
        self.advice = ""
        """What would help, once no solution exists."""
        self._schedule()
        warn_of_start(self)

    @property
    def capture_columns(self) -> list[Column]:
        """What a full-rate sample holds, in order; empty without capture."""
        capture = self.scenario.log.capture
        if capture is None:
            return []
        phases, neutrals = watched_names(self.compiled)
        picked = captured_places(capture, self.compiled, [*phases, *neutrals])
        return sample_columns(self.sites, self._with_ups, phases, neutrals, picked)

    @property
    def _area_config(self) -> AreaConfig | None:
        return self.scenario.source.area if self.scenario.source is not None else None

    @property
    def _with_ups(self) -> list[str]:
        return [name for name, dc in self.scenario.datacenters.items() if dc.ups is not None]

    def _schedule(self) -> None:
        if self.shapes is not None:
            self.compiled.set_injections(self.shapes.powers(0))
            self.queue.push(self.shapes.next_us(0), {"kind": "load_shapes", "before_us": 0})
        for event in self.scenario.events:
            entry = event.model_dump()
            announce_later(self, entry)
            self.queue.push(to_us(entry.pop("at_s")), entry)
        for i, controller in enumerate(self.controllers):
            if to_us(controller.period_s) <= 0:
                raise InputError(Problem("must be above 0", f"controllers.{i}.period_s", controller.period_s))
            self.queue.push(to_us(controller.period_s), {"kind": "controller", "index": i})

    @property
    def columns(self) -> list[Column]:
        """Columns of the log, in order."""
        phases, neutrals = watched_names(self.compiled)
        centers = self.scenario.datacenters.items()
        elements: dict[str, Sequence[str]] = {
            "bus": phases,
            "neutral": neutrals,
            "line": self.compiled.line_names,
            "trafo": self.compiled.trafo_names,
        }
        elements |= self._devices.names
        shared = list(range(len(phases), len(phases) + len(neutrals)))
        rows = {**self._devices.rows, **{f"neutral/{name}": shared for name in ("vm_pu", "va_degree", "vm_max_pu")}}
        log = self.scenario.log
        wanted: dict[str, list[str] | None] = {
            "bus": [] if log.nodes == "extremes" else None,
            "line": None if log.lines == "all" else list(log.lines),
        }
        columns = log_columns(
            self.sites,
            self._with_ups,
            elements,
            wanted,
            rows,
            log.quantities,
            self._area_config is not None,
            [name for name, dc in centers if dc.ups is not None and dc.ups.second is not None],
            self.compiled.network.is_balanced and any(is_unbalanced_fault(event) for event in self.scenario.events),
        )
        return [*columns, *serving_columns(self), *(extremes(elements["bus"]) if log.nodes == "extremes" else [])]

    @property
    def point_names(self) -> list[str]:
        """Nodes whose voltage is kept at every instant."""
        return [self.compiled.node_names[self.compiled.watched[k]] for k in self.log.wave_node]

    @property
    def now_us(self) -> int:
        """Simulated time. [us]"""
        return int(self.clock.time[kl.T])

    @property
    def view(self) -> View:
        """What a controller may look at."""
        return View(self.sites, self.job_names, self.load, self.dc, self.ups, self.compiled)

    def emit(self, kind: str, element: str, value: float = 0.0, detail: str = "") -> None:
        """Note an event at the present time."""
        self.events.append((self.now_us, kind, element, float(value), detail))

    def blocks(self, max_block_s: float | None = None) -> Iterator[Block]:
        """Run to the end, a block at a time.

        Parameters
        ----------
        max_block_s : float, optional
            Longest simulated time of a block; results do not depend on it. [s]

        Yields
        ------
        Block
            Ends early behind a `collapsed` event where no solution exists.
        """
        columns, self._capture_columns = self.columns, self.capture_columns
        while True:
            self._work_off_events()
            self.book.turn_to(self.now_us)
            self.clock.time[kl.T_STOP] = self._block_end(max_block_s)
            surfaces = self.compiled.surfaces
            reason = adv.advance(
                self.clock,
                self.load,
                self.dc,
                self.ups,
                self.compiled.arrays,
                surfaces.arrays,
                self._ctl,
                self.area,
                self.compiled.watch_row,
                self.log,
            )
            if surfaces.is_wanted:
                self.compiled.build_surface()
            self._drain_ring()
            if reason == adv.NO_SOLUTION:
                report_collapse(self)
            devices = self._devices.values(self.compiled) if self._devices.width else None
            if reason == adv.CONTROL_DUE:
                self._act()
            n = int(self.log.n_row[0])
            if devices is not None:
                self.log.device[:n] = devices
            rows = {column.path: column.rows(self.log, n) for column in columns}
            events, self.events = self.events, []
            self.log.n_row[0] = 0
            n_kept = n_before(self.scenario.log.capture, self.step_us)
            times, samples = take_samples(self.log, self._capture_columns, n_kept) or (None, None)
            yield Block(self.log.t_us[:n], rows, events, self.now_us, times, samples, take_wave(self.log))
            if reason in (adv.DONE, adv.NO_SOLUTION):
                return

    def _block_end(self, max_block_s: float | None) -> int:
        now = self.now_us
        longest = min(MAX_TICKS * self.step_us, self.book.max_block_us - self.step_us)
        if max_block_s is not None:
            longest = min(longest, max(self.step_us, to_us(max_block_s)))
        longest = min(longest, self.book.known_us - now)
        on_tick = (now + max(longest, self.step_us)) // self.step_us * self.step_us
        return min(self.queue.next_us(self.end_us), on_tick, self.end_us)

    def _work_off_events(self) -> None:
        protection.schedule(self)
        switched = False
        while (event := self.queue.pop_due(self.now_us)) is not None:
            switched |= event["kind"] not in ("controller", "load_shapes", "fault_look")
            if event["kind"] == "controller":
                n_told = len(self.events)
                self._call_controller(event["index"])
                switched |= len(self.events) > n_told
            elif event["kind"] == "protection":
                protection.wake(self, event["device"], event["stamp"])
            elif event["kind"] == "load_shapes":
                self._follow_shapes(event["before_us"])
            else:
                apply_event(self, event)
            protection.schedule(self)
        if switched:
            self.faults.look_later(self)

    def _act(self) -> None:
        """Let controls and protection do what the loop found due."""
        if self.desk is not None:
            self.tell(self.desk.act(self.compiled, self.now_us))
            self._note_devices()
        protection.look(self)

    def tell(self, events: Sequence[ControlEvent]) -> None:
        """Note what controls or protection did."""
        for e in events:
            self.emit(e.kind, e.element, e.value, e.detail)

    def _note_devices(self) -> None:
        present, (low, high) = self.compiled.device_values(), self.device_range
        self.device_range[:] = np.minimum(low, present), np.maximum(high, present)

    def _follow_shapes(self, before_us: int) -> None:
        assert self.shapes is not None
        now_us = self.now_us
        self.compiled.set_injections(self.shapes.follow(self.compiled.injections, before_us, now_us))
        self.queue.push(self.shapes.next_us(now_us), {"kind": "load_shapes", "before_us": now_us})

    def _call_controller(self, index: int) -> None:
        controller = self.controllers[index]
        place = f"controllers.{index}"
        for action in controller.on_tick(self.view, self.now_us / US_PER_S) or ():
            apply_event(self, read_action(action, self.scenario, self._names, place), place)
        self.queue.push(self.now_us + to_us(controller.period_s), {"kind": "controller", "index": index})

    def _drain_ring(self) -> None:
        for t_us, kind, element, value in self.load.events[: self.load.n_event[0]].tolist():
            name = KINDS[kind]
            owner = self.job_names[element] if name.startswith("job_") or kind == START_HELD else self.sites[element]
            if element == NOBODY:
                owner = "area" if kind == AREA_LOAD_SHED else "feeder"
            self.events.append((t_us, name, owner, value, _WHY.get(kind, "")))
        self.load.n_event[0] = 0

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything a run needs to go on with identical bits."""
        stored = store_arrays(load=self.load, dc=self.dc, ups=self.ups, area=self.area, clock=self.clock, log=self.log)
        stored |= {f"feeder/{name}": array for name, array in self.compiled.state().items()}
        if self.desk is not None:
            stored |= {f"desk/{name}": array for name, array in self.desk.state().items()}
        if self.protection is not None:
            stored |= {f"protection/{name}": array for name, array in self.protection.state().items()}
        stored["faults"] = np.frombuffer(self.faults.state().encode(), np.uint8)
        stored["device_range"] = self.device_range.copy()
        stored["queue"] = np.frombuffer(self.queue.state().encode(), np.uint8)
        for i, controller in enumerate(self.controllers):
            if hasattr(controller, "state"):
                stored[f"controller/{i}"] = np.frombuffer(controller.state(), np.uint8)
        return stored

    def restore(self, stored: Mapping[str, NDArray[Any]]) -> None:
        """Take back what `state` gave, in a simulation built from the same scenario.

        Raises
        ------
        InputError
            The controllers are others than those of the run that stopped.
        """
        self.queue.restore(stored["queue"].tobytes().decode())
        n_then, n_now = self.queue.n_of("controller"), len(self.controllers)
        if n_then != n_now:
            raise InputError(
                Problem(
                    f"the run that stopped had {n_then} controllers, this one has {n_now}: resume it from Python with "
                    "the same ones, cosim.run(..., controllers=[...], resume=True), or run again without --resume",
                    path="controllers",
                )
            )
        for i, controller in enumerate(self.controllers):
            if not hasattr(controller, "restore") or f"controller/{i}" not in stored:
                raise InputError(
                    Problem("has no state() and restore(), so this run cannot be resumed", path=f"controllers.{i}")
                )
            controller.restore(stored[f"controller/{i}"].tobytes())
        restore_arrays(stored, load=self.load, dc=self.dc, ups=self.ups, area=self.area, clock=self.clock, log=self.log)
        prefix = "feeder/"
        self.compiled.restore({k[len(prefix) :]: v for k, v in stored.items() if k.startswith(prefix)})
        self.faults.restore(stored["faults"].tobytes().decode())
        self.device_range[:] = stored["device_range"]
        if self.desk is not None:
            self.desk.restore({k[len("desk/") :]: v for k, v in stored.items() if k.startswith("desk/")})
        if self.protection is not None:
            kept = {k.removeprefix("protection/"): v for k, v in stored.items() if k.startswith("protection/")}
            self.protection.restore(kept)
