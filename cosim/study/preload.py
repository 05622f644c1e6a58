"""What every worker of this machine needs, loaded once: workers are forks of a process that imported this.

A worker starts in a few hundredths of a second with compiled kernels at hand, and shares their memory with the others.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path


def load() -> None:
    """Run and measure a small scenario, so that whatever that imports and compiles is there.

    Nothing where the kernels were never compiled: each run of this line would take a minute to do so.
    """
    from cosim.jit import is_warm, without_blas

    without_blas()
    if not is_warm():
        return
    from cosim.engine.warmup import SCENARIO
    from cosim.study.execute import measured
    from cosim.wiring import prepare

    with tempfile.TemporaryDirectory(prefix="cosim-preload-") as scratch:
        measured(*prepare(SCENARIO), Path(scratch) / "small.h5", keep_log=False)


with contextlib.suppress(Exception):  # what fails here fails again in a worker, which tells
    load()
