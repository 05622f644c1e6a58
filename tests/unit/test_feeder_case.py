"""Names of a feeder are known in either case, wherever a user writes one, unless two differ in case alone."""

from __future__ import annotations

import pandapower as pp
import pytest

from cosim.errors import InputError
from cosim.feeder import FeederConfig, from_pandapower, load_feeder
from cosim.feeder.load_profile import LoadProfile
from cosim.feeder.places import in_case, named


def two_buses():
    net = pp.create_empty_network(sn_mva=1.0)
    a, b = (pp.create_bus(net, 20.0, name=name) for name in ("North", "South"))
    pp.create_ext_grid(net, a)
    pp.create_line_from_parameters(net, a, b, 2.0, 0.1, 0.1, 10.0, 0.4, name="Tie")
    pp.create_load(net, b, 1.0, 0.2, name="Mill")
    return from_pandapower(net)


def test_voltages_loads_and_columns_are_found_in_either_case(tmp_path):
    feeder = two_buses()
    compiled = feeder.compile(["south"], FeederConfig(model="two"))
    assert compiled.vm_pu("SOUTH") == compiled.vm_pu("South")
    assert feeder.solve({"south": (1.0, 0.0)}).vm_pu.min() == feeder.solve({"South": (1.0, 0.0)}).vm_pu.min()
    (tmp_path / "day.csv").write_text("t_s,MILL\n0,1\n3600,0.5\n")
    config = FeederConfig(model="two", profile="day.csv")
    powers = LoadProfile(feeder.network, config, tmp_path)
    mill = feeder.network.inj_name.tolist().index("Mill")
    assert powers.powers(3_600_000_000)[mill] == pytest.approx(0.5 * powers.powers(0)[mill])


def test_whole_bus_of_an_unbalanced_feeder_is_found_in_capitals():
    feeder = load_feeder("ieee13")
    whole, one = feeder.solve({"RG60": (0.1, 0.03)}), feeder.solve({"RG60.2": (0.1, 0.03)})
    assert whole.vm_pu.equals(feeder.solve({"rg60": (0.1, 0.03)}).vm_pu)
    assert one.vm_pu.equals(feeder.solve({"rg60.2": (0.1, 0.03)}).vm_pu)
    with pytest.raises(InputError, match=r"no such bus; nearest: rg60"):
        feeder.solve({"RG61": (0.1, 0.03)})


def test_of_two_names_that_differ_in_case_none_is_guessed():
    assert in_case(("a", "A"), "a") == "a"
    assert in_case(("ab", "AB"), "Ab") is None
    with pytest.raises(InputError, match="no such bus"):
        named(("ab", "AB"), "Ab", "bus")
