"""Unbalanced OpenDSS circuits drawn at random, read by cosim and held to OpenDSS.

    python tests/validation/feeder_opendss/random_circuits.py [--first 0] [--count 200]

Transformers of every connection, loads of all eight models in wye and delta, laterals of one and two phases, regulators
per phase and in open delta, capacitors and reactors in wye, delta and between phases, open switches, parts that nothing
feeds, a second source, sources turned by any angle, 50 and 60 Hz; each circuit also with a data center at one of its
buses. Prints every circuit that differs by more than 1e-6 pu, and how many there were of which kind.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path
from random import Random

from cosim.errors import InputError, PhysicsError
from cosim.feeder import Feeder
from cosim.feeder.dss import read_dss

SAME_PU = 1e-6
SOURCE_KV, SERVICE_KV, SPLIT_KV = 34.5, 0.48, 0.12
CODES = """\
new linecode.two nphases=2 units=km rmatrix=(0.3 | 0.1 0.32) xmatrix=(0.6 | 0.2 0.65) cmatrix=(6 | -1 6)
new linecode.one nphases=1 units=km r1=0.5 x1=0.6 r0=0.5 x0=0.6 c1=4 c0=4
"""


class Draft:
    """A circuit as it grows. Buses have the phases that reach them; `split` ones are the two legs of a center tap."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.lines: list[str] = []
        self.phases: dict[str, str] = {}
        self.kv: dict[str, float] = {}
        self.is_floating: dict[str, bool] = {}
        """Whether no conductor of the bus's zone is grounded: what stands there stands between phases."""
        self.main: list[str] = []
        self.service: list[str] = []

    def add(self, text: str) -> None:
        self.lines.append(text)

    def pick(self, *of):
        return self.rng.choice(of)

    def between(self, low: float, high: float) -> float:
        return round(self.rng.uniform(low, high), 4)

    def bus(self, phases: str, kv: float, is_floating: bool) -> str:
        name = f"b{len(self.phases)}"
        self.phases[name], self.kv[name], self.is_floating[name] = phases, kv, is_floating
        return name

    def three_phase(self) -> str:
        return self.rng.choice([bus for bus in self.main if self.phases[bus] == "123"])

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"


def drawn_circuit(seed: int) -> Draft:
    """A whole circuit, solved by its own script or not."""
    d = Draft(seed)
    hz = d.pick(50, 60)
    angle = d.pick(0, 30, -45, 120, 17.3)
    short = f"mvasc3={d.between(200, 2000)} mvasc1={d.between(150, 1500)}"
    d.add(f"clear\nset defaultbasefrequency={hz}")
    d.add(f"new circuit.c bus1=src basekv={SOURCE_KV} pu={d.between(0.98, 1.05)} angle={angle} {short}")
    for k in range(3):
        zero = f"r0={d.between(0.4, 1)} x0={d.between(0.8, 2)} c0={d.between(0, 6)}"
        d.add(f"new linecode.c{k} nphases=3 basefreq={d.pick(50, 60)} units=km")
        d.add(f"~ r1={d.between(0.1, 0.5)} x1={d.between(0.2, 0.6)} c1={d.between(0, 12)} {zero}")
    d.add(CODES)
    connection = add_substation(d)
    add_regulators(d)
    for _ in range(d.rng.randint(3, 8)):
        add_line(d, d.rng.choice(d.main))
    for _ in range(d.rng.randint(1, 4)):
        add_service(d, d.rng.choice(d.main))
    for bus in [*d.main[1:], *d.service]:
        for _ in range(d.pick(0, 1, 1, 2)):
            add_load(d, bus)
    for _ in range(d.rng.randint(0, 3)):
        add_shunt(d, d.rng.choice(d.main))
    add_odds_and_ends(d, connection, angle, hz)
    d.add("set voltagebases=[34.5 12.47 4.16 0.48 0.208]\ncalcvoltagebases\nset maxiterations=500")
    d.add(d.pick("set controlmode=off", "") + d.pick("\nsolve", "\nsolve", ""))
    return d


def add_substation(d: Draft) -> str:
    """The transformer behind the source, its taps off neutral; its connection."""
    connection, kv = d.pick("delta wye", "wye delta", "wye wye", "delta delta"), d.pick(12.47, 4.16)
    lead = d.pick("lead", "lag")
    d.add(f"new transformer.sub phases=3 buses=(src s) conns=({connection}) kvs=({SOURCE_KV} {kv}) leadlag={lead}")
    d.add(f"~ kvas=(10000 10000) xhl={d.between(5, 9)} %loadloss={d.between(0.3, 1)} %noloadloss=0.2 %imag=0.5")
    d.add(f"~ wdg=2 tap={1 + 0.00625 * d.rng.randint(-8, 12)}")
    if connection.endswith("wye") and d.rng.random() < 0.4:
        d.add(f"~ rneut={d.between(0, 3)} xneut={d.between(0, 2)}")
    d.phases["s"], d.kv["s"], d.is_floating["s"] = "123", kv, connection.endswith("delta")
    d.main.append("s")
    return f"{connection}) leadlag=({lead}"


