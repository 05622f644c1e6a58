"""Contradictory scenarios are named before the run, with their fields; unwise ones are warned of."""

from __future__ import annotations

import copy
import warnings

import pytest
from engine_cases import UPS, campus, scenario

from cosim.errors import InputError
from cosim.wiring import prepare

UPS_AT, FACILITY_AT = "datacenters.campus.ups", "datacenters.campus.facility"
PHASE = {"curve": "iec_standard_inverse", "pickup_a": 400, "time_dial": 0.1}
RELAY = {"kind": "relay", "name": "r1", "line": "2", "phase": PHASE}
FUSE = {"kind": "fuse", "name": "f1", "line": "2", "speed": "k", "rated_a": 150}
RECLOSER = {
    "kind": "recloser", "name": "c1", "line": "2", "fast": PHASE | {"time_dial": 0.05}, "slow": PHASE, "n_fast": 1,
    "n_slow": 1, "open_s": [1],
}  # fmt: skip
FAULT = {"kind": "fault_applied", "at_s": 5, "type": "three_phase", "duration_s": 0.1}
BIG = {"max_p_mw": 5.0}
HUMP = [{"load": 0.1, "eta": 0.99}, {"load": 0.5, "eta": 0.7}, {"load": 1.0, "eta": 0.99}]
OPENED = {"kind": "switch_opened", "at_s": 2, "switch": "line:2"}
CALL = {
    "kind": "demand_response_started", "at_s": 5, "datacenter": "campus", "p_mw": 0.5, "ramp_mw_per_s": 0.1,
    "duration_s": 8,
}  # fmt: skip


def case(ups=None, facility=None, protection=(), events=(), model="case33bw", has_ups=True):
    site = campus(facility=facility or {}) | {"ups": UPS | copy.deepcopy(ups or {}) if has_ups else None}
    feeder = {"model": model, "protection": list(protection)}
    return scenario(20, feeder=feeder, datacenters={"campus": site}, events=list(events))


