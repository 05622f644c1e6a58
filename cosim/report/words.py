"""Numbers in words: units, rounding, names, times; what a run that is not whole is told to be."""

from __future__ import annotations

from dataclasses import dataclass

from cosim.metrics.analysis import Analysis
from cosim.metrics.log import Log

_UNITS = (
    ("_mw_per_s", "MW/s"),
    ("_g_per_kwh", "g/kWh"),
    ("_per_mw_pu", "pu/MW"),
    ("_per_mvar_pu", "pu/Mvar"),
    ("_kg", "kg"),
    ("_mva", "MVA"),
    ("_mwh", "MWh"),
    ("_mw", "MW"),
    ("_mvar", "Mvar"),
    ("_pu", "pu"),
    ("_percent", "%"),
    ("_degree", "degree"),
    ("_s", "s"),
)

STATUS = {
    "running": "This run is still being written, or was killed; the numbers cover what is there.",
    "collapsed": "This run ended early: no power flow solution exists beyond its last row.",
    "interrupted": "This run was interrupted; the numbers cover what was written. Resume it with --resume.",
    "failed": "This run failed; the numbers cover what was written.",
}
"""What to say of a run that is not complete."""


@dataclass(frozen=True)
class Finding:
    """One sentence about a run."""

    text: str
    t_s: float | None = None
    """When it happened, where it has a time. [s]"""


def split_unit(key: str) -> tuple[str, str]:
    """Name and unit of a metric's key: `max_ramp_mw_per_s` gives `max ramp` and `MW/s`."""
    for ending, unit in _UNITS:
        if key.endswith(ending) and len(key) > len(ending):
            return key[: -len(ending)].replace("_", " "), unit
    return key.replace("_", " "), ""


def number(value: float, digits: int = 4) -> str:
    """A number to so many significant digits, without an exponent between 1e-4 and 1e6."""
    if value == 0:
        return "0"
    if isinstance(value, int) or (float(value).is_integer() and abs(value) < 1e6):
        return str(int(value))
    if 10.0**digits <= abs(value) < 1e6:
        return f"{value:.0f}"
    if 1e-4 <= abs(value) < 10.0**digits:
        return f"{value:.{digits}g}"
    return f"{value:.{digits - 1}e}"


def measure(value: float, unit: str) -> str:
    """A number to the digits that its unit has: voltages to 1e-4 pu, percentages not below 0.001."""
    if unit == "pu":
        return f"{value:.4f}"
    if unit == "%" and 0.0 < abs(value) < 1e-3:
        return "<0.001" if value > 0.0 else ">-0.001"
    return number(value)


def energy(e_mwh: float) -> str:
    """An energy in MWh, a small one in kWh; less than 1 Wh is none."""
    if abs(e_mwh) >= 0.01:
        return f"{number(e_mwh)} MWh"
    return f"{number(1e3 * e_mwh)} kWh" if abs(e_mwh) >= 1e-6 else "0"


def count(n: float) -> str:
    """How many: from a million on in millions."""
    return f"{n / 1e6:,.4g} million" if n >= 1e6 else f"{n:.0f}"


def times(n: float, total_s: float) -> str:
    """How often, and how long in all; without a number where nothing begins or ends it."""
    if n == 0:
        return f"for {number(total_s)} s" if total_s > 0 else "never"
    return f"{'once' if n == 1 else f'{n:.0f} times'}, {number(total_s)} s"


def named(kind: str, name: str) -> str:
    """An element in words: `bus 17`, and not `bus bus 17` where the name says it already."""
    return name if name.lower().startswith(kind) else f"{kind} {name}"


def at_time(t_s: float) -> str:
    """A time in words, beyond a quarter of an hour also as h:mm:ss."""
    text = f"t = {number(t_s, 6)} s"
    if t_s < 900.0:
        return text
    whole = int(t_s)
    return f"{text} ({whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d})"


def status_note(log: Log, found: Analysis) -> str | None:
    """What to say at the top of a run that is not complete."""
    note = STATUS.get(log.status)
    return None if note is None else f"{note} Last row: t = {number(found.end_s, 6)} s."
