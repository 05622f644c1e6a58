"""OpenDSS feeders that cosim is held to, in the states in which they are held.

A case is a master of its own beside the feeder's files: it redirects to the feeder's and then brings the controls into
one state. `file` takes them as the feeder's master leaves them, its own Solve included where it has one. `settled` lets
OpenDSS's controls settle, `published` sets the taps of the published solution. Whatever reads a case reads that master
and freezes the controls where it ends.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

TAP_STEP = 0.00625
"""Ratio of one tap of a 32-step regulator of +-10 %. [1]"""


@dataclass(frozen=True)
class Case:
    """One feeder in one state."""

    name: str
    state: str
    archive: str
    """Zip of the files."""
    master: str
    """The feeder's own master within."""
    commands: tuple[str, ...] = ()
    """What brings it into its state."""
    published: str = ""
    """Table of its published solution."""
    published_spread_pu: float = 0.0
    """How far OpenDSS itself is from that table, rounded up at its last digit. [pu]"""
    aliases: tuple[tuple[str, str], ...] = ()
    """Buses that the published table names otherwise: (there, here)."""
    not_compared: tuple[str, ...] = ()
    """Buses of the published table that model something else."""
    line_to_line: bool = False
    """The published table gives line to line voltages."""

    @property
    def id(self) -> str:
        """Name and state."""
        return f"{self.name}-{self.state}"


SETTLE = ("set mode=snapshot maxcontroliter=200 maxiterations=1000", "solve")


def _taps(numbers: dict[str, int], *further: str) -> tuple[str, ...]:
    """Commands that fix regulator taps and solve."""
    taps = tuple(f"transformer.{name}.wdg=2 tap={1 + TAP_STEP * number!r}" for name, number in numbers.items())
    return ("set mode=snapshot controlmode=off maxiterations=1000", *further, *taps, "solve")


def _four_bus(variant: str, master: str) -> Case:
    return Case(f"ieee4_{variant.replace('-', '_')}", "file", "ieee4", f"4Bus-{variant}/{master}")


_IEEE13 = ("ieee13", "13Bus/IEEE13Nodeckt.dss")
_IEEE34 = ("ieee34", "34Bus/ieee34Mod1.dss")
_IEEE34_MOD2 = ("ieee34", "34Bus/ieee34Mod2.dss")
_IEEE37 = ("ieee37", "37Bus/ieee37.dss")
_IEEE123 = ("ieee123", "123Bus/IEEE123Master.dss")
_IEEE8500 = ("ieee8500", "8500-Node/Master.dss")
_IEEE8500_UNBALANCED = ("ieee8500", "8500-Node/Master-unbal.dss")
_EUROPEAN_LV = ("ieee_europeanLV", "LVTestCase/Master.dss")

CASES = (
    _four_bus("YY-Bal", "4Bus-YY-Bal.DSS"),
    _four_bus("YD-Bal", "4Bus-YD-Bal.DSS"),
    _four_bus("DY-Bal", "4Bus-DY-Bal.DSS"),
    _four_bus("GrdYD-Bal", "4Bus-GrdYD-Bal.DSS"),
    _four_bus("OYOD-Bal", "4Bus-OYOD-Bal.DSS"),
    _four_bus("OYOD-UnBal", "4bus-OYOD-UnBal.dss"),
    Case("ieee13", "file", *_IEEE13),
    Case(
        "ieee13",
        "published",
        *_IEEE13,
        _taps({"reg1": 10, "reg2": 8, "reg3": 11}),
        "ieee13_published_voltages.csv",
        0.00135,
        aliases=(("xfxfm1", "634"),),
    ),
    Case("ieee34_mod1", "file", *_IEEE34),
    Case("ieee34_mod1", "settled", *_IEEE34, SETTLE),
    Case(
        "ieee34_mod1",
        "published",
        *_IEEE34,
        _taps({"reg1a": 12, "reg1b": 5, "reg1c": 5, "reg2a": 13, "reg2b": 11, "reg2c": 12}),
        "ieee34_published_voltages.csv",
        0.00135,
        aliases=(("rg10", "814r"), ("rg11", "852r"), ("xf10", "888")),
    ),
    Case("ieee34_mod2", "settled", *_IEEE34_MOD2, SETTLE),
    Case("ieee37", "file", *_IEEE37),
    Case(
        "ieee37",
        "published",
        *_IEEE37,
        _taps(
            {"reg1a": 7, "reg1c": 4},
            "transformer.subxf.xhl=0.0001 %loadloss=0.00001",
            "transformer.reg1a.xhl=0.0001 %loadloss=0.00001",
            "transformer.reg1c.xhl=0.0001 %loadloss=0.00001",
        ),
        "ieee37_published_voltages_LL.csv",
        0.0001,
        aliases=(("rg7", "799r"), ("xf7", "775")),
        line_to_line=True,
    ),
    Case("ieee123", "file", *_IEEE123),
    Case("ieee123", "settled", *_IEEE123, SETTLE),
    Case(
        "ieee123",
        "published",
        *_IEEE123,
        _taps({"reg1a": 7, "reg2a": -1, "reg3a": 0, "reg3c": -1, "reg4a": 8, "reg4b": 1, "reg4c": 5}),
        "ieee123_published_voltages.csv",
        0.00145,
        aliases=(("rg1", "150r"), ("rg2", "9r"), ("rg3", "25r"), ("rg4", "160r"), ("xf1", "610")),
        not_compared=("610", "xf1"),
    ),
    Case("ieee8500_balanced", "settled", *_IEEE8500, SETTLE),
    Case("ieee8500_unbalanced", "settled", *_IEEE8500_UNBALANCED, SETTLE),
    Case("european_lv", "file", *_EUROPEAN_LV),
)


def write_case(case: Case, archives: Path, folder: Path) -> Path:
    """Unzip a case's feeder and write its master beside the feeder's own.

    Parameters
    ----------
    case : Case
    archives : Path
        Folder of the zips.
    folder : Path
        Empty folder for this case alone.

    Returns
    -------
    Path
        The master.
    """
    with zipfile.ZipFile(archives / f"{case.archive}.zip") as files:
        files.extractall(folder)
    own = folder / case.master
    if not case.commands:
        return own
    master = own.with_name(f"{case.name}_{case.state}.dss")
    master.write_text("\n".join([f'redirect "{own.name}"', *case.commands]) + "\n")
    return master