def add_regulators(d: Draft) -> None:
    """Two regulators in open delta, one a phase, or none."""
    kind, kv = d.pick("open delta", "per phase", "none", "none"), d.kv["s"]
    if kind == "none" or (kind == "per phase" and d.is_floating["s"]):
        return
    bus = d.bus("123", kv, d.is_floating["s"])
    pairs = {"ra": "1.2", "rb": "3.2"} if kind == "open delta" else {"ra": "1", "rb": "2", "rc": "3"}
    own = kv if kind == "open delta" else kv / 3**0.5
    for name, at in pairs.items():
        d.add(f"new transformer.{name} phases=1 buses=(s.{at} {bus}.{at}) kvs=({own} {own}) kvas=(2000 2000) xhl=1")
        d.add(f"~ wdg=2 tap={1 + 0.00625 * d.rng.randint(-16, 16)}")
        d.add(f"new regcontrol.{name} transformer={name} winding=2 vreg=120 band=2 ptratio={own / 0.12} enabled=no")
    if kind == "open delta":
        d.add(f"new line.jumper phases=1 bus1=s.2 bus2={bus}.2 r1=0.0001 x1=0 r0=0.0001 x0=0 c1=0 c0=0")
    d.main = [bus]


def add_line(d: Draft, above: str) -> None:
    """A line on from a bus, of all its phases or, where there is ground, of some."""
    phases = d.phases[above]
    if len(phases) == 3 and not d.is_floating[above] and d.rng.random() < 0.4:
        phases = "".join(sorted(d.rng.sample(phases, d.pick(1, 2))))
    bus = d.bus(phases, d.kv[above], d.is_floating[above])
    code = {3: f"c{d.rng.randrange(3)}", 2: "two", 1: "one"}[len(phases)]
    at = "".join(f".{p}" for p in phases)
    d.add(f"new line.{bus} phases={len(phases)} bus1={above}{at} bus2={bus}{at} linecode={code}")
    d.add(f"~ length={d.between(0.2, 2.5)} units=km")
    d.main.append(bus)


def add_service(d: Draft, above: str) -> None:
    """A transformer to low voltage: of two or three windings, open wye to open delta, or center-tapped."""
    kv, phases = d.kv[above], d.phases[above]
    if len(phases) == 2:
        return
    if len(phases) == 1:
        bus = d.bus("split", SPLIT_KV, False)
        d.add(f"new transformer.{bus} phases=1 windings=3 buses=({above}.{phases}.0 {bus}.1.0 {bus}.0.2)")
        d.add(f"~ kvs=({kv / 3**0.5} 0.12 0.12) kvas=(50 25 25) xhl=2.04 xht=2.04 xlt=1.36 %rs=(0.6 1.2 1.2)")
    elif not d.is_floating[above] and d.rng.random() < 0.2:
        bus = d.bus("123", SERVICE_KV, True)
        for name, high, low in (("a", "1.0", "1.2"), ("b", "2.0", "2.3")):
            d.add(f"new transformer.{bus}{name} phases=1 buses=({above}.{high} {bus}.{low}) xhl=3")
            d.add(f"~ kvs=({kv / 3**0.5} {SERVICE_KV}) kvas=(200 200)")
    elif d.rng.random() < 0.2:
        bus = d.bus("123", SERVICE_KV, False)
        first = d.pick("delta", "wye")
        d.add(f"new transformer.{bus} phases=3 windings=3 buses=({above} {bus} {bus}t) conns=({first} wye delta)")
        d.add(f"~ kvs=({kv} {SERVICE_KV} {SERVICE_KV}) kvas=(750 750 250) xhl=5 xht=8 xlt=4")
    else:
        connection = d.pick("delta wye", "wye wye", "delta delta", "wye delta")
        bus = d.bus("123", SERVICE_KV, connection.endswith("delta"))
        d.add(f"new transformer.{bus} phases=3 buses=({above} {bus}) conns=({connection}) kvs=({kv} {SERVICE_KV})")
        d.add(f"~ kvas=(750 750) xhl={d.between(3, 7)} %rs=(0.4 0.5) leadlag={d.pick('lead', 'lag', 'ansi', 'euro')}")
    d.service.append(bus)


