"""Two works of cosim in turns: what one costs in parts of the other, whatever the machine does meanwhile."""

from __future__ import annotations

import dataclasses
import os
import random
import statistics
from collections.abc import Callable

import numpy as np

from cosim.study.stopping import quantile_interval
from power_flow_tools.session import Options, Row, Session
from power_flow_tools.verdict import FIVE_NODES, SURFACE
from power_flow_tools.works import WORKS, make_job

LEAST_ROUNDS = 11


def five_nodes(options: Options, steps: int, tell: Callable[[str], None]) -> list[Row]:
    """The large and the small work of `FIVE_NODES` by surfaces, one data center, five nodes logged.

    Each has a process of its own. A round runs all steps of both in random order; its CPU times give a ratio.

    Returns
    -------
    list of Row
        Of both works; with the large one's the ratio: median of the rounds, and its interval of 95 % confidence.

    Raises
    ------
    Refused
        Where a work cannot be prepared, or fails.
    """
    options = dataclasses.replace(options, box_s=np.inf, clock="cpu")
    sessions = {work: Session([SURFACE], options, tell) for work in FIVE_NODES}
    n_round = max(options.repeat, LEAST_ROUNDS)
    ratios = []
    try:
        settings = {work: sessions[work].ready(make_job(WORKS[work], 1, steps), "five") for work in FIVE_NODES}
        for k in range(n_round):
            tell(f"{' and '.join(FIVE_NODES)}: round {k + 1} of {n_round}")
            us = {work: sessions[work].run(settings[work], SURFACE) for work in random.sample(FIVE_NODES, 2)}
            ratios.append(us[FIVE_NODES[0]] / us[FIVE_NODES[1]])
        rows = [sessions[work].judged(settings[work])[0] for work in FIVE_NODES]
    finally:
        for session in sessions.values():
            session.close()
    low, high = quantile_interval(np.array(ratios), 0.5, 0.95)
    rows[0] |= {"ratio": statistics.median(ratios), "ratio_low": low, "ratio_high": high, "ratios": ratios}
    rows[0]["load"] = os.getloadavg()[1]
    return rows
