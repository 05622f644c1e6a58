"""From a generator of OpenDSS that holds its voltage (model 3) to a spec."""

from __future__ import annotations

from typing import Any, Final

from cosim.feeder.controls.dss_terminals import NotCarried, properties, terminal_of
from cosim.feeder.controls.specs import GeneratorSpec

RANGES_PER_PU_S: Final = 10.0
"""Gain over the range of reactive power: a deviation of 0.01 pu takes it through a tenth of that in a second. The file
says where a generator comes to rest and nothing of time; voltage regulators close within seconds (IEEE Std 421.2).
[1/pu/s]"""
_HOLDS_VOLTAGE: Final = 3


def read_generator(dss: Any, name: str) -> GeneratorSpec | None:
    """Read one generator, None where it is disabled or holds no voltage.

    The engine holds the mean over the phases of what its connection stands at: to the neutral in wye, between phases
    in delta.

    Raises
    ------
    NotCarried
        If it is in delta with fewer than three phases, whose voltage the engine rates otherwise.
    """
    get = properties(dss, "Generator", name)
    if get("Enabled") != "Yes" or int(float(get("Model"))) != _HOLDS_VOLTAGE:
        return None
    terminal = terminal_of(dss, "Generator", name, 1)
    n, is_delta = terminal.n_phase, get("Conn").lower() == "delta"
    if is_delta and n != 3:
        raise NotCarried("model 3 (holds its voltage) in delta can be carried with three phases only")
    rated_v = 1e3 * float(get("kV")) / (3**0.5 if n in (2, 3) and not is_delta else 1.0)
    across = [(k, (k + 1) % n if is_delta else n) for k in range(n)]
    low, high = sorted((float(get("minkvar")) / 1e3, float(get("maxkvar")) / 1e3))
    return GeneratorSpec(
        name=name,
        injection=name,
        v_set_pu=float(get("Vpu")),
        min_q_mvar=low,
        max_q_mvar=high,
        gain_mvar_per_pu_s=RANGES_PER_PU_S * (high - low) if high > low else 1.0,
        voltage=tuple(terminal.voltage(k, 1 / rated_v, minus=minus) for k, minus in across),
    )
