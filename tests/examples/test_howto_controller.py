"""The smoothing controller of docs/howto.md, as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "howto.md"


def test_smoothing_controller_of_the_page_halves_the_swing(tmp_path, monkeypatch, capsys):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    (code,) = [block for block in blocks if "class MeanOfMinute" in block]
    monkeypatch.chdir(tmp_path)
    exec(code, {"__name__": "page"})
    need_mw, grid_mw = (float(word) for word in re.findall(r"(\d+\.\d+) MW", capsys.readouterr().out))
    assert grid_mw < 0.5 * need_mw
