"""One balanced network twice: for pandapower with zero-sequence columns, for OpenDSS by its phases."""

from __future__ import annotations

import math

import numpy as np
from opendssdirect import dss as engines

S_SC_MVA, X_OVER_R = 2000.0, 8.0
SOURCE_R0_PER_R, SOURCE_X0_PER_X = 1.5, 0.8
F_HZ = 50.0
LINES = {  # from, to, km, then ohm and nF a km: r1, x1, c1, r0, x0, c0
    "m1": ("mv1", "mv2", 4.0, 0.21, 0.35, 10.5, 0.60, 1.40, 6.0),
    "m2": ("mv2", "mv3", 6.5, 0.33, 0.37, 9.8, 0.75, 1.55, 5.5),
    "m3": ("mv2", "mv4", 3.0, 0.21, 0.12, 250.0, 0.85, 0.45, 250.0),
    "v1": ("lv1", "lv2", 0.4, 0.207, 0.08, 260.0, 0.83, 0.24, 200.0),
}
BUSES = {"hv": 110.0, "mv1": 20.0, "mv2": 20.0, "mv3": 20.0, "mv4": 20.0, "lv1": 0.4, "lv2": 0.4}
TRAFOS = {  # from, to, MVA, kV, kV, vk, vkr, vk0, vkr0 in percent
    "t1": ("hv", "mv1", 40.0, 112.0, 21.0, 12.0, 0.5),
    "t2": ("mv4", "lv1", 0.63, 20.0, 0.41, 4.0, 1.1),
}
LOADS = {"d1": ("mv3", 3.0, 1.0), "d2": ("lv2", 0.2, 0.06), "d3": ("mv2", 5.0, 1.5)}
SHIFT = {"Dyn": 30.0, "YNd": 30.0, "Yd": 30.0, "YNyn": 0.0, "Yyn": 0.0}
VMIN_PU = 0.7
"""Loads of given power are impedances below it. [pu]"""
MANY = 1e15
"""Magnetizing over leakage impedance that stands for none, as in the OpenDSS circuit. [percent]"""


def pandapower_net(groups: dict[str, str], law: str = "impedance"):
    import pandapower as pp

    net = pp.create_empty_network(f_hz=F_HZ)
    bus = {name: pp.create_bus(net, kv, name=name) for name, kv in BUSES.items()}
    pp.create_ext_grid(net, bus["hv"], vm_pu=1.02, s_sc_max_mva=S_SC_MVA, rx_max=1 / X_OVER_R)
    net.ext_grid["x0x_max"] = SOURCE_X0_PER_X
    net.ext_grid["r0x0_max"] = SOURCE_R0_PER_R / X_OVER_R / SOURCE_X0_PER_X
    for name, (a, b, km, r, x, c, r0, x0, c0) in LINES.items():
        pp.create_line_from_parameters(
            net, bus[a], bus[b], km, r, x, c, 0.4, name=name, r0_ohm_per_km=r0, x0_ohm_per_km=x0, c0_nf_per_km=c0
        )
    for name, (a, b, mva, kv1, kv2, vk, vkr) in TRAFOS.items():
        pp.create_transformer_from_parameters(
            net, bus[a], bus[b], mva, kv1, kv2, vkr, vk, 0.0, 0.0, shift_degree=SHIFT[groups[name]], name=name,
            vector_group=groups[name], vk0_percent=vk, vkr0_percent=vkr, mag0_percent=MANY, mag0_rx=0.0,
            si0_hv_partial=0.5,
        )  # fmt: skip
    share = 100.0 if law == "impedance" else 0.0
    for name, (at, p, q) in LOADS.items():
        pp.create_load(net, bus[at], p, q, name=name, const_z_p_percent=share, const_z_q_percent=share)
    return net


