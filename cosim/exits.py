"""How the command ends: exit codes of what nobody foresaw, and leaving the process."""

from __future__ import annotations

import os
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import NoReturn

from cosim.errors import EnvironmentFailure


def code_of(error: Exception) -> int:
    """Exit code of what is not ours on purpose: usage errors, a closed pipe, the machine, or our bug."""
    show_usage = getattr(error, "show", None)
    if callable(show_usage) and hasattr(error, "exit_code"):
        show_usage()
        return int(error.exit_code)
    if isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nobody reads on; what is still held goes there, quietly
        return 0
    if isinstance(error, OSError):
        print(f"cosim: {error}", file=sys.stderr)
        return EnvironmentFailure.exit_code
    file = Path(f"cosim-crash-{time.strftime('%Y%m%d-%H%M%S')}.txt")
    text = "".join(traceback.format_exception(error))
    try:
        file.write_text(text)
        where = f"the details are in {file}"
    except OSError:
        where = text
    print(f"cosim: a bug in cosim, sorry: {type(error).__name__}: {error}; {where}", file=sys.stderr)
    return 1


def leave(code: int) -> NoReturn:
    """End the process with this exit code; of a process that is the command's own."""
    if "distributed" in sys.modules:
        # files are closed and workers gone by now, but daemon threads of Dask live on: once in many times the
        # interpreter aborted while C++ threads were taken down ("terminate called without an active exception")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def tell_warnings() -> None:
    """Have warnings say what they say, without the line of code that they come from."""
    warnings.formatwarning = lambda message, *_, **__: f"cosim: warning: {message}\n"
