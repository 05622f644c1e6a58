"""Cores that this process may use."""

from __future__ import annotations

import os


def n_core() -> int:
    """Those it is bound to, where the system tells, else all of the machine; at least one."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS
