"""Voltages of a few nodes at every instant, kept until Python takes them: for flicker and one-cycle sags."""

from __future__ import annotations

from cosim.jit import inner


@inner
def keep_instant(log, t_us):
    """Note the voltages that hold from t_us on."""
    n = log.n_wave[0]
    log.wave_us[n] = t_us
    for p in range(log.wave_node.size):
        log.wave[n, p] = log.vm[log.wave_node[p]]
    log.n_wave[0] = n + 1


@inner
def is_full(log):
    """Whether the next instant finds no room."""
    return log.wave_us.size > 0 and log.n_wave[0] == log.wave_us.size
