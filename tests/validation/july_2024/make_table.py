"""Write docs/july_2024.md and its picture: `python tests/validation/july_2024/make_table.py`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from measures import MEASURES, figures

ROOT = Path(__file__).resolve().parents[3]
COLORS = ["#c0392b", "#e67e22", "#7f8c8d", "#2c3e50", "#8e44ad", "#2980b9", "#27ae60"]
WIDTH, HEIGHT, LEFT, TOP = 960, 420, 70, 20


def place(t_s: float) -> float:
    """Where a time stands: the first 300 s take 60 % of the width, the hour after them the rest."""
    wide = WIDTH - LEFT - 20
    return LEFT + wide * (0.6 * t_s / 300 if t_s < 300 else 0.6 + 0.4 * (t_s - 300) / 3600)


def picture(series: dict[str, tuple[np.ndarray, np.ndarray]]) -> str:
    """Power of all sites over time, one line a measure."""
    most = 1.1 * max(p.max() for _, p in series.values())
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT + 30 * 4}" font-family="sans-serif" '
        f'font-size="13"><rect width="{WIDTH}" height="{HEIGHT + 120}" fill="white"/>'
    ]
    for p in range(0, int(most), 250):
        y = TOP + (HEIGHT - TOP - 40) * (1 - p / most)
        parts.append(
            f'<path d="M{LEFT} {y:.1f}H{WIDTH - 20}" stroke="#ddd"/><text x="{LEFT - 8}" y="{y + 4:.1f}" '
            f'text-anchor="end">{p}</text>'
        )
    for t, label in [(0, "0 s"), (60, "60 s"), (142, "142 s"), (300, "300 s"), (2100, "35 min"), (3900, "65 min")]:
        parts.append(f'<text x="{place(t):.1f}" y="{HEIGHT - 20}" text-anchor="middle">{label}</text>')
    parts.append(f'<text x="14" y="{HEIGHT / 2}" transform="rotate(-90 14 {HEIGHT / 2})">MW from the feeder</text>')
    for i, (name, (t_s, p_mw)) in enumerate(series.items()):
        rows = np.unique(np.concatenate([np.arange(0, min(3000, t_s.size), 2), np.arange(0, t_s.size, 150)]))
        points = " ".join(
            f"{place(t_s[r]):.1f},{TOP + (HEIGHT - TOP - 40) * (1 - p_mw[r] / most):.1f}" for r in rows if r < t_s.size
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="{COLORS[i]}" stroke-width="1.6"/>')
        x, y = LEFT + (i % 2) * 440, HEIGHT + 12 + 26 * (i // 2)
        text = name.replace("`", "")
        parts.append(
            f'<path d="M{x} {y - 4}h24" stroke="{COLORS[i]}" stroke-width="3"/><text x="{x + 32}" y="{y}">{text}</text>'
        )
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
