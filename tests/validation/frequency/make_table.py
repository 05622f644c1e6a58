"""Write docs/frequency.md: `python tests/validation/frequency/make_table.py`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from cases import AT_S, CASES, SHEDDING, SHEDS, START_S, run, swing

ROOT = Path(__file__).resolve().parents[3]
HEAD = Path(__file__).with_name("head.md")


def main() -> None:
    lines = [
        "| load | who answers | furthest, Hz | after, s | RoCoF, Hz/s | shed, MW | site after 2 s, MW | scipy, Hz |",
        "|---|---|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for n, ((load, who), changes) in enumerate(CASES.items()):
            found = run(changes, Path(folder) / f"{n}.h5")
            free = found["t_s"] >= START_S - 1e-9
            steps = SHEDDING if SHEDS.items() <= changes.items() else ()
            judged, shed_at = swing(found["t_s"][free], found["p_mw"][free], steps)
            assert np.allclose(found["shed_at_s"], shed_at, atol=1e-6), (who, shed_at)
            late = int(np.searchsorted(found["t_s"], AT_S + 2.0))
            lines.append(
                f"| {load} | {who} | {found['worst_hz']:.3f} | {found['worst_s']:.2f} | {found['rocof']:+.3f} | "
                f"{found['shed_mw']:.0f} | {found['site_mw'][late]:.1f} | "
                f"{np.abs(judged - found['f_hz'][free]).max():.1e} |"
            )
    (ROOT / "docs" / "frequency.md").write_text(HEAD.read_text().replace("{table}", "\n".join(lines)))


if __name__ == "__main__":
    main()
