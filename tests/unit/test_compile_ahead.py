"""Kernels compiled beside a first run: the ones that the loop asks for, and each by one process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from cosim.cache_folder import Claim
from cosim.cores import n_core
from cosim.engine import ahead
from cosim.engine.warmup import warm_up

HOLDS = "import sys, time; from pathlib import Path; from cosim.cache_folder import Claim\n" \
    "claim = Claim(Path(sys.argv[1])); claim.take(); print('held', flush=True); time.sleep(60)"  # fmt: skip


def test_kernels_are_compiled_for_the_types_that_the_loop_gives_them():
    """Another type would be another entry in a kernel's index, and its compilation in vain."""
    warm_up()
    asked = list(ahead.kernels())
    assert len(asked) == 12
    for kernel, arguments in asked:
        ahead.compile_for(kernel, arguments)
        index = kernel._cache._cache_file._load_index()
        assert len(index) == 1, (kernel, list(index))


def test_nothing_is_compiled_ahead_where_all_is_there():
    warm_up()
    assert not ahead.compile_ahead()


@pytest.mark.parametrize("killed", [False, True])
def test_a_claim_is_one_processs_and_ends_with_it(tmp_path, killed):
    path = tmp_path / "claims" / "one.lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLDS, str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    mine = Claim(path, patience_s=0.3)
    began = time.monotonic()
    mine.take()
    assert time.monotonic() - began >= 0.3  # its patience: it went on without
    mine.release()
    os.kill(holder.pid, signal.SIGKILL if killed else signal.SIGTERM)
    holder.communicate()
    other, began = Claim(path, patience_s=30.0), time.monotonic()
    other.take()
    assert time.monotonic() - began < 5.0
    other.take()  # held already
    other.release()


def test_a_folder_that_cannot_be_written_keeps_nobody_waiting(tmp_path):
    (tmp_path / "file").write_text("")
    claim = Claim(tmp_path / "file" / "one.lock")
    claim.take()
    claim.release()


def test_a_system_that_does_not_tell_a_processs_cores_has_all_of_the_machines(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity")  # as on macOS
    assert n_core() == os.cpu_count()
