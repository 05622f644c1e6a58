"""The second run of the twins, with kernels as plain Python: a hundred times slower."""

import os

import pytest

JIT_IS_OFF = os.environ.get("NUMBA_DISABLE_JIT", "0") != "0"


def needs_jit(much: str) -> pytest.MarkDecorator:
    """Skip without the JIT what takes minutes there."""
    return pytest.mark.skipif(JIT_IS_OFF, reason=f"{much}: minutes without the JIT")
