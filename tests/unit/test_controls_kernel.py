"""The kernel of controls against its readable twin, and its timers."""

from __future__ import annotations

import numpy as np
import pytest
from controls_twin import Twin
from hypothesis import given
from hypothesis import strategies as st

from cosim.feeder.controls import kernel
from cosim.feeder.controls.arrays import build_records
from cosim.feeder.controls.settle import settle
from cosim.feeder.controls.specs import (
    CapacitorSpec,
    ControlSet,
    OverrideSpec,
    RegulatorSpec,
    ReverseSpec,
    Sensor,
)

ONE = Sensor(nodes=(("n", 1.0, 0.0),))


def drawn_regulator(rng, name: str) -> RegulatorSpec:
    n = int(rng.choice([1, 1, 3]))
    uses_z = bool(rng.random() < 0.2)
    limit = float(rng.uniform(121, 124)) if rng.random() < 0.3 else None
    reverse = None
    if rng.random() < 0.5:
        reverse = ReverseSpec(
            mode=str(rng.choice(["regulate", "neutral", "cogeneration", "cogeneration_neutral"])),
            threshold_kw=30.0,
            delay_s=float(rng.uniform(1, 20)),
            v_set_v=float(rng.uniform(118, 122)),
            ldc_z_v=1.5 if uses_z else 0.0,
            relay=(ONE,) * n,
            power_v=(ONE,) * 2,
            power_i=(ONE,) * 2,
        )
    return RegulatorSpec(
        name=name,
        device=name,
        v_set_v=float(rng.uniform(119, 121)),
        bandwidth_v=float(rng.uniform(0.5, 3)),
        delay_s=float(rng.uniform(0, 20)),
        tap_delay_s=float(rng.uniform(0.5, 4)),
        inverse_time=bool(rng.random() < 0.3),
        v_limit_v=limit,
        max_tap_change=int(rng.choice([0, 1, 16, 16, 16])),
        min_tap=-4,
        max_tap=4,
        ratio_per_tap=0.00625,
        v_per_tap_v=0.75,
        raises=int(rng.choice([1, -1])),
        ldc_z_v=1.0 if uses_z else 0.0,
        select=str(rng.choice(["max", "min"])) if n > 1 else "fixed",
        min_supply_v=float(rng.choice([0, 118])),
        reverse=reverse,
        relay=(ONE,) * n,
        winding=(ONE,) * n,
        line=(ONE,) * n if uses_z else (),
    )


def drawn_capacitor(rng, name: str) -> CapacitorSpec:
    control = str(rng.choice(["voltage", "current", "kvar", "power_factor", "time"]))
    on, off = {
        "voltage": (119.0, 121.0),
        "current": (121.0, 119.0),
        "kvar": (40.0, -40.0),
        "power_factor": (0.9, 1.1),
        "time": (float(rng.uniform(0, 0.1)), float(rng.uniform(0, 0.1))),
    }[control]
    several = str(rng.choice(["avg", "max", "min"]))
    override = OverrideSpec(v_min_v=118.0, v_max_v=122.0, select=several, voltage=(ONE,) * 3)
    return CapacitorSpec(
        name=name,
        device=name,
        control=control,
        on=on,
        off=off,
        delay_s=float(rng.uniform(0, 10)),
        delay_off_s=float(rng.uniform(0, 10)),
        dead_time_s=float(rng.uniform(0, 40)),
        n_steps=int(rng.choice([1, 2, 3])),
        min_q_kvar=10.0,
        min_q_step_kvar=20.0,
        select_v=several,
        select_i=several,
        override=override if rng.random() < 0.4 else None,
        min_supply_v=117.0,
        voltage=(ONE,) * 3,
        current=(ONE,) * 3,
        power_v=(ONE,) * 2,
        power_i=(ONE,) * 2,
        supply=(ONE,),
    )


def walk(rng, controls: ControlSet, n: int) -> np.ndarray:
    """Sensor values that wander across bands: voltages about 120, currents in proportion to a power about zero."""
    n_sensor = len(controls.sensors)
    steps = rng.normal(0, 0.5, (n, n_sensor)) + 1j * rng.normal(0, 0.5, (n, n_sensor))
    state, values = np.zeros(n_sensor, complex), np.zeros((n, n_sensor), complex)
    for k in range(n):
        state = 0.85 * state + steps[k]
        values[k] = 120 + 1.6 * state
    is_current = np.array([False] * n_sensor)
    first = 0
    from cosim.feeder.controls.specs import roles

    for spec in controls.all:
        for role, sensors in roles(spec):
            is_current[first : first + len(sensors)] = role in ("power_i", "line")
            first += len(sensors)
    values[:, is_current] = (values[:, is_current] - 120) * 0.25
    return values


