"""Zero sequence of transformers and lines: the T of each vector group in closed form, columns of pandapower."""

from __future__ import annotations

import numpy as np
import pandapower
import pytest

from cosim.feeder import CompiledFeeder, FeederConfig, SourceConfig, from_pandapower
from cosim.feeder.compile import solve_totals
from cosim.feeder.faults import FaultConfig
from cosim.feeder.zero_sequence import trafo_y0, windings

Z0, Z_M, PART = 0.01 + 0.06j, 0.1 + 0.9j, 0.7
Z_HV, Z_LV = PART * Z0, (1 - PART) * Z0
TURNS = 1.05


def beside(*z):
    return 1 / sum(1 / each for each in z)


def positive(shift_degree=150.0):
    ratio = TURNS * np.exp(1j * np.radians(shift_degree))
    y = 1 / (0.008 + 0.05j)
    return np.array([[y / abs(ratio) ** 2, -y / np.conj(ratio)], [-y / ratio, y]])


@pytest.mark.parametrize(
    ("group", "y_hv", "y_lv"),
    [
        ("Dyn", 0.0, 1 / (Z_LV + beside(Z_HV, Z_M))),
        ("Dyn5", 0.0, 1 / (Z_LV + beside(Z_HV, Z_M))),
        ("YNd", 1 / (Z_HV + beside(Z_LV, Z_M)) / TURNS**2, 0.0),
        ("Yyn", 0.0, 1 / (Z_LV + Z_M)),
        ("YNy", 1 / (Z_HV + Z_M) / TURNS**2, 0.0),
        ("YNyn", 1 / (Z_HV + beside(Z_LV, Z_M)) / TURNS**2, 1 / (Z_LV + beside(Z_HV, Z_M))),
        ("Yzn", 0.0, 1 / Z0),
        ("Yd", 0.0, 0.0),
        ("Dy", 0.0, 0.0),
    ],
)
def test_each_vector_group_shows_the_impedances_of_its_t(group, y_hv, y_lv):
    """Seen from one terminal while the other is short-circuited: the diagonal of the primitive admittance."""
    y = trafo_y0(positive(), group, Z0, Z_M, PART)
    np.testing.assert_allclose(np.diag(y), [y_hv, y_lv], rtol=1e-12)
    through = -beside(Z_M) / (Z_HV * Z_LV + Z_HV * Z_M + Z_LV * Z_M) / TURNS if group == "YNyn" else 0.0
    np.testing.assert_allclose([y[0, 1], y[1, 0]], [through, through], rtol=1e-12)


def test_without_data_of_its_own_the_leakage_is_that_of_the_positive_sequence():
    np.testing.assert_allclose(trafo_y0(positive(), "Dyn")[1, 1], 1 / (0.008 + 0.05j), rtol=1e-12)


@pytest.mark.parametrize("text", ["Dyn11", "YNd", "Yzn5", "YNyn0", "ZNd"])
def test_vector_groups_are_known(text):
    assert windings(text) is not None


@pytest.mark.parametrize("text", ["dyn", "Dq", "", "DynX", "Dyn-5", "YNyn0d5"])
def test_what_is_no_vector_group_of_two_windings_is_not_taken_for_one(text):
    assert windings(text) is None


def earthed(together: bool):
    """Two alike lines and transformers, as one row of two in parallel or as two rows."""
    net = pandapower.create_empty_network()
    source, middle = (pandapower.create_bus(net, 20.0, name=name) for name in ("source", "middle"))
    low = pandapower.create_bus(net, 0.4, name="low")
    pandapower.create_ext_grid(net, source)
    for k in range(1 if together else 2):
        parallel = 2 if together else 1
        pandapower.create_line_from_parameters(
            net, source, middle, 3.0, 0.25, 0.35, 210.0, 0.3, name=f"l{k}", parallel=parallel, r0_ohm_per_km=0.8,
            x0_ohm_per_km=1.3, c0_nf_per_km=120.0,
        )  # fmt: skip
        pandapower.create_transformer_from_parameters(
            net, middle, low, 0.63, 20.5, 0.41, 1.1, 4.0, 1.2, 0.3, shift_degree=150, vector_group="Dyn5", name=f"t{k}",
            vk0_percent=3.6, vkr0_percent=1.0, mag0_percent=1500.0, mag0_rx=0.2, si0_hv_partial=0.9, parallel=parallel,
        )  # fmt: skip
    pandapower.runpp(net)
    return from_pandapower(net)


def test_elements_in_parallel_are_as_many_elements():
    found = []
    for together in (True, False):
        feeder = earthed(together)
        source = SourceConfig(s_sc_mva=300, x_over_r=8)
        compiled = CompiledFeeder(feeder.network, [], FeederConfig(model="twin"), source)
        for bus in ("middle", "low"):
            compiled.apply_fault("f", FaultConfig(bus=bus, type="line_to_ground"))
            solve_totals(compiled)
            found.append((abs(compiled.fault_current_a("f")[0]), compiled.phase_vm_pu()))
            compiled.clear_fault("f")
    for one, two in zip(found[:2], found[2:], strict=True):
        assert one[0] == pytest.approx(two[0], rel=1e-9)
        np.testing.assert_allclose(one[1], two[1], atol=1e-9)
