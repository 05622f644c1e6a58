"""From load configs to the arrays that the load kernel steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosim.errors import InputError, Problem
from cosim.events import new_ring
from cosim.load import state as k
from cosim.load.build_serving import QueueBuilder
from cosim.load.build_visits import add_states, highest
from cosim.load.config import (
    AcceleratorsConfig,
    FailureConfig,
    FineTuningConfig,
    InferenceConfig,
    InterruptConfig,
    LoadConfig,
    QueryClassConfig,
    SemiMarkovConfig,
    ServingConfig,
    TraceConfig,
    TrainingConfig,
)
from cosim.load.config_dynamics import DynamicsConfig, NoiseConfig
from cosim.load.draws import DrawBook, Stream
from cosim.load.kernel_lag import EDGE, set_edge
from cosim.load.mitigation import MitigationConfig
from cosim.load.response import response_range
from cosim.load.trace import trace_samples
from cosim.load.weights import job_weight
from cosim.units import S_PER_H, US_PER_S, W_PER_MW, to_us

NOISE_SIGMAS = 4.0
"""Standard deviations of noise that ratings left open make room for."""
_Rows = list[tuple[Any, ...]]


class LoadBuilder:
    """Collects the rows of every job of every site, then freezes them into `LoadArrays`."""

    def __init__(self, sites: Mapping[str, LoadConfig], *, step_us: int, seed: int, folder: Path) -> None:
        self.sites, self.step_us, self.folder, self.seed = sites, step_us, folder, seed
        self.names: list[tuple[str, str]] = [(site, job) for site, load in sites.items() for job in load.jobs]
        self.jobs: NDArray[Any] = np.zeros(len(self.names), k.JOB)
        self.stages: _Rows = []
        self.segments: _Rows = []
        self.weights: _Rows = []
        self.classes: _Rows = []
        self.samples: _Rows = []
        self.states: _Rows = []
        self.quantiles: list[float] = []
        self.streams: list[Stream] = []
        self.serving = QueueBuilder(step_us, seed, folder)
        self.n_ring = 0
        self.const_mw: list[float] = []
        self.swing_factor = [1.0] * len(sites)
        for _s, load in enumerate(sites.values()):
            fleet = load.accelerators
            self.const_mw.append(load.p_base_mw + (fleet.count * fleet.p_idle_w / W_PER_MW if fleet else 0.0))
        for i, (site, name) in enumerate(self.names):
            self._add_job(i, list(sites).index(site), sites[site], site, name)

    def build(self) -> tuple[k.LoadArrays, DrawBook]:
        """The arrays at t = 0, and the book that feeds their random streams."""
        book = DrawBook(self.seed, self.streams)
        self._refuse_outrun(book)
        events, n_event = new_ring()
        n_site = len(self.const_mw)
        load = k.LoadArrays(
            jobs=self.jobs,
            stages=np.array(self.stages, k.STAGE),
            segments=np.array(self.segments, k.SEGMENT),
            weights=np.array(self.weights, k.WEIGHT),
            classes=np.array(self.classes, k.CLASS),
            ring=np.zeros(self.n_ring),
            samples=np.array(self.samples, k.SAMPLE),
            states=np.array(self.states, k.STATE),
            quantiles=np.array(self.quantiles, np.float64),
            **self.serving.arrays(),
            allowed=np.ones(n_site),
            draws=book.draws,
            first_draw=book.first,
            p_const_mw=np.array(self.const_mw),
            powered=np.ones(n_site, np.int64),
            p_ai_mw=np.zeros(n_site),
            events=events,
            n_event=n_event,
            step_us=np.array([self.step_us], np.int64),
        )
        book.join(self.serving.feeds(self.jobs), load.queues, load.feed)
        book.turn_to(0)
        for job in self.jobs:
            for a, b, sigma, phi, stream in (
                ("noise0", "noise1", job["sigma"], job["phi"], job["noise_stream"]),
                ("node0", "node1", job["node_sigma"], job["node_phi"], job["node_stream"]),
            ):
                if sigma > 0:
                    job[a] = sigma * book.draws[stream, 0]
                    job[b] = phi * job[a] + sigma * math.sqrt(1 - phi * phi) * book.draws[stream, 1]
        return load, book

    def _refuse_outrun(self, book: DrawBook) -> None:
        """Refuse jobs that could draw more random numbers in one step than are kept at hand."""
        if book.max_block_us >= 2 * self.step_us:
            return
        fastest = min(self.streams, key=lambda stream: stream.min_interval_us)
        raise InputError(
            Problem(
                f"{fastest.name} draws every {fastest.min_interval_us} us, too often for a step of "
                f"{self.step_us / US_PER_S:g} s; lengthen its iteration or grid, or shorten the step",
                path="time.step_s",
            )
        )

    def most_mw(self) -> dict[str, float]:
        """Most each site draws for AI: base, the whole fleet at its peak with noise and overshoot, traces. [MW]"""
        out: dict[str, float] = {}
        for s, (site, load) in enumerate(self.sites.items()):
            fleet = load.accelerators
            swing = fleet.count * (fleet.p_peak_w - fleet.p_idle_w) / W_PER_MW if fleet else 0.0
            traces = sum(
                max(p for _, p in self.samples[job["trace_first"] : job["trace_first"] + job["n_trace"]])
                for job in self.jobs
                if job["site"] == s and job["kind"] == k.TRACE
            )
            out[site] = self.const_mw[s] + swing * self.swing_factor[s] + traces
        return out

    def _stream(self, name: str, **kind: Any) -> int:
        self.streams.append(Stream(name=name, **kind))
        return len(self.streams) - 1

    def _add_job(self, i: int, site: int, load: LoadConfig, site_name: str, name: str) -> None:
        config = load.jobs[name]
        job = self.jobs[i]
        job["site"] = site
        for field in ("next_us", "start_us", "stop_us", "edge_us", "stage_end_us", "fail_us", "tick_us", "below_us"):
            job[field] = k.NEVER
        job["noise_step_us"] = job["query_step_us"] = US_PER_S
        job["scale"] = job["weight"] = job["cap_u"] = job["noise_factor"] = 1.0
        job["restart_us"] = to_us(FailureConfig().restart_s)
        if config.start_s is not None:
            job["start_us"] = job["next_us"] = to_us(config.start_s)
        if config.stop_s is not None:
            job["stop_us"] = to_us(config.stop_s)
        where = f"datacenters.{site_name}.load.jobs.{name}"
        if isinstance(config, TraceConfig):
            self._add_trace(job, config)
            return
        job["running"] = config.already_running
        self._set_dynamics(job, config.dynamics)
        fleet = load.accelerators
        assert fleet is not None
        job["amp_mw"] = fleet.count * (fleet.p_peak_w - fleet.p_idle_w) / W_PER_MW
        job["weight"] = job_weight(load, config, 0.0)
        n_node = max(1.0, fleet.count * job["weight"] / fleet.per_node)
        if config.weight is not None:
            job["weight_first"], job["n_weight"] = len(self.weights), len(config.weight)
            self.weights += [(to_us(p.at_s), p.weight) for p in config.weight]
            heaviest = max(p.weight for p in config.weight)
            n_node = max(1.0, fleet.count * heaviest / fleet.per_node)
        overshoot = _refuse_negative_power(job, self.const_mw[site], config.dynamics, where)
        noise = config.noise
        spread = math.hypot(noise.std, noise.node_std / math.sqrt(n_node))
        most = 1 + NOISE_SIGMAS * spread
        if isinstance(config, SemiMarkovConfig):
            most = highest(config, NOISE_SIGMAS * spread)
        self.swing_factor[site] = max(self.swing_factor[site], (1 + overshoot) * most)
        self._add_noise(job, config.noise, n_node, f"{site_name}/{name}")
        if config.mitigation is not None:
            _set_mitigation(job, config.mitigation, fleet)
        if isinstance(config, InferenceConfig):
            self._add_inference(job, config, f"{site_name}/{name}")
        elif isinstance(config, SemiMarkovConfig):
            self._add_semi_markov(job, i, config, f"{site_name}/{name}")
        elif isinstance(config, ServingConfig):
            n_replica = (config.accelerators or fleet.count) // config.replica.accelerators
            job["weight"] = n_replica * config.replica.accelerators / fleet.count
            self.serving.add(i, job, config, n_replica, (f"{site_name}/{name}", where))
        else:
            self._add_staged(job, i, config, n_node, f"{site_name}/{name}")

    def _set_dynamics(self, job: Any, dynamics: DynamicsConfig) -> None:
        for direction, edge in (("up", dynamics.up), ("down", dynamics.down)):
            record = np.zeros(1, EDGE)
            set_edge(
                record[0], edge.omega_n_rad_per_s, edge.zeta, edge.c_s, edge.d_s2, dynamics.supply_tau_s,
                self.step_us / US_PER_S,
            )  # fmt: skip
            job[direction] = record[0]

    def _add_noise(self, job: Any, noise: NoiseConfig, n_node: float, name: str) -> None:
        step_us = max(1, to_us(noise.step_s))
        job["noise_step_us"] = step_us
        job["sigma"], job["node_sigma"] = noise.std, noise.node_std / math.sqrt(n_node)
        job["phi"] = math.exp(-step_us / US_PER_S / noise.correlation_s)
        job["node_phi"] = math.exp(-step_us / US_PER_S / noise.node_correlation_s)
        for field, sigma in (("noise_stream", noise.std), ("node_stream", noise.node_std)):
            if sigma > 0:
                job[field] = self._stream(
                    f"{name}/{field}", kind="normal", min_interval_us=step_us,
                    index=self._grid_index(step_us),
                )  # fmt: skip

    def _grid_index(self, cell_us: int) -> Callable[[int], int]:
        """First cell of a grid that the kernel may still need at a time: it stands one base step behind."""
        return lambda t_us: max(0, t_us - self.step_us) // cell_us

    def _add_staged(
        self, job: Any, i: int, config: TrainingConfig | FineTuningConfig, n_node: float, name: str
    ) -> None:
        job["kind"] = k.STAGED
        if isinstance(config, TrainingConfig) and config.straggler.rate_per_node_hour > 0:
            self._add_stragglers(job, i, config, n_node, name)
        shortest_us = self._add_training(job, config) if isinstance(config, TrainingConfig) else (
            self._add_fine_tuning(job, config)
        )  # fmt: skip
        _set_interrupt(job, "eval", config, config.evaluation)
        _set_interrupt(job, "ckpt", config, config.checkpoint)
        job["restart_us"] = to_us(config.failure.restart_s)
        rate = config.failure.rate_per_node_hour * n_node
        job["fail_per_us"] = rate / (S_PER_H * US_PER_S)
        stages = self.stages[job["stage_first"] : job["stage_first"] + job["n_stage"]]
        for column, purpose in ((3, "jitter"), (5, "dip")):
            if any(stage[column] > 0 for stage in stages):
                job[f"{purpose}_stream"] = self._of_cycles(i, f"{name}/{purpose}", "normal", shortest_us)
        jobs = self.jobs
        if rate > 0:
            job["fail_stream"] = self._stream(
                f"{name}/failure", kind="exponential", min_interval_us=int(job["restart_us"]),
                index=lambda _: int(jobs[i]["n_fail"]),
            )  # fmt: skip

    def _of_cycles(self, i: int, name: str, kind: str, shortest_us: int) -> int:
        """A stream with one draw for each cycle of job i."""
        jobs = self.jobs
        min_us = max(1, shortest_us // 5)
        return self._stream(name, kind=kind, min_interval_us=min_us, index=lambda _: int(jobs[i]["n_cycle"]))

    def _add_stragglers(self, job: Any, i: int, config: TrainingConfig, n_node: float, name: str) -> None:
        """An iteration has a wait where an exponential draw is above -ln(chance of a wait in it)."""
        iteration_s = sum(s.duration_s for s in config.iteration)
        chance = -math.expm1(-config.straggler.rate_per_node_hour * n_node * iteration_s / S_PER_H)
        job["wait_over"], job["wait_mean_us"] = -math.log(chance), to_us(config.straggler.mean_wait_s)
        job["wait_u"] = config.straggler.utilization
        job["straggler_stream"] = self._of_cycles(i, f"{name}/straggler", "exponential", to_us(iteration_s))

    def _add_training(self, job: Any, config: TrainingConfig) -> int:
        job["cold_first"] = len(self.segments)
        self.segments += _staggered(config)
        self.segments += [_segment(job, config, to_us(s.duration_s), s.utilization) for s in config.cold_start]
        job["n_cold"] = len(self.segments) - job["cold_first"]
        job["stage_first"], job["n_stage"] = len(self.stages), 1
        rows = [_segment(job, config, to_us(s.duration_s), s.utilization) for s in config.iteration]
        u_top = max(u for _, u, _ in rows)
        self.stages.append((0, len(self.segments), len(rows), config.iteration_jitter, 1, config.dip_jitter, u_top))
        self.segments += rows
        return to_us(sum(s.duration_s for s in config.iteration))

    def _add_fine_tuning(self, job: Any, config: FineTuningConfig) -> int:
        job["stage_first"], job["n_stage"] = len(self.stages), len(config.stages)
        shortest_us = to_us(3600)
        for stage in config.stages:
            cycle = [(to_us(stage.high_s), stage.utilization), (to_us(stage.low_s), stage.utilization * stage.beta)]
            segments = [_segment(job, config, duration_us, u) for duration_us, u in cycle if duration_us > 0]
            lasts_us = max(1, to_us(stage.duration_s))
            evaluates = int(stage.evaluates)
            self.stages.append((lasts_us, len(self.segments), len(segments), stage.jitter, evaluates, 0.0, 1.0))
            self.segments += segments
            shortest_us = min(shortest_us, sum(duration_us for duration_us, _, _ in segments))
        return shortest_us

    def _add_inference(self, job: Any, config: InferenceConfig, name: str) -> None:
        job["kind"] = k.INFERENCE
        step_us = max(1, to_us(config.step_s))
        job["query_step_us"] = step_us
        job["class_first"], job["n_class"] = len(self.classes), len(config.classes)
        for class_name, query in config.classes.items():
            p_w, duration_s = config.query(query)
            p_mw = p_w / W_PER_MW
            n_ring = max(1, round(duration_s * US_PER_S / step_us))
            stream = self._stream(
                f"{name}/{class_name}", kind="poisson", min_interval_us=step_us,
                index=self._grid_index(step_us), mean=_arrival_means(query, step_us / US_PER_S),
            )  # fmt: skip
            self.classes.append((p_mw, stream, self.n_ring, n_ring, 0.0, 0.0))
            self.n_ring += n_ring

    def _add_semi_markov(self, job: Any, i: int, config: SemiMarkovConfig, name: str) -> None:
        job["kind"] = k.SEMI_MARKOV
        shortest_us = add_states(job, config, self.states, self.quantiles)
        jobs = self.jobs
        job["visit_stream"] = self._stream(
            f"{name}/visit", kind="uniform", min_interval_us=max(1, shortest_us // 3),
            index=lambda _: 3 * int(jobs[i]["n_cycle"]),
        )  # fmt: skip

    def _add_trace(self, job: Any, config: TraceConfig) -> None:
        job["kind"] = k.TRACE
        t_s, p_mw, period_s = trace_samples(config, self.folder)
        job["trace_first"], job["n_trace"] = len(self.samples), len(t_s)
        job["trace_linear"] = int(config.hold == "linear")
        job["trace_period_us"] = to_us(period_s) if config.repeat else 0
        self.samples += list(zip((to_us(t) for t in t_s), p_mw, strict=True))


def _set_mitigation(job: Any, mitigation: MitigationConfig, fleet: AcceleratorsConfig) -> None:
    """Powers and rates of one accelerator, relative to its swing."""
    swing_w = fleet.p_peak_w - fleet.p_idle_w
    job["control_us"] = to_us(mitigation.step_s)
    job["speed_exponent"] = mitigation.speed_exponent
    job["hold_us"] = to_us(mitigation.hold_s)
    for field, p_w in (
        ("cap_u", mitigation.p_cap_w), ("floor_u", mitigation.p_floor_w), ("filler_u", mitigation.p_filler_w),
    ):  # fmt: skip
        if p_w is not None:
            job[field] = (p_w - fleet.p_idle_w) / swing_w
    for field, w_per_s in (
        ("up_per_us", mitigation.max_ramp_w_per_s), ("down_per_us", mitigation.max_decline_w_per_s),
    ):  # fmt: skip
        if w_per_s is not None:
            job[field] = w_per_s / swing_w / US_PER_S


def _segment(job: Any, config: TrainingConfig | FineTuningConfig, duration_us: int, u: float) -> tuple[int, float, int]:
    """A row of `SEGMENT`: below a power cap a stage lasts longer. [us, 1, us]"""
    cap_u = float(job["cap_u"])
    if config.mitigation is None or u <= cap_u:
        return max(1, duration_us), u, 0
    longer_us = round(duration_us / config.mitigation.speed(cap_u, u))
    return max(1, longer_us), cap_u, longer_us - duration_us


def _staggered(config: TrainingConfig) -> list[tuple[int, float, int]]:
    """Rows of `SEGMENT` in which one group of accelerators after another begins its cold start."""
    if config.mitigation is None or config.mitigation.stagger_s == 0:
        return []
    n = config.mitigation.stagger_groups
    first_u = (config.cold_start or config.iteration)[0].utilization
    each_us = max(1, to_us(config.mitigation.stagger_s / n))
    return [(each_us, first_u * (k + 1) / n, each_us) for k in range(n)]


def _set_interrupt(
    job: Any, prefix: str, config: TrainingConfig | FineTuningConfig, interrupt: InterruptConfig | None
) -> None:
    if interrupt is None:
        return
    duration_us, u, extra_us = _segment(job, config, to_us(interrupt.duration_s), interrupt.utilization)
    job[f"{prefix}_us"], job[f"{prefix}_u"], job[f"{prefix}_extra_us"] = duration_us, u, extra_us
    job[f"{prefix}_every_us"] = to_us(interrupt.every_s or 0.0)
    job[f"{prefix}_every_n"] = interrupt.every_iterations or 0


def _arrival_means(query: QueryClassConfig, step_s: float) -> Any:
    """Mean arrivals in grid cells: lambda(t) integrated by Simpson's rule, exact between its points. [1]"""
    t_points = np.array([p.t_s for p in query.rate])
    rates = np.array([p.rate_per_s for p in query.rate])

    def rate(t_s: Any) -> Any:
        return np.interp(t_s, t_points, rates, period=query.period_s)

    def means(cells: NDArray[np.int64]) -> NDArray[np.float64]:
        t_s = cells * step_s
        mean: NDArray[np.float64] = (rate(t_s) + 4 * rate(t_s + step_s / 2) + rate(t_s + step_s)) * (step_s / 6)
        return mean

    return means


def _refuse_negative_power(job: Any, floor_mw: float, dynamics: DynamicsConfig, where: str) -> float:
    """Refuse dynamics that take the load below zero; return the overshoot of a full rise over its step. [1]"""
    fall, rise = response_range(job["down"]), response_range(job["up"])
    for name, edge, lowest in (("down", dynamics.down, fall[0]), ("up", dynamics.up, 1.0 - rise[1])):
        if floor_mw + job["amp_mw"] * lowest < -1e-12:
            raise InputError(
                Problem(
                    f"these dynamics undershoot a full {'drop' if name == 'down' else 'rise'} by {-lowest:.1%} of it, "
                    f"which takes the load to {floor_mw + job['amp_mw'] * lowest:.3g} MW; raise zeta, or bring c_s "
                    "and d_s2 nearer to zero",
                    path=f"{where}.dynamics.{name}",
                    value=f"zeta={edge.zeta:g}, c_s={edge.c_s:g}, d_s2={edge.d_s2:g}",
                )
            )
    return max(-rise[0], fall[1] - 1.0)