def moves_of_kernel(ctl, values: np.ndarray, t_us: int) -> list[tuple[int, int]]:
    """Ask, act, and ask again at the same instant, as the loop does."""
    moves = []
    pairs = np.column_stack([values.real, values.imag])
    while kernel.watch(ctl, pairs, t_us):
        for k in range(ctl.size):
            if ctl[k]["due"]:
                moves.append((k, int(ctl[k]["due"])))
                kernel.acted(ctl, k, t_us)
            if ctl[k]["turns"]:
                kernel.turned(ctl, k)
    return moves


@pytest.mark.twin
@given(seed=st.integers(0, 2**32))
def test_kernel_acts_as_its_twin(seed):
    rng = np.random.default_rng(seed)
    controls = ControlSet(
        regulators=tuple(drawn_regulator(rng, f"r{k}") for k in range(3)),
        capacitors=tuple(drawn_capacitor(rng, f"c{k}") for k in range(3)),
    )
    start = {spec.device: 0 for spec in controls.all}
    start |= {spec.device: int(rng.integers(-7, 8)) for spec in controls.regulators}  # some outside their range
    ctl, twin = build_records(controls, start), Twin(controls, dict(start))
    t_us = 0
    for values in walk(rng, controls, 200):
        t_us += int(rng.integers(1_000, 3_000_000))
        expected = []
        while True:
            expected += [(k, step) for k, _, step in twin.at(values, t_us)]
            if not twin.acted:
                break
        assert sorted(moves_of_kernel(ctl, values, t_us)) == sorted(expected)
        assert kernel.next_due_us(ctl, -1) > t_us
    assert [int(record["position"]) for record in ctl] == [mine.position for mine in twin.memory]


def regulator(**settings) -> RegulatorSpec:
    return RegulatorSpec(
        **{"name": "r", "device": "t", "min_tap": -16, "max_tap": 16, "ratio_per_tap": 0.00625, "v_per_tap_v": 0.75}
        | {"delay_s": 30.0, "bandwidth_v": 2.0, "relay": (ONE,)}
        | settings
    )


def volts(v: float) -> np.ndarray:
    return np.array([[v, 0.0]])


def test_first_tap_comes_after_the_delay_and_the_next_after_the_tap_delay():
    ctl = build_records(ControlSet(regulators=(regulator(),)), {"t": 0})
    assert not kernel.watch(ctl, volts(117.0), 1_000_000)
    assert kernel.next_due_us(ctl, -1) == 31_000_000
    assert not kernel.watch(ctl, volts(117.0), 30_999_999)
    assert kernel.watch(ctl, volts(117.0), 31_000_000)
    assert ctl[0]["due"] == 1
    kernel.acted(ctl, 0, 31_000_000)
    assert not kernel.watch(ctl, volts(117.75), 31_000_000)
    assert kernel.next_due_us(ctl, -1) == 33_000_000


def test_timer_falls_back_when_the_voltage_does():
    ctl = build_records(ControlSet(regulators=(regulator(),)), {"t": 0})
    kernel.watch(ctl, volts(117.0), 0)
    kernel.watch(ctl, volts(120.0), 29_999_999)
    assert kernel.next_due_us(ctl, -1) == kernel.NEVER_US
    kernel.watch(ctl, volts(117.0), 30_000_000)
    assert kernel.next_due_us(ctl, -1) == 60_000_000


def test_tap_waits_for_the_first_instant_behind_its_time():
    ctl = build_records(ControlSet(regulators=(regulator(),)), {"t": 0})
    kernel.watch(ctl, volts(123.0), 0)
    assert kernel.watch(ctl, volts(123.0), 30_400_000)
    kernel.acted(ctl, 0, 30_400_000)
    assert ctl[0]["position"] == -1
    assert kernel.next_due_us(ctl, -1) == 32_400_000


def test_regulator_rests_at_its_last_tap():
    ctl = build_records(ControlSet(regulators=(regulator(),)), {"t": 16})
    assert not kernel.watch(ctl, volts(110.0), 0)
    assert kernel.next_due_us(ctl, -1) == kernel.NEVER_US


@pytest.mark.parametrize(("tap", "limits", "v"), [(11, (-16, 4), 120.0), (11, (-16, 4), 112.0), (-9, (-5, 16), 128.0)])
@pytest.mark.parametrize("inverse_time", [False, True])
def test_tap_outside_its_range_comes_in_step_by_step_whatever_the_voltage(tap, limits, v, inverse_time):
    spec = regulator(min_tap=limits[0], max_tap=limits[1], inverse_time=inverse_time)
    ctl = build_records(ControlSet(regulators=(spec,)), {"t": tap})
    goal = min(max(tap, limits[0]), limits[1])
    assert not kernel.watch(ctl, volts(30.0), 0)  # without power it does not move
    assert kernel.next_due_us(ctl, -1) == kernel.NEVER_US
    kernel.watch(ctl, volts(v), 0)
    times_us = []
    for _ in range(abs(goal - tap)):
        times_us.append(kernel.next_due_us(ctl, -1))
        assert kernel.watch(ctl, volts(v), times_us[-1])
        kernel.acted(ctl, 0, times_us[-1])
        kernel.watch(ctl, volts(v), times_us[-1])
    assert times_us == [30_000_000 + 2_000_000 * k for k in range(abs(goal - tap))]
    assert ctl[0]["position"] == goal
    # There it rests: in the band, or at the end beyond which the voltage asks for more.
    assert kernel.next_due_us(ctl, -1) == kernel.NEVER_US