def add_load(d: Draft, bus: str) -> None:
    """A load of any model, connection and window that the bus allows."""
    phases, kv, size = d.phases[bus], d.kv[bus], 0.25 if d.kv[bus] < 1 else 1.0
    ways = {
        "123": [(3, "delta", "", kv, 200), (1, "delta", d.pick(".1.2", ".2.3", ".3.1"), kv, 70)],
        "split": [(1, "wye", d.pick(".1", ".2"), SPLIT_KV, 20), (1, "wye", ".1.2", 2 * SPLIT_KV, 30)],
    }.get(phases, [(1, "wye", f".{phases[0]}", kv / 3**0.5, 60)])
    if phases == "123" and not d.is_floating[bus]:
        ways += [(3, "wye", "", kv, 200), (1, "wye", f".{d.pick(1, 2, 3)}", kv / 3**0.5, 70)]
    if len(phases) == 2:
        ways += [(1, "delta", f".{phases[0]}.{phases[1]}", kv, 60), (2, "wye", f".{phases[0]}.{phases[1]}", kv, 60)]
    n, connection, at, own_kv, most_kw = d.rng.choice(ways)
    model, kw = d.rng.randint(1, 8), d.between(0.1 * most_kw * size, most_kw * size)
    a, b, c, e = (d.between(0, 0.5) for _ in range(4))
    zip_shares = f"zipv=({a} {b} {1 - a - b} {c} {e} {1 - c - e} {d.pick(0, 0.6)})"
    more = {4: f"cvrwatts={d.between(0.4, 1.6)} cvrvars={d.between(1, 3)}", 8: zip_shares}.get(model, "")
    window = d.pick("", f"vminpu={d.between(0.85, 1)} vmaxpu={d.between(1, 1.1)}", "vminpu=0.7 vmaxpu=1.3 vlowpu=0.5")
    reactive = d.pick(f"pf={d.between(0.8, 1)}", f"kvar={kw * d.between(-0.3, 0.6)}", f"pf=-{d.between(0.9, 1)}")
    d.add(f"new load.d{len(d.lines)} bus1={bus}{at} phases={n} conn={connection} kv={own_kv} kw={kw} {reactive}")
    d.add(f"~ model={model} {more} {window}")


def add_shunt(d: Draft, bus: str) -> None:
    """A capacitor or a reactor."""
    phases, kv, name = d.phases[bus], d.kv[bus], f"k{len(d.lines)}"
    if len(phases) == 1:
        d.add(f"new capacitor.{name} bus1={bus}.{phases} phases=1 kv={kv / 3**0.5} kvar={d.between(20, 100)}")
    elif len(phases) == 2:
        at = f"{bus}.{phases[0]}.{phases[1]}"
        d.add(f"new capacitor.{name} bus1={at} phases=1 conn=delta kv={kv} kvar={d.between(20, 100)}")
    elif d.rng.random() < 0.6:
        connection = "delta" if d.is_floating[bus] else d.pick("delta", "wye")
        d.add(f"new capacitor.{name} bus1={bus} phases=3 kv={kv} kvar={d.between(50, 400)} conn={connection}")
        d.add(d.pick("", "~ numsteps=3 states=(1 0 1)", "~ r=1 xl=0.5"))
    else:
        connection = "delta" if d.is_floating[bus] else "wye"
        shunt = f"new reactor.{name} bus1={bus} phases=3 kv={kv} kvar={d.between(20, 150)} conn={connection}"
        d.add(d.pick(shunt, f"new reactor.{name} bus1={bus}.1.2 bus2={bus}.2.3 phases=2 r=1200 x=300"))


