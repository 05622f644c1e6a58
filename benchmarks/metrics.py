"""What the metrics and the report of a long run cost: time, memory, size of the page.

The run is the day on IEEE 123 of ieee123_day.yaml (24 h at 10 ms, a row every 100 ms, voltage of all nodes), made anew
unless a log is given; `--all` logs every quantity of nodes, lines and transformers. Each figure is of a fresh process.

    python benchmarks/metrics.py [LOG.h5] [--all] [--repeat 1] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
QUANTITIES = "[vm_pu, va_degree, vm_min_pu, vm_max_pu, line_p_mw, loading_percent]"
CHILD = """
import json, resource, sys, time
import cosim
from cosim.metrics import analyse, summarize
from cosim.report.page import write_report

what, log, page = sys.argv[1:4]
wall, cpu = time.perf_counter(), time.process_time()
with cosim.open_result(log) as result:
    if what == "metrics":
        summarize(result, analyse(result))
    else:
        from pathlib import Path
        write_report([result], Path(page))
    n = result.n_rows
print(json.dumps({"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu, "n_row": n,
                  "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3}))
"""
TARGETS = {"metrics": "20 s, 1000 MB", "report": "metrics and 10 s, 8 MB"}


def measured(what: str, log: Path, page: Path, repeat: int) -> dict[str, float]:
    """Medians of so many fresh processes."""
    found = []
    for _ in range(repeat):
        done = subprocess.run(
            [sys.executable, "-c", CHILD, what, str(log), str(page)], capture_output=True, text=True, check=True
        )
        found.append(json.loads(done.stdout))
    return {key: statistics.median(one[key] for one in found) for key in found[0]}


def day(folder: Path, everything: bool) -> Path:
    """The day's log."""
    out = folder / "day.h5"
    command = [sys.executable, "-m", "cosim.cli", "run", str(HERE / "ieee123_day.yaml"), "-o", str(out), "--quiet"]
    subprocess.run(command + (["--set", f"log.quantities={QUANTITIES}"] if everything else []), check=True)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("log", type=Path, nargs="?", help="a log that is there already")
    parser.add_argument("--all", action="store_true", help="log every quantity, not the voltage alone")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log, page = asked.log or day(Path(folder), asked.all), Path(folder) / "page.html"
        rows = {what: measured(what, log, page, asked.repeat) for what in TARGETS}
        rows["report"]["page_mb"] = page.stat().st_size / 1e6
        for what, row in rows.items():
            if asked.json:
                print(json.dumps({"benchmark": "metrics", "what": what, "log_mb": log.stat().st_size / 1e6, **row}))
            else:
                size = f"  page {row['page_mb']:.1f} MB" if "page_mb" in row else ""
                print(
                    f"{what:8s} {row['wall_s']:6.1f} s, {row['cpu_s']:6.1f} s on the core  {row['peak_mb']:5.0f} MB"
                    f"{size}  target {TARGETS[what]}"
                )


if __name__ == "__main__":
    main()
