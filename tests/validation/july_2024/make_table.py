"""Write docs/july_2024.md and its picture: `python tests/validation/july_2024/make_table.py`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from measures import MEASURES, figures

ROOT = Path(__file__).resolve().parents[3]
OWN, AS_IT_WAS = "#2980b9", "#c0392b"
WIDTH, HEIGHT, COLUMNS, LEFT, TOP = 480, 210, 2, 52, 34
"""Of one panel."""
END_S, MOST_MW = 300.0, 2000.0


def place(t_s: float, p_mw: float) -> str:
    """Where a time and a power stand in a panel."""
    x = LEFT + (WIDTH - LEFT - 14) * t_s / END_S
    return f"{x:.1f},{TOP + (HEIGHT - TOP - 26) * (1 - p_mw / MOST_MW):.1f}"


def panel(name: str, t_s: np.ndarray, p_mw: np.ndarray, before: tuple[np.ndarray, np.ndarray]) -> str:
    """One measure (blue) beside what happened (red): the first 300 s, and what is drawn an hour later."""
    parts = [f'<text x="{LEFT}" y="18" font-weight="bold">{name.replace("`", "")}</text>']
    for level in range(0, int(MOST_MW), 500):
        x, y = place(0.0, level).split(",")
        parts.append(f'<path d="M{x} {y}H{WIDTH - 14}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{float(y) + 4:.1f}" text-anchor="end">{level}</text>')
    for second in (0, 60, 142, 300):
        x = place(second, 0.0).split(",")[0]
        parts.append(f'<text x="{x}" y="{HEIGHT - 8}" text-anchor="middle">{second} s</text>')
    for color, (times, power) in ((AS_IT_WAS, before), (OWN, (t_s, p_mw))):
        shown = np.flatnonzero(times <= END_S)[::2]
        points = " ".join(place(float(times[r]), float(power[r])) for r in shown)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.2"/>')
    parts.append(f'<text x="{WIDTH - 14}" y="18" text-anchor="end">after 1 h: {p_mw[-1]:.0f} MW</text>')
    return "\n".join(parts)


def picture(series: dict[str, tuple[np.ndarray, np.ndarray]]) -> str:
    """Power of all sites over time, a panel for each measure."""
    before, *measures = series.items()
    height = HEIGHT * -(-len(measures) // COLUMNS)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH * COLUMNS} {height}" font-family="sans-serif" '
        f'font-size="12"><rect width="{WIDTH * COLUMNS}" height="{height}" fill="white"/>'
    ]
    for k, (name, (t_s, p_mw)) in enumerate(measures):
        at = f"{WIDTH * (k % COLUMNS)} {HEIGHT * (k // COLUMNS)}"
        parts.append(f'<g transform="translate({at})">{panel(name, t_s, p_mw, before[1])}</g>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> None:
    lines = [
        "| | before, MW | lost, MW | not back after 1 s | 1 min | 1 h | locked out | transfers | cooling off, mean s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    series = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, changes in MEASURES.items():
            f, t_s, p_mw = figures(Path(folder), name, changes)
            series[name] = (t_s, p_mw)
            lines.append(
                f"| {name} | {f['before_mw']:.0f} | {f['lost_mw']:.0f} | {f['not_back_1s']:.0f} | "
                f"{f['not_back_1min']:.0f} | {f['not_back_1h']:.0f} | {f['n_lockout']:.0f} | {f['n_transfer']:.0f} | "
                f"{f['without_cooling_s']:.0f} |"
            )
    head = Path(__file__).with_name("head.md").read_text()
    (ROOT / "docs" / "july_2024.md").write_text(head.replace("{table}", "\n".join(lines)))
    (ROOT / "docs" / "july_2024.svg").write_text(picture(series))


if __name__ == "__main__":
    main()
