"""Unbalanced faults around a transformer of three windings: every phase at every bus against OpenDSS's own."""

from __future__ import annotations

import math

import numpy as np
import pandapower as pp
import pytest
from opendssdirect import dss as engines

from cosim.feeder import CompiledFeeder, FeederConfig, SourceConfig, from_pandapower
from cosim.feeder.compile import solve_totals
from cosim.feeder.faults import FaultConfig
from cosim.feeder.zero_sequence import ZeroSequenceConfig

pytestmark = [pytest.mark.validation]

MAX_DV_PU = 1e-6
BUSES = {"hv": 110.0, "mv": 20.0, "lv": 10.0, "mv2": 20.0, "lv2": 10.0}
LINES = {"lm": ("mv", "mv2"), "ll": ("lv", "lv2")}
LINE = {"r1": 0.25, "x1": 0.35, "c1": 10.0, "r0": 0.9, "x0": 1.5, "c0": 6.0}
"""[ohm/km, nF/km]"""
KM, S_SC_MVA, X_OVER_R, SN_MVA, F_HZ = 3.0, 2000.0, 8.0, 40.0, 50.0
R_PERCENT = {"hv": 0.2, "mv": 0.15, "lv": 0.3}
X_PERCENT = {"hl": 12.0, "lt": 7.0, "ht": 18.5}
"""Between hv-mv, mv-lv, hv-lv; the star's mv leg then has 0.25 %."""


def net_of(group, shifts, with_columns):
    net = pp.create_empty_network(f_hz=F_HZ)
    bus = {name: pp.create_bus(net, kv, name=name) for name, kv in BUSES.items()}
    pp.create_ext_grid(net, bus["hv"], s_sc_max_mva=S_SC_MVA, rx_max=1 / X_OVER_R)
    net.ext_grid["x0x_max"], net.ext_grid["r0x0_max"] = 1.0, 1 / X_OVER_R
    for name, (a, b) in LINES.items():
        zero = {"r0_ohm_per_km": LINE["r0"], "x0_ohm_per_km": LINE["x0"], "c0_nf_per_km": LINE["c0"]}
        pp.create_line_from_parameters(
            net, bus[a], bus[b], KM, LINE["r1"], LINE["x1"], LINE["c1"], 0.4, name=name, **zero
        )
    vkr = [R_PERCENT["hv"] + R_PERCENT["mv"], R_PERCENT["mv"] + R_PERCENT["lv"], R_PERCENT["hv"] + R_PERCENT["lv"]]
    vk = [math.hypot(r, X_PERCENT[k]) for r, k in zip(vkr, ("hl", "lt", "ht"), strict=True)]
    data = {f"vk_{s}_percent": v for s, v in zip(("hv", "mv", "lv"), vk, strict=True)}
    data |= {f"vkr_{s}_percent": v for s, v in zip(("hv", "mv", "lv"), vkr, strict=True)}
    if with_columns:
        data |= {key.replace("vk_", "vk0_").replace("vkr_", "vkr0_"): v for key, v in data.items()}
        data["vector_group"] = group
    pp.create_transformer3w_from_parameters(
        net, bus["hv"], bus["mv"], bus["lv"], 112.0, 20.5, 10.2, SN_MVA, SN_MVA, SN_MVA, pfe_kw=0.0, i0_percent=0.0,
        shift_mv_degree=shifts[0], shift_lv_degree=shifts[1], name="t", **data,
    )  # fmt: skip
    pp.create_load(net, bus["mv2"], 4.0, 1.0, const_z_p_percent=100.0, const_z_q_percent=100.0)
    return net


