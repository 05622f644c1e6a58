"""What all tests share: data beside the checkout, and how hypothesis draws."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]
IN_CI = os.environ.get("CI", "").lower() == "true"

settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True, max_examples=50, print_blob=True)
settings.load_profile("ci" if IN_CI else "dev")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Measured data beside the checkout; where it is absent tests are skipped, in CI they fail."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        missing = f"measured data is not at {folder}"
        pytest.fail(missing) if IN_CI else pytest.skip(missing)
    return folder