def test_a_range_beside_the_present_tap_ends_at_the_same_tap_in_time_and_in_a_static_solution():
    """120 V at tap 0 and 0.75 V a tap: 118.5 V is asked for with 11 taps on, and 4 at most allowed."""
    for v_set_v, expected in ((118.5, -1), (126.0, 4)):  # -1: the first of 0.75 V a tap within 1 V
        spec = regulator(max_tap=4, v_set_v=v_set_v)
        controls = ControlSet(regulators=(spec,))
        static = settle(controls, lambda states, _: np.array([120.0 + 0.75 * states["t"] + 0j]), {"t": 11})
        ctl = build_records(controls, {"t": 11})
        for tick in range(200):
            at = volts(120.0 + 0.75 * float(ctl[0]["position"]))
            if kernel.watch(ctl, at, tick * 1_000_000):
                kernel.acted(ctl, 0, tick * 1_000_000)
        assert static.is_settled
        assert (int(ctl[0]["position"]), static.states["t"]) == (expected, expected)


def test_inverse_time_shortens_the_delay_in_proportion_to_the_deviation():
    # 3 V outside a half band of 1 V: a third of the delay; ten half bands and more: a tenth.
    for v, expected_s in ((117.0, 10.0), (110.0, 3.0), (90.0, 3.0)):
        ctl = build_records(ControlSet(regulators=(regulator(inverse_time=True),)), {"t": 0})
        kernel.watch(ctl, volts(v), 0)
        assert kernel.next_due_us(ctl, -1) == expected_s * 1e6


def test_control_without_supply_does_nothing():
    ctl = build_records(ControlSet(regulators=(regulator(),)), {"t": 0})
    kernel.watch(ctl, volts(110.0), 0)
    assert not kernel.watch(ctl, volts(10.0), 30_000_000)
    assert kernel.next_due_us(ctl, -1) == kernel.NEVER_US


def capacitor(**settings) -> CapacitorSpec:
    return CapacitorSpec(
        **{"name": "c", "device": "b", "control": "voltage", "on": 118.0, "off": 123.0, "voltage": (ONE,)} | settings
    )


def test_bank_that_was_switched_off_discharges_before_its_delay_to_on_starts():
    spec = capacitor(delay_s=15.0, delay_off_s=10.0, dead_time_s=300.0)
    ctl = build_records(ControlSet(capacitors=(spec,)), {"b": 1})
    kernel.watch(ctl, volts(124.0), 0)
    assert kernel.watch(ctl, volts(124.0), 10_000_000)
    kernel.acted(ctl, 0, 10_000_000)
    kernel.watch(ctl, volts(117.0), 20_000_000)
    assert kernel.next_due_us(ctl, -1) == (10 + 300 + 15) * 1_000_000


def test_clock_makes_an_instant_for_time_controls():
    spec = capacitor(control="time", on=8.0, off=20.0, voltage=(), delay_s=15.0)
    ctl = build_records(ControlSet(capacitors=(spec,)), {"b": 0}, clock_s=7.5 * 3600)
    nothing = np.zeros((0, 2))
    assert not kernel.watch(ctl, nothing, 0)
    assert kernel.next_due_us(ctl, -1) == 1_800_000_000
    assert not kernel.watch(ctl, nothing, 1_800_000_000)
    assert kernel.next_due_us(ctl, -1) == 1_815_000_000
    assert kernel.watch(ctl, nothing, 1_815_000_000)
    kernel.acted(ctl, 0, 1_815_000_000)
    assert not kernel.watch(ctl, nothing, 1_815_000_000)
    assert kernel.next_due_us(ctl, -1) == int(12.5 * 3600e6)


def test_kernels_have_one_signature():
    if not hasattr(kernel.watch, "signatures"):
        pytest.skip("not compiled")
    ctl = build_records(ControlSet(regulators=(regulator(),)), {"t": 0})
    kernel.watch(ctl, volts(120.0), 0)
    kernel.next_due_us(ctl, -1)
    assert len(kernel.watch.signatures) == len(kernel.next_due_us.signatures) == 1
