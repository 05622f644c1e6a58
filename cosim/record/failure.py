"""What the operating system refused, as one line that says what was kept and what to do."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

from cosim.errors import EnvironmentFailure

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}


def errno_of(error: BaseException) -> int | None:
    """Error number of an OSError, or of the text that HDF5 makes of one."""
    number = getattr(error, "errno", None)
    if isinstance(number, int):
        return number
    found = re.search(r"errno = (\d+)", str(error))
    return int(found.group(1)) if found else None


def as_environment_failure(error: BaseException, path: Path, kept: str) -> EnvironmentFailure:
    """Exit code 4 and one line: what failed where, what was kept, what to do.

    Parameters
    ----------
    error : exception
        OSError or RuntimeError from the file system or HDF5.
    path : Path
        File that could not be written.
    kept : str
        What stands all the same, as a clause.

    Returns
    -------
    EnvironmentFailure
        To be raised from `error`.
    """
    number = errno_of(error)
    if number in _FULL or "No space left" in str(error):
        what = "the disk is full" if number != errno.EFBIG else "the file size limit is reached"
        advice = "free some space and go on with --resume"
    elif number in _DENIED:
        what, advice = "permission denied", "choose another output with -o, or change the permissions"
    else:
        reason = os.strerror(number) if number else str(error).splitlines()[0]
        what, advice = f"cannot write ({reason})", "check the disk and go on with --resume"
    return EnvironmentFailure(f"{path}: {what}; {kept}; {advice}")
