"""What a day's log of a large unbalanced feeder costs: CPU time to write and to read, size, by compression.

The data stand in for IEEE 123 with a data center: 278 nodes with four quantities and 120 lines with two, float32, every
100 ms. A load that swings every 10.9 s with noise moves all of them; in a part of the rows nothing moves, as where the
power flow is solved on change only. A stretch is written and the figures are scaled to 24 h.

    python benchmarks/log_write.py [--rows 36864] [--moving 0.6] [--json]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from cosim.record.channels import Channel
from cosim.record.recorder import Recorder

N_NODE, N_LINE, ROWS = 278, 120, 1024
DAY_ROWS = 864_000
FACTS = {"scenario_yaml": "schema: 1\n", "scenario_name": "log_write", "seed": 1, "cosim_version": "0"}
NODES, LINES = tuple(f"n{i}" for i in range(N_NODE)), tuple(f"l{i}" for i in range(N_LINE))
CHANNELS = [Channel(f"bus/{name}", "1", NODES) for name in ("vm_pu", "va_degree", "vm_min_pu", "vm_max_pu")]
CHANNELS += [Channel(f"line/{name}", "1", LINES) for name in ("p_mw", "loading_percent")]


def stretches(n: int, moving: float) -> Iterator[dict[str, np.ndarray]]:
    """Blocks of rows of every channel."""
    rng = np.random.default_rng(3)
    drop, bend, turn, flow = rng.random((4, N_NODE)) * np.array([[0.01], [0.01], [1.5], [1.0]])
    phase, share, base = rng.choice([0.0, 120.0, 240.0], N_NODE), flow[:N_LINE] < 0.3, rng.random(N_LINE)
    for k in range(n):
        t_s = 0.1 * (np.arange(ROWS) + k * ROWS)
        p_mw = 2.0 + 0.9 * (t_s % 10.9 < 8.2) + 0.02 * rng.standard_normal(ROWS)
        p_mw = p_mw[np.maximum.accumulate(np.where(rng.random(ROWS) < moving, np.arange(ROWS), 0))][:, None]
        slow = (1.0 + 0.001 * np.sin(t_s / 3000))[:, None]
        vm_pu = 1.03 * slow - p_mw * drop - 0.0005 * p_mw**2 * bend
        between = np.where(rng.random((ROWS, 1)) < 0.3, np.abs(rng.standard_normal((2, ROWS, 1))), 0.0) * drop * 0.02
        line_mw = p_mw * share + base * slow
        blocks = {
            "bus/vm_pu": vm_pu,
            "bus/va_degree": -turn * p_mw - phase,
            "bus/vm_min_pu": np.minimum(vm_pu, np.roll(vm_pu, 1, axis=0)) - between[0],
            "bus/vm_max_pu": np.maximum(vm_pu, np.roll(vm_pu, 1, axis=0)) + between[1],
            "line/p_mw": line_mw,
            "line/loading_percent": 20 * np.abs(line_mw),
        }
        yield {path: values.astype(np.float32) for path, values in blocks.items()}


def cosims(out: Path, blocks: list[dict[str, np.ndarray]], compression: str) -> None:
    """Write as a run does."""
    recorder = Recorder.create(out, CHANNELS, compression=compression, **FACTS)
    for k, block in enumerate(blocks):
        recorder.append((np.arange(ROWS) + k * ROWS) * 100_000, block)
    recorder.finish("complete")


def h5pys(out: Path, blocks: list[dict[str, np.ndarray]]) -> None:
    """The same datasets through HDF5's own filters at gzip 4."""
    with h5py.File(out, "w", libver="v110") as file:
        for channel in CHANNELS:
            width = len(channel.group_names or ())
            options = {"chunks": (256, width), "compression": "gzip", "compression_opts": 4, "shuffle": True}
            data = file.create_dataset(channel.path, (len(blocks) * ROWS, width), "f4", **options)
            for k, block in enumerate(blocks):
                data[k * ROWS : (k + 1) * ROWS] = block[channel.path]


def measured(out: Path, write, n_rows: int) -> dict[str, float]:
    """CPU seconds and megabytes of a day."""
    started = time.process_time()
    write()
    wrote_s = time.process_time() - started
    started = time.process_time()
    with h5py.File(out) as file:
        for channel in CHANNELS:
            file[channel.path][...]
    read_s, day = time.process_time() - started, DAY_ROWS / n_rows
    return {"write_s": wrote_s * day, "read_s": read_s * day, "size_mb": out.stat().st_size * day / 1e6}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=36 * ROWS)
    parser.add_argument("--moving", type=float, default=0.6, help="share of rows in which something moves")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    blocks = list(stretches(-(-asked.rows // ROWS), asked.moving))
    n_rows = len(blocks) * ROWS
    ways = ["gzip", "none"]
    if importlib.util.find_spec("hdf5plugin"):
        ways += ["lz4", "zstd", "blosc", "bitshuffle"]
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for way in ways:
            out = Path(folder) / f"{way}.h5"
            found[way] = measured(out, lambda out=out, way=way: cosims(out, blocks, way), n_rows)
        out = Path(folder) / "own.h5"
        found["HDF5's own gzip 4"] = measured(out, lambda: h5pys(out, blocks), n_rows)
    if not asked.json:
        print(f"a day of {N_NODE} nodes x 4 and {N_LINE} lines x 2, {asked.moving:.0%} of rows moving, CPU seconds")
    for way, row in found.items():
        if asked.json:
            print(json.dumps({"benchmark": "log_write", "compression": way, "moving": asked.moving, **row}))
        else:
            print(f"{way:18s} write {row['write_s']:6.1f} s  read {row['read_s']:6.1f} s  {row['size_mb']:7.0f} MB")


if __name__ == "__main__":
    main()
