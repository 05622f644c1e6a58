"""A program that writes a log, for tests that kill it, fill its disk or tear its file."""

from __future__ import annotations

import textwrap

FACTS = {"scenario_yaml": "schema: 1\nname: x\n", "scenario_name": "x", "seed": 1, "cosim_version": "0.1.0"}
N_ROWS, BLOCK, CHECKPOINT_EVERY = 30_000, 450, 4_500

# One program for writer processes and for the tests themselves: a run whose rows follow from a generator's
# state, as an engine's do, with a checkpoint now and then.
PROGRAM = textwrap.dedent(
    """
    import sys
    from pathlib import Path

    import numpy as np

    from cosim.record.channels import Channel
    from cosim.record.recorder import Recorder, resume_state

    CHANNELS = (
        Channel("bus/vm_pu", "pu", tuple(f"bus {i}" for i in range(20))),
        Channel("source/p_mw", "MW"),
        Channel("ups/campus/soc", "1", dtype="f8"),
    )

    def run(out, facts, n_rows, block, every, stop_at=None, status="complete", after=lambda row: None):
        generator, row = np.random.Generator(np.random.PCG64(5)), 0
        state = resume_state(out)
        if state == "complete":
            return
        if state == "resumable":
            recorder, kept = Recorder.resume(out, CHANNELS, **facts)
            row = int(kept["row"])
            generator.bit_generator.state = {
                "bit_generator": "PCG64", "has_uint32": 0, "uinteger": 0,
                "state": {"state": int.from_bytes(kept["state"], "little"),
                          "inc": int.from_bytes(kept["inc"], "little")},
            }
        else:
            recorder = Recorder.create(out, CHANNELS, **facts)
        while row < n_rows and row != stop_at:
            n = min(block, n_rows - row, every - row % every)
            noise = generator.standard_normal((n, 22))
            columns = {
                "bus/vm_pu": 1 + 0.01 * noise[:, :20].round(2),
                "source/p_mw": noise[:, 20],
                "ups/campus/soc": noise[:, 21],
            }
            recorder.append(np.arange(row, row + n) * 100_000, columns)
            for i in range(row - row % -77, row + n, 77):
                recorder.add_event(i * 100_000, "tap_changed", f"trafo {i}", noise[i - row, 0], "up")
            row += n
            if row % every == 0:
                inner = generator.bit_generator.state["state"]
                recorder.checkpoint({
                    "row": np.array(row),
                    "state": inner["state"].to_bytes(16, "little"),
                    "inc": inner["inc"].to_bytes(16, "little"),
                })
            after(row)
        recorder.finish(status, {"n_rows": row} | {f"sag/depth_pu/bus {i}": i / 7 for i in range(40)})
    """
)

space: dict = {}
exec(PROGRAM, space)
run, CHANNELS = space["run"], space["CHANNELS"]
