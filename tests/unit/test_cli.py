"""Exit codes of commands in processes of their own: pipes that close, files that may not be read, caches."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from synthetic_log import campus_log, write_log

import cosim.cli
from cosim.scenario import find_scenario, load_scenario

COSIM = [sys.executable, "-m", "cosim.cli"]


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    out = tmp_path_factory.mktemp("cli") / "a.h5"
    write_log(campus_log(60.0), out)
    return out


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_show_into_a_pipe_that_closes_is_quiet_and_no_failure(log, more):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*COSIM, "show", log, *more], stdout=write, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


def test_version_is_that_of_the_package_and_loads_nothing_heavy():
    """Held to pyproject.toml; numpy alone would double the 0.1 s that the command takes."""
    code = (
        "import sys, cosim.cli\nsys.argv = ['cosim', '--version']\ntry:\n    cosim.cli.main()\n"
        "finally:\n    print(sorted({'numpy', 'numba', 'h5py', 'pydantic', 'cosim.wiring'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    pyproject = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert done.returncode == 0
    assert done.stdout.splitlines() == [f"cosim {pyproject['project']['version']}", "[]"]


def test_check_of_a_feeder_seen_before_needs_no_kernels():
    """numba alone takes longer than all else that a check does; a feeder with controls is no exception."""
    from cosim.feeder import load_feeder

    load_feeder("campus34")
    code = (
        "import sys, cosim.cli\nsys.argv = 'cosim check planning/campus34_recloser'.split()\n"
        "try:\n    cosim.cli.main()\n"
        "finally:\n    print(sorted({'numba', 'pandas', 'scipy.sparse', 'h5py'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def code_of(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["cosim", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cosim.cli.main()
    return ended.value.code, capsys.readouterr().err


def test_files_that_may_not_be_read_exit_with_4(log, tmp_path, monkeypatch, capsys):
    path, _ = find_scenario("quickstart")
    mine = tmp_path / "mine.yaml"
    mine.write_bytes(path.read_bytes())

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    for arguments in (["show", log], ["run", mine]):
        code, said = code_of(monkeypatch, capsys, *arguments)
        assert (code, said.count("\n")) == (4, 1)
        assert "Permission denied" in said


def test_a_cut_log_exits_with_2(log, tmp_path, monkeypatch, capsys):
    cut = tmp_path / "cut.h5"
    cut.write_bytes(log.read_bytes()[:5000])
    code, said = code_of(monkeypatch, capsys, "show", cut)
    assert code == 2
    assert "is damaged" in said


def test_an_unusable_kernel_cache_is_told_once(tmp_path):
    """A folder cannot be made below a file, whoever asks."""
    (tmp_path / "file").write_text("")
    code = "import cosim.jit as j, os; print(j.CACHE_NOTE); print(os.environ['NUMBA_CACHE_DIR'])"
    env = os.environ | {"COSIM_CACHE_DIR": str(tmp_path / "file" / "cache"), "TMPDIR": str(tmp_path)}
    env.pop("NUMBA_CACHE_DIR", None)
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True, timeout=60)
    note, used = done.stdout.splitlines()
    assert "set COSIM_CACHE_DIR to a writable folder" in note
    assert used.startswith(str(tmp_path))
    done = subprocess.run([*COSIM, "run", "absent.yaml"], env=env, capture_output=True, text=True, timeout=60)
    assert done.stderr.count("set COSIM_CACHE_DIR") == 1


def test_run_shorter_than_a_row_of_the_usual_log_has_two_rows():
    plain = {"schema": 1, "name": "x", "time": {"duration_s": 0.05}, "feeder": {"model": "case33bw"}}
    assert load_scenario(plain).log.step_s == 0.05


def test_limits_that_do_not_exist_exit_with_2(log, monkeypatch, capsys):
    code, said = code_of(monkeypatch, capsys, "show", log, "--limits", "ieee1453")
    assert code == 2
    assert "ieee_1453" in said


def test_show_holds_a_log_against_limits_of_ones_own(log, tmp_path, monkeypatch, capsys):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "schema: 1\nname: mine\ndescription: mine\nlimits:\n  - name: pf\n    kind: demand\n    title: Contract\n"
        "    source: contract\n    measured: means\n    window_s: 10\n    max_mw: 0.1\n"
    )
    monkeypatch.setattr(sys, "argv", ["cosim", "show", str(log), "--limits", str(file)])
    with pytest.raises(SystemExit):
        cosim.cli.main()
    assert "Limits: 0 passed, 1 failed, 0 not seen" in capsys.readouterr().out


@pytest.mark.parametrize(("columns", "is_cut"), [("80", True), (None, False)])
def test_tables_that_go_into_a_pipe_are_not_cut(tmp_path, monkeypatch, capsys, columns, is_cut):
    """The name of the bus with the lowest voltage does not fit into 80 columns."""
    long = campus_log(20.0)
    long.elements["bus"][-1] = "transformer at the corner of Main St"
    write_log(long, tmp_path / "long.h5")
    monkeypatch.setattr(sys, "argv", ["cosim", "show", str(tmp_path / "long.h5")])
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    with pytest.raises(SystemExit):
        cosim.cli.main()
    assert ("\u2026" in capsys.readouterr().out) == is_cut


def test_command_within_a_process_that_has_used_dask_leaves_it_alive(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "distributed", sys)
    monkeypatch.setattr(sys, "argv", ["cosim", "catalog", "accelerators", "--json"])
    with pytest.raises(SystemExit):
        cosim.cli.main()
    assert capsys.readouterr().out
