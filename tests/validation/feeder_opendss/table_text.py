"""The page that the validation table is on, from its rows."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

Row = dict[str, Any]

HEAD = """\
# Validation

Made by `{command}`; do not edit. {versions}.

{left_out}

Every feeder is read from its own file, by cosim and by a judge: OpenDSS for unbalanced feeders, pandapower for
balanced ones. Both start from the same state of regulators and capacitor banks, and that state is frozen:

- **file**: as the feeder's master leaves them, its own Solve included.
- **settled**: after OpenDSS's controls settled.
- **published**: the taps of the published solution; OpenDSS's own distance from the published table is the allowance.

The judge is solved as tightly as round-off lets it (a voltage change of {tolerance} per iteration at best). |dV| is
the largest difference of any node's phasor, so it holds for magnitude and angle. *Repeats* is how well OpenDSS repeats
itself from two starts: no comparison can be better than that. Where OpenDSS's usual iteration goes round in circles its
Newton's is asked.

A data center is one load of constant power at any voltage, at {n_places} buses spread by electrical distance (of ten,
six have three phases, two have two and two have one where a feeder has them), at {n_sizes} sizes up to 95 % of the nose
and at power factors {power_factors} (lagging positive). The feeder's own loads keep the voltage limits of their file.

The nose is the judge's, but not by its convergence: the current of the load is given, which leaves the judge a problem
without a nose, and the power at its terminals is followed along the current until it turns back. cosim's nose is found
by bisection on its own status. Where the judge's iteration diverges short of the nose it is given the current of that
curve. The nose is the first maximum on the way up from no load.

Promised: |dV| below {dv_pu:.0e} pu, nose within {nose:.1%}.
"""

UNGROUNDED = """\
## Data centers without a return path

On an ungrounded (delta) feeder the currents of a load to ground return through nothing but line charging and what the
engine adds to keep the delta from floating. There a data center of two or three phases draws between them, in cosim
and in the judge (conn=delta), and V at the nose is that between phases. One of a single phase has no such choice: a
constant power to ground displaces the neutral, its nose is a few kilowatts or watts, and it is held all the same.
"""


def number(value: float | None, form: str = ".1e") -> str:
    """A number, or a dash where there is none."""
    return "-" if value is None else format(value, form)


def table(head: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    columns = list(head)
    rows = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    rows += ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join(rows) + "\n"


def worst(held: list[Row], key: str) -> Row | None:
    """The entry of largest absolute value."""
    known = [entry for entry in held if entry.get(key) is not None]
    return max(known, key=lambda entry: abs(entry[key]), default=None)


def is_held(entry: Row, limits: dict[str, float]) -> bool:
    """Whether a place keeps what is promised, as far as it was compared."""
    if entry["not_solved"]:
        return False
    nose_off, dv = entry["nose_error"], entry["max_dv_pu"]
    return (dv is None or dv <= limits["dv_pu"]) and (nose_off is None or abs(nose_off) <= limits["nose"])


def summary_line(row: Row, limits: dict[str, float]) -> list[str]:
    """One feeder."""
    if "failed" in row:
        return [row["name"], row["state"], str(row.get("n_node", "-")), row["failed"], "", "", "", "", ""]
    held = row.get("held", [])
    off, nose = worst(held, "max_dv_pu"), worst(held, "nose_error")
    spread = "-" if "spread" not in row else f"{row['spread']:.5f} (allowed {row['spread_allowed']:.5f})"
    n_held = sum(is_held(entry, limits) for entry in held)
    return [
        row["name"],
        row["state"],
        str(row["n_node"]),
        number(row.get("repeats")),
        number(row.get("as_is")),
        spread,
        "-" if off is None else number(off["max_dv_pu"]),
        "-" if nose is None else f"{100 * nose['nose_error']:+.3f} %",
        f"{n_held} of {len(held)}",
    ]


def detail(row: Row) -> str:
    """Places of one feeder."""
    lines = []
    for entry in row["held"]:
        note = entry["not_solved"] or (f"{entry['n_by_current']} by current" if entry["n_by_current"] else "")
        nose = entry["nose_mw"]
        lines.append(
            [
                entry["place"],
                f"{entry['power_factor']:g}",
                "-" if nose is None else f"{nose:.4g}",
                ", ".join(f"{vm:.3f}" for vm in entry["vm_at_nose_pu"]),
                "-" if entry["nose_error"] is None else f"{100 * entry['nose_error']:+.3f} %",
                number(entry["max_dv_pu"]),
                note,
            ]
        )
    head = ("place", "power factor", "nose [MW]", "V at the nose [pu]", "cosim's nose", "worst dV [pu]", "note")
    return f"### {row['name']}, {row['state']}\n\n" + table(head, lines)


def page(rows: list[Row], limits: dict[str, float], how: dict[str, Any]) -> str:
    """The whole page; `how` has the rest of the head's fields: command, left_out, n_places, n_sizes, power_factors."""
    named = ", ".join(f"{name} {version(name)}" for name in ("OpenDSSDirect.py", "dss-python-backend", "pandapower"))
    head = HEAD.format(versions=named, tolerance="1e-12", **how, **limits)
    columns = (
        "feeder",
        "state",
        "nodes",
        "OpenDSS repeats [pu]",
        "dV as it stands [pu]",
        "from the published table [pu]",
        "worst dV with a data center [pu]",
        "worst nose",
        "held",
    )
    parts = [
        head,
        "## Feeders\n",
        table(columns, (summary_line(row, limits) for row in rows)),
        UNGROUNDED,
        "## Places\n",
    ]
    parts += [detail(row) for row in rows if row.get("held")]
    return "\n".join(parts)
