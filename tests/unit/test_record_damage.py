"""A log that something else than cosim has cut or overwritten: told at once, never waited for."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from synthetic_log import campus_log, write_log

from cosim.errors import EnvironmentFailure, InputError
from cosim.record.channels import Channel
from cosim.record.recorder import Recorder, resume_state
from cosim.record.result import open_result

FACTS = {"scenario_yaml": "schema: 1\n", "scenario_name": "x", "seed": 1, "cosim_version": "0.1.0"}
CHANNELS = (Channel("bus/vm_pu", "pu", tuple(f"bus {i}" for i in range(20))),)

READ_ALL = """
import sys, cosim
from cosim.errors import CosimError
try:
    with cosim.open_result(sys.argv[1]) as log:
        log.scenario_yaml, log.metrics, log.events, log.provenance, log.names("bus")
        for path in log.paths():
            log.read(path)
except CosimError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "a.h5"
    write_log(campus_log(300.0), out)
    return out.read_bytes()


def interrupted(out, n_rows=3000):
    recorder = Recorder.create(out, CHANNELS, **FACTS)
    noise = np.random.default_rng(1).standard_normal((n_rows, 20))
    recorder.append(np.arange(n_rows) * 100_000, {"bus/vm_pu": noise})
    recorder.checkpoint({"a": b"1"})
    recorder.finish("interrupted")


@pytest.mark.parametrize("fraction", [0.0001, 0.02, 0.06, 0.5, 0.9999])
def test_a_log_cut_from_outside_is_told_as_damaged_and_never_waited_for(whole, tmp_path, fraction):
    cut = tmp_path / "cut.h5"
    cut.write_bytes(whole[: max(20, int(fraction * len(whole)))])
    done = subprocess.run([sys.executable, "-c", READ_ALL, cut], capture_output=True, text=True, timeout=30, check=True)
    assert "is damaged" in done.stdout


def test_a_cut_log_is_not_resumed(tmp_path):
    out = tmp_path / "a.h5"
    interrupted(out)
    assert resume_state(out) == "resumable"
    out.write_bytes(out.read_bytes()[:5000])
    with pytest.raises(InputError, match="is damaged"):
        resume_state(out)
    with pytest.raises(InputError, match="is damaged"):
        Recorder.resume(out, CHANNELS, **FACTS)


def test_a_chunk_spoilt_on_disk_is_told_where_it_is_read(tmp_path):
    out = tmp_path / "a.h5"
    interrupted(out)
    with open_result(out) as log:
        chunk = log._file["bus/vm_pu"].id.get_chunk_info(1)
    data = bytearray(out.read_bytes())
    data[chunk.byte_offset : chunk.byte_offset + 64] = bytes(64)
    out.write_bytes(data)
    with open_result(out) as log:
        assert log.read("bus/vm_pu", 0, 1000).shape == (1000, 20)
        with pytest.raises(InputError, match="is damaged"):
            log.read("bus/vm_pu", 1500, 2000)


def test_a_log_that_may_not_be_read_is_the_machines_failure(tmp_path, monkeypatch):
    out = tmp_path / "a.h5"
    interrupted(out)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(EnvironmentFailure, match="cannot be read: Permission denied"):
        open_result(out)


def test_a_growing_log_is_never_called_damaged(tmp_path):
    recorder = Recorder.create(tmp_path / "a.h5", CHANNELS, **FACTS)
    noise = np.random.default_rng(1).standard_normal((500, 20))
    for k in range(20):
        recorder.append((np.arange(500) + 500 * k) * 100_000, {"bus/vm_pu": noise})
        with open_result(tmp_path / "a.h5") as log:
            assert log.n_rows == 500 * (k + 1) // 1024 * 1024
    recorder.finish("complete")
