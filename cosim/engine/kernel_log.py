"""The clock and the log as the advance loop sees them: totals, one block of rows, extremes between two rows."""

from __future__ import annotations

import math

import numpy as np

from cosim.bundle import Bundle
from cosim.feeder.arrays import P_LOSS, P_SOURCE, Q_SOURCE, SOURCE_ON
from cosim.feeder.kernel_flows import observe
from cosim.jit import inner
from cosim.ups.kernel import mode

T, T_STOP, T_END, STEP, LOG_STEP, NEXT_ROW, LAST_ROW, N_INSTANT, N_SOLVE, N_SURFACE = range(10)
N_TIME = 10
SAG_PU = 0.9
"""IEEE 1159: a sag is below 0.9 pu. [pu]"""
INTERRUPTION_PU = 0.1
"""IEEE 1159: an interruption is below 0.1 pu, and no sag. [pu]"""

(E_SOURCE, E_LOAD, E_GEN, E_LOSS, E_SHUNT, E_PORTS, E_ROW_SOURCE, MAX_IMBALANCE, MAX_BOUND) = range(9)
N_TOTAL = 9

FEEDER_COLUMNS = 5
SITE_COLUMNS = 27
SAMPLE_COLUMNS = 6
SERVING_COLUMNS = 6


class ClockArrays(Bundle):
    """Time and totals of the run."""

    time: np.ndarray  # i8: T .. N_SOLVE [us]
    limits: np.ndarray  # f8 (2,): max_dvm_pu, max_dp_mw
    totals: np.ndarray  # f8 (N_TOTAL,): energies [MWs], largest imbalance [MW], largest bound used [pu]


class LogArrays(Bundle):
    """One block of log rows, and what runs between two rows."""

    t_us: np.ndarray  # i8 (row,)
    n_row: np.ndarray  # i8 (1,)
    scalars: np.ndarray  # f8 (row, FEEDER_COLUMNS + site * SITE_COLUMNS)
    serving: np.ndarray  # f8 (row, queue * SERVING_COLUMNS)
    bus_vm: np.ndarray  # f4 (row, bus)
    bus_va: np.ndarray
    bus_min: np.ndarray
    bus_max: np.ndarray
    line_p: np.ndarray  # f4 (row, line)
    line_loading: np.ndarray
    trafo_loading: np.ndarray
    device: np.ndarray  # f4 (row, device): taps, steps on, powers of inverters; written between blocks
    vm: np.ndarray  # f8 (bus,): now [pu]
    vm_min: np.ndarray  # f8 (bus,), empty where it is not logged: since the last row [pu]
    vm_max: np.ndarray
    lowest_vm: np.ndarray  # f8 (phase,): over the run, energized [pu]; of the watched nodes neutrals stand last
    sag_us: np.ndarray  # i8 (phase,): time below 0.9 pu
    longest_us: np.ndarray  # i8 (phase,): longest such stretch
    stretch_us: np.ndarray  # i8 (phase,): the present one
    n_sag: np.ndarray  # i8 (phase,)
    ring_us: np.ndarray  # i8 (sample,): times of full-rate samples; empty where nothing is captured
    ring: np.ndarray  # f4 (sample, bus + site * SAMPLE_COLUMNS): watched voltages, then powers of sites
    n_ring: np.ndarray  # i8 (1,)
    wave_us: np.ndarray  # i8 (instant,): times of the points' voltages; empty where there is no point
    wave: np.ndarray  # f8 (instant, point) [pu]
    wave_node: np.ndarray  # i8 (point,): their places among the watched nodes
    n_wave: np.ndarray  # i8 (1,)
    any_sag: np.ndarray  # i8 (1,)
    in_sag: np.ndarray  # i8 (1,): whether stretches may be open


@inner
def read_solved(watch_row, vm2, is_on, vm):
    """Magnitudes of the watched nodes of a full solution."""
    for b in range(vm.size):
        row = watch_row[b]
        vm[b] = math.sqrt(vm2[row]) if row >= 0 and is_on else 0.0


@inner
def watch_voltages(log):
    """Extremes of every watched node since the last row; of the phases, which come first, over the run, and sags."""
    log.any_sag[0] = 0
    n_phase = log.lowest_vm.size
    n_low = 0  # counted, not the lowest voltage found: a sum goes four nodes at a time, a minimum one behind the other
    for b in range(n_phase):
        n_low += log.vm[b] < SAG_PU
    for b in range(log.vm_min.size):
        log.vm_min[b] = min(log.vm_min[b], log.vm[b])
    for b in range(log.vm_max.size):
        log.vm_max[b] = max(log.vm_max[b], log.vm[b])
    if n_low == 0 and log.in_sag[0] == 0:
        for b in range(n_phase):
            log.lowest_vm[b] = min(log.lowest_vm[b], log.vm[b])
        return
    log.in_sag[0] = 0
    for b in range(n_phase):
        vm = log.vm[b]
        if vm > 0.0:
            log.lowest_vm[b] = min(log.lowest_vm[b], vm)
        if INTERRUPTION_PU <= vm < SAG_PU:
            log.any_sag[0] = log.in_sag[0] = 1
            if log.stretch_us[b] == 0:
                log.n_sag[b] += 1
                log.stretch_us[b] = 1
        elif log.stretch_us[b] > 0:
            log.stretch_us[b] = 0


@inner
def watch_swells(watch_row, vm2_high, log):
    """Highest phase of every watched node since the last row, where the phases of a whole bus differ."""
    for b in range(log.vm_max.size):
        if watch_row[b] >= 0:
            log.vm_max[b] = max(log.vm_max[b], math.sqrt(vm2_high[watch_row[b]]))


