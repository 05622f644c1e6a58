"""The log as written in one go: contents, dimensions, units, size, memory, refusals."""

import resource
import subprocess
import sys
import tracemalloc

import h5py
import numpy as np
import pytest
import xarray as xr

from cosim.errors import EnvironmentFailure, InputError
from cosim.record.channels import Channel
from cosim.record.recorder import Recorder, resume_state
from cosim.record.result import open_result

BUSES = ("slack", "feeder 1", "Ünder/ground")
CHANNELS = (
    Channel("bus/vm_pu", "pu", BUSES, description="voltage"),
    Channel("line/p_mw", "MW", ("l1", "l2")),
    Channel("trafo/loading_percent", "%", ()),
    Channel("source/p_mw", "MW", dtype="f8"),
    Channel("datacenter/campus/p_total_mw", "MW"),
)
FACTS = {
    "scenario_yaml": "schema: 1\nname: one\n",
    "scenario_name": "one",
    "seed": 7,
    "cosim_version": "0.1.0",
}


def rows(start, n, channels=CHANNELS):
    """Rows start .. start + n of a fixed synthetic run."""
    i = np.arange(start, start + n)
    columns = {}
    for k, channel in enumerate(channels):
        width = channel.row_shape
        phase = np.arange(width[0]) if width else np.zeros(())
        columns[channel.path] = 1.0 + 0.1 * np.sin(0.01 * np.multiply.outer(i, 1 + phase) + k)
    return i * 100_000, columns


def write(out, n, block=700, status="complete", metrics=None, **options):
    recorder = Recorder.create(out, CHANNELS, **FACTS, **options)
    for start in range(0, n, block):
        recorder.append(*rows(start, min(block, n - start)))
    recorder.finish(status, metrics or {})


@pytest.mark.parametrize("compression", ["gzip", "none", "lz4", "zstd", "blosc", "bitshuffle"])
@pytest.mark.parametrize("n", [0, 1, 1023, 1024, 1025, 5000])
def test_log_returns_what_was_written(tmp_path, compression, n):
    write(tmp_path / "a.h5", n, compression=compression)
    t_us, columns = rows(0, n)
    with open_result(tmp_path / "a.h5") as log:
        np.testing.assert_array_equal(log.t_us, t_us)
        np.testing.assert_array_equal(log.t_s, t_us / 1e6)
        for channel in CHANNELS:
            if channel.path in log.paths():
                np.testing.assert_array_equal(log.read(channel.path), columns[channel.path].astype(channel.dtype))
        assert log.paths() == ["bus/vm_pu", "datacenter/campus/p_total_mw", "line/p_mw", "source/p_mw"]
        assert (log.status, log.n_rows) == ("complete", n)


def test_result_tells_names_units_and_header(tmp_path):
    write(tmp_path / "a.h5", 10, provenance={"cpu": "x86"})
    with open_result(tmp_path / "a.h5") as log:
        assert log.names("bus") == list(BUSES)
        assert (log.unit("bus/vm_pu"), log.description("bus/vm_pu")) == ("pu", "voltage")
        assert log.scenario == {"schema": 1, "name": "one"}
        assert log.attrs["seed"] == 7
        assert log.attrs["scenario_name"] == "one"
        assert log.provenance["cpu"] == "x86"
        assert log.rows_between(0.2, 0.5) == (2, 5)
        np.testing.assert_array_equal(log.read("source/p_mw", -3), log.read("source/p_mw")[-3:])
        with pytest.raises(InputError, match="near: bus/vm_pu"):
            log.read("bus/vm_pv")


def test_every_dataset_has_a_unit(tmp_path):
    write(tmp_path / "a.h5", 10, metrics={"energy": {"e_source_mwh": 1.0}})
    without = []
    with h5py.File(tmp_path / "a.h5") as file:
        file.visititems(
            lambda path, item: (
                without.append(path) if isinstance(item, h5py.Dataset) and "unit" not in item.attrs else None
            )
        )
    assert without == []


