"""A copy of a feeder's files in which the engine can run what the scan would have said otherwise.

Only where there is something to say otherwise: a trace or report that is to stay off, a file that is there under a name
in another case. The user's own files are never touched, and errors name them, not the copies.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from cosim.errors import InputError, PhysicsError, Problem
from cosim.feeder.dss.scan import Scan, scan
from cosim.feeder.dss.script import edited


@contextmanager
def runnable(found: Scan) -> Iterator[Path]:
    """The master to run: itself where nothing is to be changed, else one in a folder that goes with the context.

    Raises
    ------
    InputError
        As the block does; and where a script that is to be changed is named by an absolute path.
    """
    if not found.edits and not found.links:
        yield found.master
        return
    with tempfile.TemporaryDirectory(prefix="cosim-dss-") as folder:
        root = Path(os.path.realpath(folder))
        try:
            _copy(found, root)
            master = root / found.master.relative_to(found.root)
            left = scan(master, root)
            if left.edits or left.links:
                raise InputError(Problem("what it writes could not be turned off", file=str(found.master)))
            yield master
        except InputError as wrong:
            raise InputError([_shown(p, str(root), str(found.root)) for p in wrong.problems]) from wrong
        except PhysicsError as wrong:
            raise PhysicsError(str(wrong).replace(str(root), str(found.root))) from wrong


def _copy(found: Scan, root: Path) -> None:
    """Put every file where the engine will look for it, edited where it is to be, and the names in another case."""
    for spelled, real in found.spelled.items():
        if not Path(spelled).is_relative_to(found.root):
            raise InputError(Problem("write this file's name relative to the script that reads it", value=spelled))
        to = root / Path(spelled).relative_to(found.root)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(real, to)
        if real in found.edits:
            text = real.read_bytes().decode("latin-1")
            to.write_bytes(edited(text, found.edits[real]).encode("latin-1"))
    for spelled, actual in found.links.items():
        link = root / Path(spelled).relative_to(found.root)
        if not os.path.lexists(link):
            link.symlink_to(actual)


def _shown(problem: Problem, copies: str, originals: str) -> Problem:
    """A problem of the copies as one of the files themselves."""
    value = problem.value.replace(copies, originals) if isinstance(problem.value, str) else problem.value
    return replace(
        problem,
        message=problem.message.replace(copies, originals),
        file=problem.file.replace(copies, originals),
        value=value,
    )
