"""Ids as a user writes them: OpenDSS knows no upper case, other feeders do."""

from __future__ import annotations

from typing import Any

import pytest

from cosim.errors import InputError
from cosim.scenario import FeederNames, feeder_names, load_scenario, resolve

SITE = {
    "load": {
        "accelerators": {"count": 8, "p_peak_w": 700, "p_idle_w": 90},
        "jobs": {"t": {"kind": "training", "iteration": [{"name": "a", "duration_s": 1, "utilization": 1}]}},
    }
}
ELEMENT = {"curve": "ieee_very_inverse", "pickup_a": 2000, "time_dial": 1}


def scenario(feeder: dict[str, Any], bus: str, **more: Any) -> dict[str, Any]:
    site = {"campus": {**SITE, "bus": bus}}
    return {"schema": 1, "name": "ids", "time": {"duration_s": 5}, "feeder": feeder, "datacenters": site, **more}


def in_case(turn: Any) -> dict[str, Any]:
    """One scenario that names elements of IEEE 13 everywhere it can."""
    relay = {"kind": "relay", "name": "R", "line": turn("rg60_632"), "phase": ELEMENT}
    return scenario(
        {
            "model": "ieee13",
            "controls": {"regulators": {turn("reg1a"): {"delay_s": 10}}},
            "protection": [relay, {**relay, "name": "S", "line": None, "trafo": turn("xfm1")}],
        },
        turn("rg60"),
        events=[
            {"at_s": 1, "kind": "load_changed", "load": turn("634_a"), "scale": 1.1},
            {"at_s": 2, "kind": "switch_opened", "switch": turn("line:671_680")},
            {"at_s": 3, "kind": "fault_applied", "type": "three_phase", "bus": turn("rg60"), "duration_s": 0.1},
        ],
        log={
            "nodes": [turn("rg60.1")],
            "points": {"nodes": [turn("rg60.2")]},
            "capture": {"nodes": [turn("rg60")]},
        },
    )


@pytest.mark.filterwarnings("ignore:.*not selective")  # two alike relays
def test_ids_of_an_opendss_feeder_are_known_in_either_case():
    lower = load_scenario(in_case(str.lower), names_of=feeder_names)
    upper = load_scenario(in_case(str.upper), names_of=feeder_names)
    assert resolve(upper) == resolve(lower)


def test_case_of_other_feeders_counts():
    names = FeederNames(buses=("Bus 34",), loads=(), switches=(), lines=())
    load_scenario(scenario({"model": "mv_oberrhein"}, "Bus 34"), names_of=lambda *_: names)
    with pytest.raises(InputError, match="nearest: Bus 34"):
        load_scenario(scenario({"model": "mv_oberrhein"}, "bus 34"), names_of=lambda *_: names)