def test_xarray_opens_any_group_with_times_and_names(tmp_path):
    write(tmp_path / "a.h5", 1500)
    t_us, columns = rows(0, 1500)
    with xr.open_dataset(tmp_path / "a.h5", engine="h5netcdf", group="bus") as bus:
        assert bus.vm_pu.dims == ("t_s", "name")
        np.testing.assert_array_equal(bus.t_s, t_us / 1e6)
        assert list(bus.name.values) == list(BUSES)
        at = bus.vm_pu.sel(t_s=100.0, name="feeder 1")
        assert float(at) == np.float32(columns["bus/vm_pu"][1000, 1])
    with xr.open_dataset(tmp_path / "a.h5", engine="h5netcdf", group="datacenter/campus") as campus:
        assert campus.p_total_mw.dims == ("t_s",)
        assert campus.t_s[-1] == t_us[-1] / 1e6
    with xr.open_dataset(tmp_path / "a.h5", engine="h5netcdf") as root:
        np.testing.assert_array_equal(root.t_us, t_us)
    with xr.open_datatree(tmp_path / "a.h5", engine="h5netcdf") as tree:
        assert tree["line/p_mw"].shape == (1500, 2)


def test_to_xarray_gives_one_group_or_all(tmp_path):
    write(tmp_path / "a.h5", 20)
    with open_result(tmp_path / "a.h5") as log:
        bus, whole = log.to_xarray("bus"), log.to_xarray()
        assert bus.vm_pu.dims == ("t_s", "name")
        assert bus.vm_pu.attrs["unit"] == "pu"
        assert whole["bus/vm_pu"].dims == ("t_s", "bus")
        assert whole["line/p_mw"].sel(line="l2").shape == (20,)
        assert whole.sizes == {"t_s": 20, "bus": 3, "line": 2}
        with pytest.raises(InputError, match="there are bus, datacenter/campus"):
            log.to_xarray("buses")


def test_events_come_back_in_order_as_text(tmp_path):
    recorder = Recorder.create(tmp_path / "a.h5", CHANNELS, **FACTS)
    for i in range(300):
        recorder.add_event(i * 10, "tap_changed", f"trafo {i}", 0.5 * i, "ä" * i)
    recorder.append(*rows(0, 3000))
    recorder.add_event(3_000_000, "source_lost", "ext_grid", 0.0)
    recorder.finish("complete")
    with open_result(tmp_path / "a.h5") as log:
        events = log.events
    assert list(events.columns) == ["t_s", "kind", "element", "value", "detail"]
    assert len(events) == 301
    assert events.kind[300] == "source_lost"
    assert events.t_s[300] == 3.0
    assert events.element[17] == "trafo 17"
    assert events.detail[20] == "ä" * 20
    assert events.detail[299] == "ä" * 58 + "..."
    assert list(events.value[:300]) == [0.5 * i for i in range(300)]


def test_metrics_come_back_nested_with_units(tmp_path):
    metrics = {"energy": {"e_source_mwh": 12.5}, "sag/depth_pu/bus 3": 0.1, "n_events": 3, "worst_pu": np.nan}
    write(tmp_path / "a.h5", 5, metrics=metrics)
    with open_result(tmp_path / "a.h5") as log:
        found = log.metrics
    assert found["energy"] == {"e_source_mwh": 12.5}
    assert found["sag"] == {"depth_pu": {"bus 3": 0.1}}
    assert type(found["n_events"]) is float
    assert np.isnan(found["worst_pu"])
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["metrics/energy/e_source_mwh"].attrs["unit"] == "MWh"
        assert file["metrics/energy/e_source_mwh"].dtype == np.float64


def test_flushing_in_small_blocks_does_not_blow_the_file_up(tmp_path):
    write(tmp_path / "small.h5", 20_000, block=7)
    write(tmp_path / "large.h5", 20_000, block=20_000)
    sizes = [(tmp_path / name).stat().st_size for name in ("small.h5", "large.h5")]
    raw = 20_000 * (8 + 8 + 3 * 4 + 2 * 4 + 8 + 4)
    assert sizes[0] == sizes[1]
    assert sizes[1] < raw


