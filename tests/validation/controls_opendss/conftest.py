"""IEEE feeders, unpacked once."""

from __future__ import annotations

import pytest
from opendss_peer import unzip_all


@pytest.fixture(scope="session")
def feeders(shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dss")
    unzip_all(shared, folder)
    return folder