class PhaseCircuit:
    """The same as an OpenDSS circuit of three phases; loads in delta as impedances or of given power."""

    def __init__(self, groups: dict[str, str], emf: complex, law: str = "impedance") -> None:
        self.dss = engines.NewContext()
        self.dss.Basic.AllowForms(False)
        z = 110.0**2 / S_SC_MVA * complex(1, X_OVER_R) / abs(complex(1, X_OVER_R))
        self._do(
            "clear",
            f"set defaultbasefreq={F_HZ}",
            f"new circuit.c basekv=110 pu={abs(emf)!r} angle={math.degrees(np.angle(emf))!r} bus1=hv phases=3 "
            f"r1={z.real!r} x1={z.imag!r} r0={SOURCE_R0_PER_R * z.real!r} x0={SOURCE_X0_PER_X * z.imag!r}",
        )
        for name, (a, b, km, r, x, c, r0, x0, c0) in LINES.items():
            self._do(
                f"new line.{name} bus1={a} bus2={b} length={km} r1={r} x1={x} c1={c} r0={r0} x0={x0} c0={c0} phases=3 "
                f"units=none basefreq={F_HZ} earthmodel=carson rg=0 xg=0"
            )
        for name, (a, b, mva, kv1, kv2, vk, vkr) in TRAFOS.items():
            first, second = self._ends(groups[name], a, b)
            self._do(
                f"new transformer.{name} phases=3 windings=2 xhl={math.sqrt(vk**2 - vkr**2)!r} ppm_antifloat=0",
                f"~ wdg=1 {first} kv={kv1} kva={1e3 * mva} %r={vkr / 2}",
                f"~ wdg=2 {second} kv={kv2} kva={1e3 * mva} %r={vkr / 2}",
            )
        how = "model=2 vminpu=0" if law == "impedance" else f"model=1 vminpu={VMIN_PU} vmaxpu=2"
        for name, (at, p, q) in LOADS.items():
            self._do(f"new load.{name} bus1={at} kv={BUSES[at]} kw={1e3 * p} kvar={1e3 * q} conn=delta {how}")
        self._do("set voltagebases=[110 20 0.4]", "calcvoltagebases", "set controlmode=off tolerance=1e-10 maxiter=500")
        self._n = 0
        self._cuts: dict[str, tuple[float, bool]] = {}

    @staticmethod
    def _ends(group: str, a: str, b: str) -> list[str]:
        ends = []
        for bus, connection in zip((a, b), ("YN" if group[:2] == "YN" else group[0], group.lstrip("YND")), strict=True):
            kind = "delta" if connection in "Dd" else "wye"
            star = "" if kind == "delta" or connection.lower() == "yn" else ".1.2.3.4"
            ends.append(f"bus={bus}{star} conn={kind}")
        return ends

    def _do(self, *lines: str) -> None:
        for line in lines:
            self.dss.Text.Command(line)

    def clear(self) -> None:
        """Take the branches of a fault out again."""
        for k in range(self._n):
            self._do(f"disable reactor.f{k}")
        self._n = 0

    def branch(self, one: str, other: str, z: complex) -> None:
        """A branch of a fault. [ohm]"""
        names = {name.lower() for name in self.dss.ActiveClass.AllNames()} if self._class("reactor") else set()
        verb = "edit" if f"f{self._n}" in names else "new"
        what = f"phases=1 bus1={one} bus2={other} r={z.real!r} x={z.imag!r}"
        self._do(f"{verb} reactor.f{self._n} {what} enabled=yes")
        self._n += 1

    def _class(self, name: str) -> bool:
        self.dss.Circuit.SetActiveClass(name)
        return True

    def cut(self, line: str, position: float) -> str:
        """Cut a line in two for good, each at one place at most; the bus between."""
        between = f"cut_{line}"
        if self._cuts.setdefault(line, (position, False)) == (position, True):
            return between
        assert self._cuts[line] == (position, False)
        self._cuts[line] = (position, True)
        _, b, km, r, x, c, r0, x0, c0 = LINES[line]
        self._do(
            f"edit line.{line} bus2={between} length={km * position!r}",
            f"new line.rest_{line} bus1={between} bus2={b} length={km * (1 - position)!r} r1={r} x1={x} c1={c} r0={r0} "
            f"x0={x0} c0={c0} phases=3 units=none basefreq={F_HZ} earthmodel=carson rg=0 xg=0",
        )
        return between

    def currents_ka(self, line: str) -> np.ndarray:
        """Currents of the three phases into a line at its first end, then 3 I0, at the last solution. [kA]"""
        self.dss.Circuit.SetActiveElement(f"line.{line}")
        parts = np.array(self.dss.CktElement.Currents()[:6])
        phases = (parts[0::2] + 1j * parts[1::2]) / 1e3
        return np.abs(np.append(phases, phases.sum()))

    def magnitudes(self) -> dict[str, np.ndarray]:
        """Solve; voltages of the three phases to ground of every bus, of nominal. [pu]"""
        self._do("solve")
        assert self.dss.Solution.Converged()
        parts = np.array(self.dss.Circuit.AllBusVolts())
        volts = dict(
            zip(map(str.lower, self.dss.Circuit.AllNodeNames()), np.hypot(parts[0::2], parts[1::2]), strict=True)
        )
        return {
            bus: np.array([volts[f"{bus}.{p}"] for p in (1, 2, 3)]) * math.sqrt(3) / 1e3 / kv
            for bus, kv in BUSES.items()
        }
