"""Write docs/ups_optimum.md: `python tests/validation/ups_optimum/make_table.py [SHARED]`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from controllers import CONTROLLERS, LIMIT, best, case, run

ROOT = Path(__file__).resolve().parents[3]
HEAD = Path(__file__).with_name("head.md")


def main() -> None:
    shared = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT.parent / "shared"
    lines = [
        "| controller | energy, kWh | over the optimum | power, MW | over the optimum | largest ramp, decline, MW/s |",
        "|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        optimum = None
        for name, smoothing in CONTROLLERS.items():
            found = run(case(shared, smoothing), Path(folder) / f"{name}.h5")
            if optimum is None:
                optimum = best(found["need"])
            lines.append(
                f"| `{name}` | {1000 * found['e_mwh']:.2f} | {found['e_mwh'] / optimum.e_mwh:.2f} | "
                f"{found['p_mw']:.2f} | {found['p_mw'] / optimum.p_mw:.2f} | "
                f"{found['ramp']:.3f}, {found['decline']:.3f} |"
            )
        assert optimum is not None
        lines.append(
            f"| offline optimum | {1000 * optimum.e_mwh:.2f} | 1 | {optimum.p_mw:.2f} | 1 | {LIMIT:.3f}, {LIMIT:.3f} |"
        )
    (ROOT / "docs" / "ups_optimum.md").write_text(HEAD.read_text().replace("{table}", "\n".join(lines)))


if __name__ == "__main__":
    main()
