"""One power flow from Python: what it takes and what its powers add up to; where a data center can draw."""

from __future__ import annotations

import pytest
from engine_cases import TRAINING, scenario

from cosim.errors import InputError
from cosim.feeder import load_feeder
from cosim.wiring import prepare


@pytest.mark.parametrize(
    ("model", "loads"),
    [
        ("ieee123", {"67": (1.2, 0.3), "1": (0.1, 0.0)}),
        ("ieee37", {"701.1.2": [0.1, 0.1]}),
        ("case33bw", {"5": (1.0, 0.2)}),
        ("case33bw", {}),
    ],
)
def test_source_and_generation_are_load_and_loss(model, loads):
    feeder = load_feeder(model)
    found, alone = feeder.solve(loads), feeder.solve()
    assert found.p_source_mw + found.p_gen_mw == pytest.approx(found.p_load_mw + found.p_loss_mw, abs=1e-8)
    given_mw = sum(p_mw for p_mw, _ in loads.values())
    # The feeder's own loads follow their voltage a little, constant powers not at all.
    assert found.p_load_mw - alone.p_load_mw == pytest.approx(given_mw, rel=0.1)


@pytest.mark.parametrize(
    "power", [1.2, 1 + 1j, None, ("1", "2"), (1,), (1, 2, 3), "12", (1, None), (True, 1), (1 + 1j, 0), {1, 2}]
)
def test_a_load_that_is_not_two_numbers_is_named(power):
    with pytest.raises(InputError, match=r"loads\.67: must be two numbers, \(p_mw, q_mvar\)"):
        load_feeder("ieee123").solve({"67": power})


@pytest.mark.parametrize("loads", [[("67", (1, 0))], "67", 5, [], ""])
def test_loads_that_are_no_mapping_are_refused(loads):
    with pytest.raises(InputError, match=r"loads: must be a mapping of bus id to \(p_mw, q_mvar\)"):
        load_feeder("ieee123").solve(loads)


def test_every_wrong_load_is_told_at_once():
    with pytest.raises(InputError) as caught:
        load_feeder("ieee123").solve({"67": (1, float("nan")), 1: (1, 0), "60": 3})
    assert [p.path for p in caught.value.problems] == ["loads.67", "loads.1", "loads.60"]


def _site(model, bus):
    load = {"accelerators": {"count": 8, "p_peak_w": 700, "p_idle_w": 90}, "jobs": {"pretrain": TRAINING}}
    return scenario(2, feeder={"model": model}, datacenters={"campus": {"bus": bus, "load": load}})


@pytest.mark.parametrize(("model", "bus"), [("ieee37", "701.1"), ("ieee123", "610.2")])
def test_site_at_one_phase_without_a_path_to_ground_is_refused_with_what_to_do(model, bus):
    """IEEE 37 is delta throughout; bus 610 of IEEE 123 stands behind a delta winding."""
    name = bus.partition(".")[0]
    with pytest.raises(InputError, match=rf"no way back: connect it between phases, as {name}\.1\.2") as caught:
        prepare(_site(model, bus))
    assert [p.path for p in caught.value.problems] == ["datacenters.campus.bus"]


@pytest.mark.parametrize(
    ("model", "bus"),
    [("ieee37", "701.1.2"), ("ieee37", "701"), ("ieee123", "610"), ("ieee123", "67.1"), ("ieee13", "611")],
)
def test_site_with_a_way_back_is_taken(model, bus):
    prepare(_site(model, bus))
