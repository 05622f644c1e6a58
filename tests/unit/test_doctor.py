"""`cosim doctor`: whole here, and plain about what is not."""

from __future__ import annotations

import io
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from types import SimpleNamespace

import h5py
import pytest
from rich.console import Console

from cosim import doctor


def answer() -> tuple[int, str]:
    """Exit code and text of a doctor's visit."""
    text = io.StringIO()
    return doctor.run_doctor(Console(file=text, width=400)), text.getvalue()


def level_of(text: str, subject: str) -> str:
    """Level of the one line about a subject."""
    (line,) = [line for line in text.splitlines() if line[5:].startswith(f"{subject}:")]
    return line[:5].strip()


def test_doctor_finds_this_installation_whole(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, text = answer()
    assert code == 0
    assert "FAIL" not in text
    assert f"HDF5 {h5py.version.hdf5_version} writes, and another process reads meanwhile, in {tmp_path}" in text
    for package in ("numpy", "numba", "scipy", "h5py", "pandapower"):
        assert level_of(text, package) == "ok"
        assert version(package) in text
    assert list(tmp_path.iterdir()) == []


def test_doctor_fails_on_a_package_that_is_missing_and_on_one_too_old(monkeypatch):
    def fake(name: str) -> str:
        if name == "scipy":
            raise PackageNotFoundError(name)
        return "1.9.5" if name == "numpy" else version(name)

    monkeypatch.setattr(doctor, "version", fake)
    code, text = answer()
    assert code == 4
    assert level_of(text, "scipy") == "FAIL"
    assert level_of(text, "numpy") == "FAIL"
    assert "pip install 'numpy>=2.0'" in text


def test_doctor_takes_a_missing_option_for_well(monkeypatch):
    def fake(name: str) -> str:
        if name in doctor.OPTIONAL:
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(doctor, "version", fake)
    code, text = answer()
    assert code == 0
    assert "cosim-feeder[filters]" in text


@pytest.mark.parametrize(("free", "level", "code"), [(10**7, "FAIL", 4), (10**9, "WARN", 0), (10**12, "ok", 0)])
def test_doctor_weighs_the_free_disk(monkeypatch, free, level, code):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    got, text = answer()
    assert (got, level_of(text, "disk")) == (code, level)


def test_doctor_fails_where_no_log_can_be_written(monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(h5py, "File", refuse)
    code, text = answer()
    assert code == 4
    assert level_of(text, "log in the current folder") == "FAIL"


def test_doctor_fails_where_a_second_process_cannot_read(monkeypatch):
    failed = subprocess.CompletedProcess([], 1, "", "Traceback\nOSError: unable to lock file")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    code, text = answer()
    assert code == 4
    assert "unable to lock file" in text


def test_doctor_warns_of_a_network_filesystem(monkeypatch):
    monkeypatch.setattr(doctor, "_filesystem_kind", lambda _: "nfs4")
    code, text = answer()
    assert code == 0
    assert level_of(text, "filesystem") == "WARN"
