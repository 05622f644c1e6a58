"""Channels, units and chunk sizes of the log."""

import pytest

from cosim.errors import InputError
from cosim.record.channels import Channel, checked, choose_chunk_rows, unit_of


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("energy/e_source_mwh", "MWh"),
        ("ramp_mw_per_s", "MW/s"),
        ("ramp_mw_per_min", "MW/min"),
        ("failures_per_node_hour", "1/node hour"),
        ("soc", "1"),
        ("pue", "1"),
        ("sag/depth_pu/18", "pu"),
        ("sag/duration_s/bus 18", "s"),
        ("loading_percent", "%"),
        ("p_source_mean_mw", "MW"),
        ("q_mvar", "Mvar"),
        ("va_degree", "degree"),
        ("n_events", "1"),
    ],
)
def test_unit_is_the_one_that_the_name_carries(name, unit):
    assert unit_of(name) == unit


@pytest.mark.parametrize(
    ("n_element", "rows"), [(1, 1024), (33, 1024), (256, 1024), (257, 512), (1000, 256), (8500, 64)]
)
def test_chunks_of_the_widest_channel_stay_within_a_mebibyte_where_64_rows_do(n_element, rows):
    channels = [Channel("bus/vm_pu", "pu", tuple(map(str, range(n_element)))), Channel("source/p_mw", "MW")]
    assert choose_chunk_rows(channels) == rows


def test_channels_over_no_elements_are_left_out():
    channels = [Channel("trafo/loading_percent", "%", ()), Channel("source/p_mw", "MW")]
    assert [c.path for c in checked(channels)] == ["source/p_mw"]


@pytest.mark.parametrize(
    "channels",
    [
        [Channel("p_mw", "MW")],
        [Channel("bus/name", "1")],
        [Channel("bus/t_s", "s")],
        [Channel("events/p_mw", "MW")],
        [Channel("datacenter//p_mw", "MW")],
        [Channel("source/p_mw", "MW"), Channel("source/p_mw", "MW")],
        [Channel("bus/vm_pu", "pu", ("a", "b")), Channel("bus/va_degree", "degree", ("a", "c"))],
    ],
)
def test_channels_that_no_file_could_hold_are_refused(channels):
    with pytest.raises(InputError):
        checked(channels)
