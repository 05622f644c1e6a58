"""What all tests share: data beside the checkout, and how hypothesis draws."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from without_jit import JIT_IS_OFF

from cosim.bundle import Bundle

ROOT = Path(__file__).resolve().parents[1]
N_EXAMPLE = 15 if JIT_IS_OFF else 50
IN_CI = os.environ.get("CI", "").lower() == "true"

settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True, max_examples=N_EXAMPLE, print_blob=True)
settings.load_profile("ci" if IN_CI else "dev")


def _as_records(value):
    """The same memory, with `record.field` of structured arrays for plain Python, as compiled kernels have it."""
    if isinstance(value, np.ndarray) and value.dtype.names and not isinstance(value, np.recarray):
        return value.view(np.recarray)
    if isinstance(value, np.void) and not isinstance(value, np.record):
        return value.view((np.record, value.dtype))
    if isinstance(value, Bundle):  # its arrays stay, so once is enough
        if "as_records" not in vars(value):
            found = value.replaced(**{name: _as_records(array) for name, array in value.items()})
            vars(found)["as_records"] = vars(value)["as_records"] = found
        return vars(value)["as_records"]
    return value


def _not_compiled(kernel):
    """A kernel as plain Python."""

    @functools.wraps(kernel)
    def call(*args):
        return kernel(*map(_as_records, args))

    return call


def pytest_sessionfinish(session, exitstatus):
    """Say that the end was reached: `test.sh` takes no exit code for that."""
    end = os.environ.get("COSIM_TESTS_END")
    if end and not hasattr(session.config, "workerinput"):  # the process that all others report to
        Path(end).write_text(str(int(exitstatus)))


if JIT_IS_OFF:
    import cosim.jit

    cosim.jit.njit = cosim.jit.frame = cosim.jit.inner = _not_compiled


@pytest.fixture(scope="session")
def shared() -> Path:
    """Measured data beside the checkout; where it is absent tests are skipped, in CI they fail."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        missing = f"measured data is not at {folder}"
        pytest.fail(missing) if IN_CI else pytest.skip(missing)
    return folder