class Circuit:
    """The same by its phases."""

    def __init__(self, group, emf):
        self.dss = engines.NewContext()
        self.dss.Basic.AllowForms(False)
        z = 110.0**2 / S_SC_MVA * complex(1, X_OVER_R) / abs(complex(1, X_OVER_R))
        self.do(
            "clear",
            f"set defaultbasefreq={F_HZ}",
            f"new circuit.c basekv=110 pu={abs(emf)!r} angle={math.degrees(np.angle(emf))!r} bus1=hv phases=3 "
            f"r1={z.real!r} x1={z.imag!r} r0={z.real!r} x0={z.imag!r}",
        )
        for name, (a, b) in LINES.items():
            data = " ".join(f"{key}={value}" for key, value in LINE.items())
            self.do(
                f"new line.{name} bus1={a} bus2={b} length={KM} {data} phases=3 units=none basefreq={F_HZ} "
                "earthmodel=carson rg=0 xg=0"
            )
        x = " ".join(f"x{key}={value}" for key, value in X_PERCENT.items())
        self.do(f"new transformer.t phases=3 windings=3 {x} ppm_antifloat=0")
        for k, (bus, kv) in enumerate((("hv", 112.0), ("mv", 20.5), ("lv", 10.2))):
            conn = "delta" if group[k] == "d" else "wye"
            star = ".1.2.3.4" if group[k] == "y" else ""
            self.do(f"~ wdg={k + 1} bus={bus}{star} conn={conn} kv={kv} kva={1e3 * SN_MVA} %r={R_PERCENT[bus]}")
        self.do("new load.d bus1=mv2 kv=20 kw=4000 kvar=1000 conn=delta model=2 vminpu=0")
        self.do("set voltagebases=[110 20 10]", "calcvoltagebases", "set controlmode=off tolerance=1e-10 maxiter=500")
        self.n = 0

    def do(self, *lines):
        for line in lines:
            self.dss.Text.Command(line)

    def magnitudes(self, branches):
        for one, other, r in branches:
            self.do(f"new reactor.f{self.n} phases=1 bus1={one} bus2={other} r={r} x=0")
            self.n += 1
        self.do("solve")
        for k in range(self.n - len(branches), self.n):
            self.do(f"disable reactor.f{k}")
        parts = np.array(self.dss.Circuit.AllBusVolts())
        names = map(str.lower, self.dss.Circuit.AllNodeNames())
        volts = dict(zip(names, np.hypot(parts[0::2], parts[1::2]), strict=True))
        return {b: [volts[f"{b}.{p}"] * math.sqrt(3) / 1e3 / kv for p in (1, 2, 3)] for b, kv in BUSES.items()}


@pytest.mark.parametrize("with_columns", [True, False], ids=["columns", "scenario"])
@pytest.mark.parametrize(
    ("group", "name", "shifts"),
    [
        (("yn", "yn", "d"), "YNynd", (0, 30)),
        (("d", "yn", "yn"), "Dynyn", (30, 30)),
        (("yn", "y", "d"), "YN0yd1", (0, 30)),
        (("yn", "yn", "yn"), "YNynyn", (0, 0)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_phase_voltages_around_a_transformer_of_three_windings_are_those_of_opendss(group, name, shifts, with_columns):
    feeder = from_pandapower(net_of(name, shifts, with_columns))
    zero = None if with_columns else ZeroSequenceConfig(trafo3w_vector_group=name)
    config = FeederConfig(model="three", zero_sequence=zero)
    compiled = CompiledFeeder(feeder.network, [], config, SourceConfig(s_sc_mva=S_SC_MVA, x_over_r=X_OVER_R))
    circuit = Circuit(group, complex(*compiled.arrays.emf[0]))
    worst = 0.0
    for bus in BUSES:
        for kind, phases, r in (("line_to_ground", "a", 0.05), ("double_line_to_ground", "bc", 0.5)):
            compiled.apply_fault("f", FaultConfig(bus=bus, type=kind, phases=phases, r_ohm=r))
            solve_totals(compiled)
            found = dict(zip(feeder.bus_names, compiled.phase_vm_pu(), strict=True))
            compiled.clear_fault("f")
            numbers = ["abc".index(p) + 1 for p in phases]
            expected = circuit.magnitudes([(f"{bus}.{p}", f"{bus}.0", r) for p in numbers])
            worst = max(worst, *(float(np.abs(found[b] - expected[b]).max()) for b in BUSES))
    assert worst < MAX_DV_PU