@pytest.mark.parametrize(
    ("plain", "words"),
    [
        (case(protection=[RECLOSER, RELAY]), "feeder.protection.1.line: r1 stands at the same end as c1"),
        (case(protection=[FUSE, RECLOSER]), "feeder.protection.1.line: c1 stands at the same end as f1"),
        (case(facility={"generator": {"max_p_mw": 0.01}}), f"{FACILITY_AT}.generator.max_p_mw: cannot even carry"),
        (case({"second": {"storage": "lithium", "max_p_mw": 1, "max_e_mwh": 1e-4}}), f"{UPS_AT}.second.max_p_mw: 1 is"),
        (case({"second": {"max_p_mw": 1, "max_e_mwh": 0}}), f"{UPS_AT}.second.max_e_mwh: must be above 0"),
        (case({"max_c_rate": 51.0}), f"{UPS_AT}.max_p_discharge_mw: 3 is 51.28 times max_e_mwh=0.06 an hour at the"),
        (
            case({"max_c_rate": 60.0, "overload": {"factor": 2.0}}),
            f"{UPS_AT}: overload.factor=2 takes 102.6 times",
        ),
        (case({"ride_through": {"low": [{"vm_pu": 1.05, "t_s": 1}]}}), "low does not bear nominal voltage"),
        (case({"ride_through": {"high": [{"vm_pu": 0.95, "t_s": 1}]}}), "high does not bear nominal voltage"),
        (case({"ride_through": {"counter": {"n": 0}}}), f"{UPS_AT}.ride_through.counter.n: must be at least 1"),
        (case({"dc_converter": HUMP}), f"{UPS_AT}.dc_converter: these points ask for a loss"),
        (case(facility={"rectifier": {"efficiency": HUMP}}), f"{FACILITY_AT}.rectifier.efficiency: these points ask"),
        (case({"shedding": [{"soc": 0.05, "jobs": ["pretrain"]}]}), f"{UPS_AT}.shedding.0.soc: is never reached"),
        (
            case({"shedding": [{"soc": 0.5, "jobs": ["pretrain"]}, {"soc": 0.3, "jobs": ["pretrain"]}]}),
            f"{UPS_AT}.shedding.1.jobs.0: pretrain has gone already by shedding.0",
        ),
        (case(events=[FAULT | {"line": "33", "position": 0.5}]), "events.0.line: is out of service"),
        (case(events=[FAULT | {"line": "2", "position": 1.2}]), "events.0.position: must be above 0, below 1"),
        (
            case(events=[OPENED, FAULT | {"line": "2", "position": 0.5}]),
            "events.1.line: was opened by events.0, and nothing closes it",
        ),
        (
            case() | {"source": {"area": {"s_base_mva": 100, "start_s": 20}}},
            "source.area.start_s: is not before the end of the run, 20 s",
        ),
        (case(events=[CALL, CALL | {"at_s": 8}]), "events.1.at_s: begins while another call of campus lasts"),
        (
            case({"soc_reserve": 0.9, "soc_target": 0.5}),
            f"{UPS_AT}.soc_reserve: 0.9 is above soc_target=0.5",
        ),
        (
            case(events=[{"kind": "ups_unlocked", "at_s": 5, "datacenter": "campus"}]),
            "events.0.datacenter: the UPS of campus has no ride_through.counter",
        ),
        (
            case(events=[FAULT | {"bus": "5"}, FAULT | {"bus": "5", "at_s": 5.05}]),
            "events.1.at_s: begins while the fault of events.0",
        ),
    ],
)  # fmt: skip
def test_contradiction_is_named_with_its_field(plain, words):
    with pytest.raises(InputError) as caught:
        prepare(plain)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("plain", "words"),
    [
        (case(protection=[RELAY, RELAY | {"name": "r2"}]), "feeder.protection.1.line: r2 stands at the same end as r1"),
        (case(protection=[RECLOSER], model="case30"), "feeder.protection.0: recloser c1 stands in a loop"),
        (case(facility={"generator": {"max_p_mw": 1.0}}), f"{FACILITY_AT}.generator.max_p_mw: 1 MW are less than"),
        (case(facility={"generator": BIG}, has_ups=False), f"{FACILITY_AT}.generator: takes 13 s to come"),
        (
            case({"max_e_mwh": 0.001}, {"generator": BIG}),
            f"{UPS_AT}.max_e_mwh: from soc_target to soc_min it carries idle accelerators for",
        ),
        (case({"topology": "ac_dc"}), f"{UPS_AT}.max_p_ac_mw: is not given"),
        (case({"topology": "ac_dc", "max_p_ac_mw": 0.001}), f"{UPS_AT}.max_p_ac_mw: 0.001 MW are less than"),
        (
            case({"storage": "supercapacitor", "second": {"max_p_mw": 1.0, "max_e_mwh": 0.01}}),
            f"{UPS_AT}.second.storage: is supercapacitor as the first",
        ),
        (case(events=[CALL | {"p_mw": 50}]), "events.0.p_mw: 50 MW are not below the"),
        (
            case({"smoothing": {"controller": "trigger", "high_hz": 1}}),
            f"{UPS_AT}.smoothing.high_hz: 1 does nothing: only the controller filter reads it",
        ),
        (case({"smoothing": {"horizon_s": 9}}), f"{UPS_AT}.smoothing.horizon_s: 9 does nothing: only the"),
        (
            case({"smoothing": {"controller": "ramp_limiter"}, "release_hold_s": 1.0}),
            f"{UPS_AT}.release_hold_s: 1 does nothing: only the controller trigger",
        ),
        (
            case(facility={"generator": BIG | {"pick_up_mw": 0.01}}),
            f"{FACILITY_AT}.generator.pick_up_mw: 0.01 MW are less than",
        ),
        (case({"response_delay_s": 0.5}), f"{UPS_AT}.response_delay_s: 0.5 s are longer"),
        (case({"ride_through": {"walk_in_mw_per_s": 1e-4}}), f"{UPS_AT}.ride_through.walk_in_mw_per_s: at 0.0001"),
        (case(facility={"rectifier": {"max_p_mw": 0.5}}), f"{FACILITY_AT}.rectifier.max_p_mw: 0.5 MW are less"),
    ],
)  # fmt: skip
def test_unwise_rating_is_warned_of_with_its_field(plain, words):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        prepare(plain)
    assert any(words in str(warning.message) for warning in told), [str(warning.message) for warning in told]


def test_line_that_an_event_closes_may_carry_a_fault():
    closed = {"kind": "switch_closed", "at_s": 2, "switch": "line:33"}
    prepare(case(events=[closed, FAULT | {"line": "33", "position": 0.5}]))
    again = {"kind": "switch_closed", "at_s": 6, "switch": "line:2"}
    prepare(case(events=[OPENED, FAULT | {"line": "2", "position": 0.5, "duration_s": 3}, again]))


def test_site_whose_ratings_fit_is_warned_of_nothing():
    prepare(case({"topology": "ac_dc", "max_p_ac_mw": 2.0}, {"generator": BIG}))  # warnings are errors here
