"""Every figure of docs/paper.md within its stated tolerance, and the page as the command would write it."""

from __future__ import annotations

from pathlib import Path

import pytest
from paper_figures import FIGURES, ROOT, TABLE_VI, Figure, slower

pytestmark = pytest.mark.validation


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: f"{figure.where} {figure.quantity}")
def test_paper_figure_is_reproduced(figure: Figure):
    ours = figure.ours()
    if figure.least:
        assert ours > figure.paper
    else:
        assert ours == pytest.approx(figure.paper, rel=max(figure.within, 1e-9))


def test_roofline_is_far_below_eager_generation_and_comes_nearer_with_the_batch():
    """A guard on what docs/paper.md admits: processing times of Table VI are launch overhead, not roofline."""
    assert slower("mamba-2.8B", 1) > 5
    assert slower("mamba-2.8B", 64) < 0.6 * slower("mamba-2.8B", 1)


def test_page_has_a_row_for_each_figure():
    text = (ROOT / "docs" / "paper.md").read_text()
    missing = [f.quantity for f in FIGURES if f"| {f.where} | {f.quantity} |" not in text]
    assert not missing, "run: python tests/validation/paper/make_table.py"


def test_scenarios_are_models_and_no_recordings():
    for path in sorted((ROOT / "scenarios" / "paper").glob("*.yaml")):
        assert path.stat().st_size < 8_000
        assert "trace" not in Path(path).read_text()
    assert len(TABLE_VI) == 2
