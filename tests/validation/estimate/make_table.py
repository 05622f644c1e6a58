"""Write docs/estimate.md: `python tests/validation/estimate/make_table.py` (needs ../shared)."""

from __future__ import annotations

from pathlib import Path

from estimate_measured import RUNS, estimated, measured, metered_dip_kw
from estimate_published import NEMO, bf16, fp8

from cosim.estimate import constants as c
from cosim.estimate.times import stages_of

ROOT = Path(__file__).resolve().parents[3]


def published() -> str:
    lines = ["| run | source | published, s | estimated, s | ratio |", "|---|---|---|---|---|"]
    sources = [NEMO] * len(fp8()) + ["Korthikanti et al., Table 5", "Llama 3, arXiv:2407.21783, Table 4"]
    for (work, published_s), source in zip([*fp8(), *bf16()], sources, strict=True):
        found = sum(stage.duration_s for stage in stages_of(work))
        lines.append(
            f"| {work.model.name}, {work.count} {work.accelerator.name}, {work.precision} | {source} | "
            f"{published_s:.2f} | {found:.2f} | {found / published_s:.2f} |"
        )
    return "\n".join(lines)


def judged() -> str:
    lines = ["| run | quantity | measured | estimated | off |", "|---|---|---|---|---|"]
    for name in RUNS:
        found, seen = estimated(name), measured(ROOT.parent / "shared", name)
        for quantity, there, here in (
            ("step, s", seen.step_s, found.step_s),
            ("mean power, kW", seen.mean_kw, found.parts.total_mw * 1e3),
            ("highest stage, kW", seen.highest_kw, max(found.site_mw(found.u(s)) for s in found.stages) * 1e3),
            ("dip through the meter, kW", seen.dip_kw, metered_dip_kw(found)),
        ):
            off = f"{here / there - 1:+.0%}" if there > 0 else "-"
            lines.append(f"| {name} | {quantity} | {there:.4g} | {here:.4g} | {off} |")
    return "\n".join(lines)


def main() -> None:
    text = Path(__file__).with_name("head.md").read_text()
    for key, value in (
        ("{bf16}", f"{c.MATMUL_EFFICIENCY['bf16']:g}"),
        ("{fp8}", f"{c.MATMUL_EFFICIENCY['fp8']:g}"),
        ("{published}", published()),
        ("{measured}", judged()),
    ):
        text = text.replace(key, value)
    (ROOT / "docs" / "estimate.md").write_text(text)


if __name__ == "__main__":
    main()
