"""Write docs/paper.md: `python tests/validation/paper/make_table.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from paper_figures import CHAT, FIGURES, ROOT, Figure, energies_kj, slower


def row(figure: Figure) -> str:
    ours = figure.ours()
    paper = figure.printed or f"{figure.paper:.4g}"
    if figure.least:
        off, within = "", f"more than {figure.paper:g}"
    else:
        off, within = f"{ours / figure.paper - 1:+.1%}", f"{figure.within:.0%}" if figure.within >= 0.01 else "exact"
    return f"| {figure.where} | {figure.quantity} | {figure.unit} | {paper} | {ours:.4g} | {off} | {within} |"


def main() -> None:
    lines = ["| where | quantity | unit | the paper | cosim | off | tolerance |", "|---|---|---|---|---|---|---|"]
    table = "\n".join(lines + [row(figure) for figure in FIGURES])
    head = Path(__file__).with_name("head.md").read_text()
    text = head.format(
        table=table,
        energy50=np.percentile(energies_kj(CHAT, 50), 99),
        energy25=np.percentile(energies_kj(CHAT, 25), 99),
        mamba1=slower("mamba-2.8B", 1),
        mamba64=slower("mamba-2.8B", 64),
        neo1=slower("GPT-Neo 2.7B", 1),
        neo4=slower("GPT-Neo 2.7B", 4),
    )
    (ROOT / "docs" / "paper.md").write_text(text)


if __name__ == "__main__":
    main()
