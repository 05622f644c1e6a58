"""A real OpenDSS engine in a process of its own, for scripts that may crash it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

WORKER = """
import os, sys
from opendssdirect import dss
for line in sys.stdin:
    folder, master = line.rstrip("\\n").split("\\t")
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.chdir(folder)
        engine = dss.NewContext()
        engine.Basic.AllowForms(False)
        engine.Basic.AllowEditor(False)
        engine.Basic.AllowChangeDir(False)
        try:
            engine.Text.Command('compile "' + master + '"')
        except Exception:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    print(status, flush=True)
"""


class Engine:
    """Runs scripts one after the other, each in a context and process of its own."""

    def __init__(self, home: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=home,
            env={**os.environ, "HOME": str(home), "DSS_CAPI_ALLOW_DOSCMD": "1"},
        )

    def run(self, master: Path, folder: Path) -> bool:
        """Compile a script with a folder as the current one; whether it went through."""
        self._process.stdin.write(f"{folder}\t{master}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip() == "0"

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file and folder beneath, with what is in it."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in folder.rglob("*")
    }