@inner
def hold_sags(log, dt_us):
    """Time in sag of every bus that is in one."""
    for b in range(log.stretch_us.size):
        if log.stretch_us[b] > 0:
            log.stretch_us[b] += dt_us
            log.sag_us[b] += dt_us
            log.longest_us[b] = max(log.longest_us[b], log.stretch_us[b] - 1)


@inner
def has_flows(log):
    """Whether rows hold what follows from the complex voltages of all nodes: angles, flows, loadings."""
    return log.bus_va.shape[1] + log.line_p.shape[1] + log.line_loading.shape[1] + log.trafo_loading.shape[1] > 0


@inner
def write_row(clock, dc, ups, f, area, watch_row, v, log, t_us):
    """One row of the log: values at t_us, extremes and means since the last row. Never solves."""
    r = log.n_row[0]
    log.t_us[r] = t_us
    observe(f, v, watch_row, log.bus_va[r], log.line_p[r], log.line_loading[r], log.trafo_loading[r])
    for b in range(log.vm.size):
        log.bus_vm[r, b] = log.vm[b]
    for b in range(log.vm_min.size):
        log.bus_min[r, b] = min(log.vm_min[b], log.vm[b])
        log.vm_min[b] = log.vm[b]
    for b in range(log.vm_max.size):
        log.bus_max[r, b] = max(log.vm_max[b], log.vm[b])
        log.vm_max[b] = log.vm[b]
    span_s = (t_us - clock.time[LAST_ROW]) * 1e-6
    row = log.scalars[r]
    row[0] = f.totals[P_SOURCE]
    row[1] = f.totals[Q_SOURCE]
    row[2] = clock.totals[E_ROW_SOURCE] / span_s if span_s > 0.0 else row[0]
    row[3] = f.totals[P_LOSS]
    row[4] = area.area[0].f0_hz + area.area[0].df_hz
    for s in range(dc.sites.size):
        _write_site(dc.sites[s], ups.units[s], row[FEEDER_COLUMNS + s * SITE_COLUMNS :], span_s)
        for p in range(3):  # without an unbalanced fault the phases of a whole bus are alike
            at = FEEDER_COLUMNS + (s + 1) * SITE_COLUMNS - 3 + p
            is_apart = f.sequence_row.size > 0 and f.flags[SOURCE_ON] == 1
            row[at] = f.port_phase_pu[s, p] if is_apart else dc.sites[s].vm_pu
    clock.totals[E_ROW_SOURCE] = 0.0
    clock.time[LAST_ROW] = t_us
    clock.time[NEXT_ROW] = t_us + clock.time[LOG_STEP]
    log.n_row[0] = r + 1


@inner
def write_queues(clock, queues, log, t_us):
    """Columns of serving jobs of the row that comes next, in the order of `cosim.engine.serving`."""
    span_s = (t_us - clock.time[LAST_ROW]) * 1e-6
    row = log.serving[log.n_row[0]]
    for i in range(queues.size):
        q, at = queues[i], i * SERVING_COLUMNS
        row[at] = q.n_wait
        row[at + 1] = q.n_run
        row[at + 2] = q.row_arrived
        row[at + 3] = q.row_lost
        row[at + 4] = q.row_out / span_s if span_s > 0.0 else 0.0
        row[at + 5] = q.row_ttft_us * 1e-6 / q.row_first if q.row_first > 0 else 0.0
        q.row_arrived = q.row_lost = q.row_out = q.row_ttft_us = q.row_first = 0


@inner
def write_sample(dc, ups, log, t_us):
    """One full-rate sample: voltages of the watched nodes, then of each site what a fault recorder there shows."""
    r = log.n_ring[0]
    log.ring_us[r] = t_us
    row = log.ring[r]
    n = log.vm.size
    for b in range(n):
        row[b] = log.vm[b]
    for s in range(dc.sites.size):
        site, unit, at = dc.sites[s], ups.units[s], n + s * SAMPLE_COLUMNS
        row[at] = site.vm_pu
        row[at + 1] = site.p_grid_mw
        row[at + 2] = site.q_mvar
        row[at + 3] = site.p_equip_mw
        row[at + 4] = unit.p_mw
        row[at + 5] = unit.e / unit.e_full if unit.e_full > 0.0 else 0.0
    log.n_ring[0] = r + 1


@inner
def _write_site(site, unit, row, span_s):
    """Columns of one data center and its UPS, in the order of `cosim.engine.columns`."""
    row[0] = site.p_ai_mw
    row[1] = site.p_equip_mw
    row[2] = site.p_sup_ac_mw
    row[3] = site.p_total_mw
    row[4] = site.p_grid_mw
    row[5] = site.p_need_mw
    row[6] = site.q_mvar
    row[7] = site.p_ext_mw
    row[8] = site.p_unserved_mw
    row[9] = site.pue
    row[10] = site.row_total / span_s if span_s > 0.0 else site.p_total_mw
    row[11] = site.row_grid / span_s if span_s > 0.0 else site.p_grid_mw
    row[12] = site.row_ai / span_s if span_s > 0.0 else site.p_ai_mw
    row[13] = site.vm_pu
    row[14] = site.v_dc_pu
    row[15] = site.p_gen_mw
    row[16] = site.p_cut_mw
    row[17] = unit.p_mw
    row[18] = unit.p_ac_mw
    row[19] = unit.e / unit.e_full if unit.e_full > 0.0 else 0.0
    row[20] = mode(unit)
    row[21] = unit.excess_mw
    row[22] = unit.s2_p_mw
    row[23] = unit.s2_e / unit.s2_e_full if unit.s2_e_full > 0.0 else 0.0
    site.row_total = 0.0
    site.row_grid = 0.0
    site.row_ai = 0.0
