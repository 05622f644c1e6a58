"""The shipped feeders: their tables, and the one place that says who solves them."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from cosim.feeder.shipped import shipped_feeders

FEEDERS = Path(__file__).resolve().parents[3] / "feeders"
IEEE = ("ieee13", "ieee34", "ieee37", "ieee123")


def making(module):
    """A module of what makes the feeders, which is no part of the package."""
    if str(FEEDERS) not in sys.path:
        sys.path.insert(0, str(FEEDERS))
    return importlib.import_module(module)


def tables_of(name):
    return making("making.tables").Tables.read(FEEDERS / name)


def solve_shipped(name, taps=None, controls=False):
    """Solution of a shipped feeder with the fields of `making.opendss.Solved`: here OpenDSS is what solves."""
    return making("making.opendss").solve(shipped_feeders()[name], taps, controls)
