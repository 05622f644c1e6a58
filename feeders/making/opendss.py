"""One shipped feeder solved by OpenDSS, in a context of its own."""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opendssdirect import OpenDSSDirect

TAP_STEP = 0.00625
TOLERANCE = 1e-9
MAX_CONTROL_ITERATIONS = 300


@dataclass(frozen=True)
class Solved:
    """What a solution says: complex node voltages [V], taps from neutral, powers [kVA], loadings [1]."""

    v: dict[str, complex]
    vm_pu: dict[str, float]
    taps: dict[str, int]
    relay_v: dict[str, float]
    """Voltage that each control sees behind its compensator, on the 120 V side. [V]"""
    s_source_kva: complex
    s_loss_kva: complex
    loading: dict[str, float]
    """Largest conductor current of each line over its rating, power of each transformer over its own."""
    s_trafo_mva: dict[str, float]
    capacitors: dict[str, bool]


def load_master(master: Path) -> Any:
    """A context that has run the master file, its own Solve included."""
    dss = OpenDSSDirect.NewContext()
    dss.Basic.AllowChangeDir(False)
    dss.Text.Command(f'compile "{master}"')
    dss.Solution.Convergence(TOLERANCE)
    dss.Solution.MaxIterations(100)
    return dss


def solve(
    master: Path, taps: dict[str, int] | None = None, controls: bool = False, extra: tuple[str, ...] = ()
) -> Solved:
    """Solve a master file, its regulators first put at `taps` (as the master left them where None).

    `extra` holds commands that add elements. Raises RuntimeError where OpenDSS does not converge.
    """
    dss = load_master(master)
    for command in extra:
        dss.Text.Command(command)
    for name, tap in (taps or {}).items():
        dss.RegControls.Name(name)
        dss.Text.Command(f"edit transformer.{dss.RegControls.Transformer()} wdg=2 tap={1 + TAP_STEP * tap:.6f}")
    dss.Solution.MaxControlIterations(MAX_CONTROL_ITERATIONS)
    dss.Text.Command(f"set controlmode={'static' if controls else 'off'}")
    dss.Solution.Solve()
    if not dss.Solution.Converged():
        raise RuntimeError(f"{master}: OpenDSS does not converge")
    return _read(dss)


def _read(dss: Any) -> Solved:
    names = dss.Circuit.AllNodeNames()
    pairs = iter(dss.Circuit.AllBusVolts())
    v = {name: complex(re, im) for name, re, im in zip(names, pairs, pairs, strict=True)}
    loading, s_trafo = _loadings(dss)
    controls = {name: _control(dss, name, v) for name in _all(dss.RegControls)}
    return Solved(
        v,
        dict(zip(names, dss.Circuit.AllBusMagPu(), strict=True)),
        {name: tap for name, (tap, _) in controls.items()},
        {name: relay for name, (_, relay) in controls.items()},
        -complex(*dss.Circuit.TotalPower()),
        complex(*dss.Circuit.Losses()) / 1e3,
        loading,
        s_trafo,
        {name: _capacitor(dss, name) for name in _all(dss.Capacitors)},
    )


def _all(kind: Any) -> list[str]:
    return [] if kind.Count() == 0 else list(kind.AllNames())


def _capacitor(dss: Any, name: str) -> bool:
    dss.Capacitors.Name(name)
    return bool(dss.Capacitors.States()[0])


def _control(dss: Any, name: str, v: dict[str, complex]) -> tuple[int, float]:
    """Tap and relay voltage of a control."""
    control = dss.RegControls
    control.Name(name)
    tap, pt, ct = control.TapNumber(), control.PTRatio(), control.CTPrimary()
    z = complex(control.ForwardR(), control.ForwardX())
    dss.Circuit.SetActiveElement(f"transformer.{control.Transformer()}")
    bus, *nodes = dss.CktElement.BusNames()[1].split(".")
    ends = [v[f"{bus}.{node}"] for node in (nodes or ["1"])[:2]]
    across = ends[0] - ends[1] if len(nodes) == 2 else ends[0]
    currents = dss.CktElement.Currents()
    second = len(currents) // 2
    into_line = -complex(currents[second], currents[second + 1])
    return tap, abs(across / pt - z * into_line / ct)


def _loadings(dss: Any) -> tuple[dict[str, float], dict[str, float]]:
    loading, s_mva = {}, {}
    for name in dss.Lines.AllNames():
        dss.Lines.Name(name)
        if dss.CktElement.Enabled():
            loading[f"line.{name}"] = max(dss.CktElement.CurrentsMagAng()[0::2]) / dss.Lines.NormAmps()
    for name in _all(dss.Transformers):
        dss.Circuit.SetActiveElement(f"transformer.{name}")
        powers = dss.CktElement.Powers()
        half = len(powers) // 2
        s_mva[name] = abs(complex(sum(powers[0:half:2]), sum(powers[1:half:2]))) / 1e3
        dss.Text.Command(f"? transformer.{name}.normhkva")
        loading[f"transformer.{name}"] = 1e3 * s_mva[name] / float(dss.Text.Result())
    return loading, s_mva


def unit(degree: float) -> complex:
    """Phasor of length 1."""
    return cmath.exp(1j * math.radians(degree))


def phasor(row: dict[str, str]) -> complex:
    """Phasor of a row of `published.csv`. [pu]"""
    return float(row["vm_pu"]) * unit(float(row["va_degree"]))