def test_memory_stays_flat_over_half_a_million_rows(tmp_path):
    recorder = Recorder.create(tmp_path / "a.h5", CHANNELS, **FACTS, compression="none")
    n, block = 500_000, 5000
    t_us, columns = rows(0, block)

    def advance(start, stop):
        for first in range(start, stop, block):
            recorder.append(t_us + first * 100_000, columns)
            recorder.add_event(first, "tap_changed", "t", 1.0)

    advance(0, n // 10)
    tracemalloc.start()
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    advance(n // 10, n)
    after_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    recorder.finish("complete")
    assert peak < 2e6
    assert after_kib - before_kib < 8_000


def test_rows_out_of_order_or_shape_are_refused(tmp_path):
    recorder = Recorder.create(tmp_path / "a.h5", CHANNELS, **FACTS)
    recorder.append(*rows(0, 10))
    t_us, columns = rows(10, 5)
    with pytest.raises(ValueError, match="do not follow"):
        recorder.append(t_us[::-1], columns)
    with pytest.raises(ValueError, match="do not follow"):
        recorder.append(*rows(9, 5))
    with pytest.raises(ValueError, match="source/p_mw: nothing"):
        recorder.append(t_us, {k: v for k, v in columns.items() if k != "source/p_mw"})
    with pytest.raises(ValueError, match=r"bus/vm_pu: shape \(5, 2\)"):
        recorder.append(t_us, {**columns, "bus/vm_pu": columns["bus/vm_pu"][:, :2]})
    recorder.finish("complete")


def test_places_where_no_log_can_stand_are_refused_in_one_line(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for place, words in [
        (tmp_path, "is a folder"),
        (tmp_path / "no" / "a.h5", "does not exist"),
        (tmp_path / "notes.txt", "no log of cosim"),
    ]:
        with pytest.raises(InputError, match=words) as caught:
            Recorder.create(place, CHANNELS, **FACTS)
        assert "\n" not in str(caught.value)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_unknown_compression_is_refused(tmp_path):
    with pytest.raises(InputError, match="allowed: gzip, none, lz4"):
        Recorder.create(tmp_path / "a.h5", CHANNELS, **FACTS, compression="rar")


def test_second_writer_of_one_log_is_refused(tmp_path):
    recorder = Recorder.create(tmp_path / "a.h5", CHANNELS, **FACTS)
    recorder.append(*rows(0, 2000))
    with pytest.raises(EnvironmentFailure, match="another run is writing"):
        Recorder.create(tmp_path / "a.h5", CHANNELS, **FACTS)
    recorder.finish("complete")
    with open_result(tmp_path / "a.h5") as log:
        assert log.n_rows == 2000


def test_new_run_replaces_log_and_checkpoint_of_an_old_one(tmp_path):
    recorder = Recorder.create(tmp_path / "a.h5", CHANNELS, **FACTS)
    recorder.append(*rows(0, 10))
    recorder.checkpoint({"a": b"1"})
    recorder.finish("interrupted")
    assert resume_state(tmp_path / "a.h5") == "resumable"
    write(tmp_path / "a.h5", 5)
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]


def test_what_is_no_log_is_refused_with_advice(tmp_path):
    (tmp_path / "a.txt").write_text("hello")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(InputError, match="cosim run"):
        open_result(tmp_path / "missing.h5")
    for name in ("a.txt", "other.h5"):
        with pytest.raises(InputError, match="not a log of cosim"):
            open_result(tmp_path / name)


def test_log_is_read_in_the_process_that_writes_it(tmp_path):
    recorder = Recorder.create(tmp_path / "a.h5", CHANNELS, **FACTS)
    recorder.append(*rows(0, 1500))
    with open_result(tmp_path / "a.h5") as log:
        assert (log.status, log.n_rows) == ("running", 1024)
        live = h5py.File(tmp_path / "a.h5", "r")
        recorder.append(*rows(1500, 1500))
        recorder.finish("complete", {"a_mw": 1.0})
        assert not live  # closed with the run: HDF5 would write its image of the file over the metrics
        log.refresh()
        assert (log.status, log.n_rows, log.metrics) == ("complete", 3000, {"a_mw": 1.0})
        with xr.open_dataset(tmp_path / "a.h5", engine="h5netcdf", group="bus") as bus:
            assert bus.sizes["t_s"] == 3000
    with open_result(tmp_path / "a.h5") as log:
        assert (log.status, log.n_rows, log.metrics) == ("complete", 3000, {"a_mw": 1.0})


def test_recorder_and_reader_import_nothing_heavy():
    code = (
        "import sys, cosim.record.recorder, cosim.record.result; "
        "print({'pandas', 'xarray', 'ruamel.yaml', 'hdf5plugin', 'numba', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_metrics_are_read_once_and_again_after_a_refresh(tmp_path):
    """A thousand scalars take a tenth of a second; metrics of a run ask for each of them."""
    recorder = Recorder.create(tmp_path / "a.h5", CHANNELS, **FACTS)
    recorder.append(*rows(0, 10))
    with open_result(tmp_path / "a.h5") as log:
        assert log.metrics == {}
        recorder.finish("complete", {"a_mw": 1.0})
        log.refresh()
        assert log.metrics == {"a_mw": 1.0}
        assert log.metrics is log.metrics
