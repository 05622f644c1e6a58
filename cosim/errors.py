"""Everything cosim raises on purpose: one root, one exit code per kind of failure."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass


class CosimError(Exception):
    """Root of all errors that cosim raises on purpose. `exit_code` is what the command returns."""

    exit_code = 1


@dataclass(frozen=True)
class Problem:
    """One wrong field of an input: where it stands, what stands there, what is allowed."""

    message: str
    """What is wrong and what is allowed, in one sentence without a final full stop."""
    path: str = ""
    """Dotted path in the scenario, e.g. `datacenters.campus.ups.soc_init`."""
    value: object = None
    """The offending value; None where there is none (a missing field)."""
    file: str = ""
    line: int | None = None
    """Line in `file`, counted from 1."""

    def __str__(self) -> str:
        place = self.file + (f":{self.line}" if self.line is not None else "")
        head = ": ".join(part for part in (place, self.path) if part)
        shown = "" if self.value is None else f" (got {_short(self.value)})"
        return f"{head}: {self.message}{shown}" if head else f"{self.message}{shown}"


def _short(value: object, width: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= width else text[: width - 3] + "..."


class InputError(CosimError):
    """The input is wrong; `problems` holds every wrong field at once."""

    exit_code = 2

    def __init__(self, problems: Problem | str | Sequence[Problem]) -> None:
        if isinstance(problems, str):
            problems = Problem(problems)
        self.problems: list[Problem] = [problems] if isinstance(problems, Problem) else list(problems)
        super().__init__("\n".join(str(p) for p in self.problems))


class PhysicsError(CosimError):
    """No physical solution exists (voltage collapse, an unsolvable feeder)."""

    exit_code = 3


class EnvironmentFailure(CosimError):
    """The machine failed us: disk full, no permission, a broken cache."""

    exit_code = 4


class Interrupted(CosimError):
    """The user stopped the run; the log is whole up to there."""

    exit_code = 130


_MACHINE = frozenset({errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE, errno.ENOMEM, errno.EMFILE, errno.ENFILE})


def unreadable(error: Exception, file: str, what: str = "cannot be read") -> CosimError:
    """A file that cannot be read, as the machine's failure or as wrong input.

    Parameters
    ----------
    error : exception
        What reading it raised.
    file : str
        Its name.
    what : str
        What went wrong, before the reason.

    Returns
    -------
    EnvironmentFailure or InputError
        The former where permission is missing or the disk fails, the latter for all else; to be raised.
    """
    problem = Problem(f"{what}: {getattr(error, 'strerror', None) or error}", file=file)
    if isinstance(error, OSError) and error.errno in _MACHINE:
        return EnvironmentFailure(str(problem))
    return InputError(problem)