def add_odds_and_ends(d: Draft, connection: str, angle: float, hz: int) -> None:
    """A switch and what lies behind it, a loop, generation, a second source, a part that nothing feeds."""
    chance = lambda: d.rng.random() < 0.35  # noqa: E731
    bus, kv = d.three_phase(), d.kv["s"]
    own = "delta" if d.is_floating["s"] else d.pick("wye", "delta")
    if chance():
        d.add(f"new line.sw phases=3 bus1={bus} bus2=e switch=yes")
        d.add("new line.beyond phases=3 bus1=e bus2=f r1=0.3 x1=0.4 r0=0.6 x0=1 c1=5 c0=3 length=0.7")
        d.add(d.pick("open line.sw 1", "open line.sw 2", "open line.sw 1 2", "line.sw.enabled=no", ""))
    if chance():
        d.add(f"new line.loop phases=3 bus1={bus} bus2={d.three_phase()} linecode=c0 length=2 units=km".replace(
            f"bus1={bus} bus2={bus} ", f"bus1={bus} bus2=tail "))  # fmt: skip
    if chance():
        d.add(f"new generator.g bus1={bus} phases=3 kv={kv} kw={d.between(50, 400)} pf=0.95 conn={own}")
        d.add(f"~ model={d.pick(1, 2, 4, 5, 7)}")
    if chance():
        d.add(f"new pvsystem.p bus1={bus} phases=3 kv={kv} kva=300 pmpp=280 irradiance=0.8 conn={own}")
        d.add(f"~ pf={d.pick(1, 0.95)}")
    if chance():
        state = d.pick("idling", "discharging", "charging")
        d.add(f"new storage.s bus1={bus} phases=3 kv={kv} kwrated=200 kwhrated=400 state={state} kw=100 conn={own}")
    if chance():
        turned = angle + d.between(-2, 2)
        d.add(f"new line.tie phases=3 bus1={bus} bus2=s2 linecode=c0 length=8 units=km")
        d.add(f"new transformer.two phases=3 buses=(hv2 s2) conns=({connection}) kvs=({SOURCE_KV} {kv})")
        d.add("~ kvas=(5000 5000) xhl=8")
        d.add(f"new vsource.two bus1=hv2 basekv={SOURCE_KV} pu={d.between(0.99, 1.04)} angle={turned} frequency={hz}")
        d.add("~ mvasc3=500 mvasc1=400")
    if chance():
        d.add("new line.island bus1=q1 bus2=q2 phases=3 linecode=c0 length=1 units=km")
        d.add("new load.island bus1=q2 kv=12.47 kw=100")


def worst(seed: int, master: Path) -> tuple[float, str]:
    """Largest difference of a node's magnitude to OpenDSS, alone and with a data center, and where. [pu]

    Raises
    ------
    InputError, PhysicsError
        As cosim refuses the circuit.
    AssertionError
        If OpenDSS does not converge, or a live node of its is missing.
    """
    from oracle import Oracle

    d = drawn_circuit(seed)
    master.write_text(d.text)
    oracle, feeder = Oracle(master), Feeder("drawn", read_dss(master))
    most = difference(oracle.solve(), feeder, {})
    bus = d.rng.choice(d.main)
    if d.is_floating[bus]:  # or perhaps not, where a transformer of a service grounds it
        return most
    n, at = len(d.phases[bus]), "".join(f".{p}" for p in d.phases[bus])
    kv = d.kv[bus] if n > 1 else d.kv[bus] / 3**0.5
    p_kw, q_kvar = n * d.between(50, 250), d.between(-40, 60)
    oracle.command(f"new load.dc bus1={bus}{at} phases={n} kv={kv} kw={p_kw} kvar={q_kvar} model=1")
    oracle.command("~ vminpu=0.01 vlowpu=0 vmaxpu=9")
    return max(most, difference(oracle.solve(), feeder, {f"{bus}{at}": (p_kw / 1e3, q_kvar / 1e3)}))


def difference(volts: dict[str, complex], feeder: Feeder, loads: dict[str, tuple[float, float]]) -> tuple[float, str]:
    """Largest difference between OpenDSS's voltages and cosim's, and the node."""
    solution = feeder.solve(loads)
    assert solution.status == "ok"
    base = {name.lower(): 1e3 * kv for name, kv in zip(feeder.node_names, feeder.network.node_vn_kv, strict=False)}
    lost = [name for name, v in volts.items() if name not in base and abs(v) > 1e-3]
    assert not lost, f"missing: {lost}"
    return max((abs(solution.vm_pu[name] - abs(v) / base[name]), name) for name, v in volts.items() if name in base)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=200)
    chosen = parser.parse_args()
    kinds: Counter[str] = Counter()
    most = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(chosen.first, chosen.first + chosen.count):
            try:
                off, where = worst(seed, Path(folder, f"{seed}.dss"))
            except (InputError, PhysicsError, AssertionError) as why:
                kinds["without an answer"] += 1
                print(f"{seed}: {type(why).__name__}: {why}")
                continue
            kinds["within 1e-6 pu" if off < SAME_PU else "differ"] += 1
            most = max(most, off)
            if off >= SAME_PU:
                print(f"{seed}: {off:.1e} pu at {where}")
    print(", ".join(f"{n} {kind}" for kind, n in kinds.items()), f"; most {most:.1e} pu")


if __name__ == "__main__":
    main()
