"""Small circuits with one kind of control after another, settings drawn at random."""

from __future__ import annotations

import numpy as np

SOURCE = (
    "clear",
    "new circuit.small basekv=69 pu=1.02 phases=3 mvasc3=900 mvasc1=600",
    "new transformer.sub phases=3 windings=2 buses=(sourcebus,busa) conns=({conn1},{conn2}) kvs=(69,12.47) "
    "kvas=(12000,12000) xhl=8 %loadloss=0.6 leadlag={leadlag}",
    "new line.a1 bus1=busa bus2=busb length=2 units=mi r1=0.3 x1=0.6 r0=0.6 x0=1.6 c1=3 c0=1.5",
    "new line.b1 bus1={bus}.1.2.3 bus2=busd length=3 units=mi r1=0.3 x1=0.6 r0=0.6 x0=1.6 c1=3 c0=1.5",
    "new capacitor.bank bus1=busd kv=12.47 kvar={kvar} numsteps={steps} conn={capconn}",
    "new load.la bus1=busd.{load1} phases=1 kw={kw1} kvar={kvar1} model=1 vminpu=0.5 vmaxpu=2",
    "new load.lb bus1=busd.{load2} phases=1 kw={kw2} kvar={kvar2} model=2 vminpu=0.5 vmaxpu=2",
    "new load.lc bus1=busd.{load3} phases=1 kw={kw3} kvar={kvar3} model=1 vminpu=0.5 vmaxpu=2",
)
BANK = tuple(
    f"new transformer.r{name} phases=1 windings=2 buses=(busb.{phase},busc.{phase}) conns=(wye,wye) kvs=(7.2,7.2) "
    "kvas=(5000,5000) xhl=0.1"
    for name, phase in (("a", 1), ("b", 2), ("c", 3))
)


def drawn_kind(rng) -> dict[str, bool]:
    """What a circuit has, for `draw`."""
    return {
        "has_bank": bool(rng.random() < 0.6),
        "regulator": bool(rng.random() < 0.7),
        "capacitor": bool(rng.random() < 0.6),
        "generating": bool(rng.random() < 0.35),
    }


def draw(seed: int, *, has_bank: bool, regulator: bool, capacitor: bool, generating: bool = False) -> list[str]:
    """Commands of one circuit: a substation, a bank of line regulators or none, loads and a capacitor."""
    rng = np.random.default_rng(seed)
    delta_low = not has_bank and rng.random() < 0.3
    values = {
        "conn1": "delta" if delta_low or rng.random() < 0.5 else "wye",
        "conn2": "delta" if delta_low else "wye",
        "leadlag": rng.choice(["lead", "lag"]),
        "bus": "busc" if has_bank else "busb",
        "kvar": int(rng.integers(300, 1800)),
        "steps": int(rng.choice([1, 1, 2, 3])),
        "capconn": rng.choice(["wye", "delta"]),
    }
    if values["conn1"] == "wye" and rng.random() < 0.3 and not has_bank:
        values["conn2"] = "delta"
    sign = -1 if generating else 1
    to_ground = values["conn2"] == "wye"  # what hangs on a delta winding goes line to line
    for phase in (1, 2, 3):
        values[f"load{phase}"] = f"{phase} kv=7.2" if to_ground else f"{phase}.{phase % 3 + 1} conn=delta kv=12.47"
        values[f"kw{phase}"] = sign * int(rng.integers(300, 1500))
        values[f"kvar{phase}"] = int(rng.integers(100, 700))
    commands = [line.format(**values) for line in SOURCE[:4]]
    commands += BANK if has_bank else ()
    commands += [line.format(**values) for line in SOURCE[4:]]
    commands += ["set voltagebases=[69 12.47]", "calcvoltagebases"]
    if regulator:
        commands += _regulators(rng, has_bank, values["conn2"])
    if capacitor:
        commands += [_capacitor(rng, values)]
    return commands


def _regulators(rng, has_bank: bool, connection: str) -> list[str]:
    names = ("ra", "rb", "rc") if has_bank else ("sub",)
    pt = 60 if has_bank or connection == "wye" else 103.9
    common = (
        f"vreg={rng.uniform(117, 126):.2f} band={rng.uniform(1.6, 4):.2f} ptratio={pt} ctprim={rng.integers(100, 500)} "
        f"maxtapchange={rng.choice([1, 2, 16])}"
    )
    if rng.random() < 0.5:
        common += f" r={rng.uniform(-2, 6):.2f} x={rng.uniform(-2, 6):.2f} revr={rng.uniform(0, 3):.2f} revx=1"
    if rng.random() < 0.2:
        common += f" ldc_z={rng.uniform(0.5, 4):.2f} rev_z={rng.uniform(0.5, 4):.2f}"
    if rng.random() < 0.3:
        common += f" vlimit={rng.uniform(119, 127):.2f}"
    mode = rng.random()
    if mode < 0.3:
        common += f" reversible=yes revvreg={rng.uniform(117, 126):.2f} revband=3 revthreshold=50"
    elif mode < 0.4:
        common += " reversible=yes revneutral=yes revthreshold=50"
    elif mode < 0.5:
        common += f" cogen=yes revvreg={rng.uniform(117, 126):.2f} revband=3"
    lines = []
    for number, name in enumerate(names):
        line = (
            f"new regcontrol.c{name} transformer={name} winding={rng.choice([2, 2, 2, 1]) if has_bank else 2} {common}"
        )
        line += f" delay={rng.choice([15, 30, 45])}"
        if rng.random() < 0.2:
            line += " tapwinding=1"
        if not has_bank and rng.random() < 0.6:
            line += f" ptphase={rng.choice(['2', '3', 'max', 'min'])}"
        elif rng.random() < 0.2:
            line += f" bus=busd.{number + 1} remoteptratio=58"
        lines.append(line)
    return lines


def _capacitor(rng, values) -> str:
    line = f"new capcontrol.cbank capacitor=bank element=line.b1 terminal={rng.choice([1, 2])}"
    line += f" deadtime={rng.choice([0, 300])} delay={rng.choice([10, 15, 40])} delayoff={rng.choice([10, 25, 50])}"
    line += " ptratio=60 ctratio=10"
    kind = rng.choice(["voltage", "current", "kvar", "pf", "time"])
    low = rng.uniform(115, 121)
    setting = {
        "voltage": (low, low + rng.uniform(1.5, 8)),
        "current": (rng.uniform(5, 15), rng.uniform(1, 8)),
        "kvar": (rng.uniform(100, 1400), rng.uniform(-900, 50)),
        "pf": (rng.uniform(0.85, 0.99), -rng.uniform(0.85, 0.99)),
        "time": (rng.integers(0, 23), rng.integers(0, 23)),
    }[kind]
    line += f" type={kind} onsetting={setting[0]:.3f} offsetting={setting[1]:.3f}"
    line += f" ptphase={rng.choice(['1', '2', '3', 'avg', 'max', 'min'])}"
    line += f" ctphase={rng.choice(['1', '2', '3', 'avg', 'max', 'min'])}"
    if rng.random() < 0.4 and kind != "voltage":
        line += f" voltoverride=yes vmin={rng.uniform(110, 119):.2f} vmax={rng.uniform(120, 127):.2f}"
        if rng.random() < 0.3:
            line += " vbus=busb"
    return line
