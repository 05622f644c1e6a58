"""A model of a measured trace is judged on what it has not seen, and a run of its scenario is what was judged."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import cosim
from cosim.fit.document import fit_yaml
from cosim.fit.fitting import fit_trace
from cosim.fit.reading import load_trace
from cosim.fit.refine import simulated

sys.path.insert(0, str(Path(__file__).parent))
from measured import write_csv

pytestmark = [pytest.mark.validation, pytest.mark.slow]


# Targets: docs/fidelity.md. GPT-3 175B on 512 H100, AC side, MLPerf Training v4.0 (SMC).
def test_gpt3_fitted_on_its_first_half_holds_on_its_second(shared, tmp_path):
    fit = fit_trace(load_trace(write_csv("gpt3_ac", shared, tmp_path)))
    assert fit.machine.kind == "training"
    assert fit.machine.evaluation.every_n == 12  # an evaluation every 142 s, iterations of 10.8 s
    missed = [row.name for row in (*fit.rows, *fit.held_out) if not row.holds]
    assert missed == []


def test_a_run_of_the_scenario_logs_the_draw_that_was_judged(shared, tmp_path):
    fit = fit_trace(load_trace(write_csv("gptj_server", shared, tmp_path)))
    path = tmp_path / "fit.yaml"
    path.write_text(fit_yaml(fit))
    with cosim.run(path, seed=3, out=tmp_path / "fit.h5") as result:
        p_mw = result.read("datacenter/site/p_ai_mw")
    wanted = simulated(fit.machine, 0, len(fit.trace.p_mw), (3,))[0]
    np.testing.assert_allclose(p_mw, wanted, rtol=1e-12)
