"""Which feeders can be named, and how each is made by the library it comes from."""

from __future__ import annotations

import difflib
import importlib.util
import random
import warnings
from pathlib import Path
from typing import Any

from cosim.errors import InputError, Problem
from cosim.feeder.shipped import shipped_feeders

_CIGRE: dict[str, tuple[str, dict[str, Any]]] = {
    "cigre_hv": ("create_cigre_network_hv", {}),
    "cigre_mv": ("create_cigre_network_mv", {}),
    "cigre_mv_pv_wind": ("create_cigre_network_mv", {"with_der": "pv_wind"}),
    "cigre_mv_all": ("create_cigre_network_mv", {"with_der": "all"}),
    "cigre_lv": ("create_cigre_network_lv", {}),
}

_CASES = [
    "case4gs",
    "case5",
    "case6ww",
    "case9",
    "case11_iwamoto",
    "case14",
    "case24_ieee_rts",
    "case30",
    "case_ieee30",
    "case33bw",
    "case39",
    "case57",
    "case89pegase",
    "case118",
    "case145",
    "case_illinois200",
    "case300",
    "case1354pegase",
    "case1888rte",
    "case2848rte",
    "case2869pegase",
    "case3120sp",
    "case6470rte",
    "case6495rte",
    "case6515rte",
    "case9241pegase",
    "GBreducednetwork",
    "GBnetwork",
    "iceland",
]

_PLAIN = [
    "mv_oberrhein",
    "lv_schutterwald",
    "example_simple",
    "example_multivoltage",
    "panda_four_load_branch",
    "four_loads_with_branches_out",
    "simple_four_bus_system",
    "simple_mv_open_ring_net",
    "kb_extrem_landnetz_freileitung",
    "kb_extrem_landnetz_kabel",
    "kb_extrem_landnetz_freileitung_trafo",
    "kb_extrem_landnetz_kabel_trafo",
    "kb_extrem_dorfnetz",
    "kb_extrem_dorfnetz_trafo",
    "kb_extrem_vorstadtnetz_1",
    "kb_extrem_vorstadtnetz_2",
    "kb_extrem_vorstadtnetz_trafo_1",
    "kb_extrem_vorstadtnetz_trafo_2",
]

_KERBER = [
    "landnetz_freileitung_1",
    "landnetz_freileitung_2",
    "landnetz_kabel_1",
    "landnetz_kabel_2",
    "dorfnetz",
    "vorstadtnetz_kabel_1",
    "vorstadtnetz_kabel_2",
]

_SYNTHETIC = ["rural_1", "rural_2", "village_1", "village_2", "suburb_1"]

_DICKERT = (
    ("short", "cable", "single"),
    ("short", "cable", "multiple"),
    ("middle", "cable", "multiple"),
    ("middle", "C&OHL", "multiple"),
    ("long", "cable", "multiple"),
    ("long", "C&OHL", "multiple"),
)
"""Reach, line type and customers of the Dickert networks that exist."""


def _known() -> dict[str, tuple[str, dict[str, Any]]]:
    """Name of each pandapower feeder: the function that makes it and its arguments."""
    known = dict(_CIGRE)
    known |= {name: (name, {}) for name in (*_CASES, *_PLAIN)}
    known |= {f"kerber_{k}": (f"create_kerber_{k}", {}) for k in _KERBER}
    made = "create_synthetic_voltage_control_lv_network"
    known |= {f"synthetic_voltage_control_lv_network_{k}": (made, {"network_class": k}) for k in _SYNTHETIC}
    for reach, line, customer in _DICKERT:
        for case in ("good", "average", "bad"):
            label = line.lower().replace("&", "_and_")
            arguments = {"feeders_range": reach, "linetype": line, "customer": customer, "case": case}
            known[f"dickert_lv_{reach}_{label}_{customer}_{case}"] = ("create_dickert_lv_network", arguments)
    return known


def list_feeders() -> list[str]:
    """Names that `load_feeder` takes, sorted; any SimBench code (`1-MV-rural--0-sw`) works besides."""
    return sorted([*_known(), *shipped_feeders()])


def is_simbench(name: str) -> bool:
    """Whether a name has the form of a SimBench code: six parts, `1-MV-rural--0-sw`."""
    parts = name.split("-")
    return len(parts) == 6 and parts[0].isdigit() and parts[-1] in ("sw", "no_sw")


def is_dss(name: str) -> bool:
    """Whether a name is the path of an OpenDSS master file."""
    return name.lower().endswith(".dss")


def is_path(name: str) -> bool:
    """Whether a name is the path of a file, not the name of a feeder."""
    return is_json(name) or is_dss(name)


def is_json(name: str) -> bool:
    """Whether a name is the path of a pandapower file."""
    return name.lower().endswith(".json")


def in_other_case(path: str) -> str:
    """Says where a file is that differs from a path in case alone, as a half sentence; empty without one."""
    from cosim.feeder.dss.paths import in_other_case as found_in_other_case

    try:
        found, _ = found_in_other_case(path, str(Path.cwd()))
    except (OSError, ValueError):  # a folder that may not be looked into, a name that no file can have
        return ""
    return f"; there is {found[0].spelled}" if found else ""


def check_name(name: str) -> None:
    """Refuse a name that no feeder has.

    Raises
    ------
    InputError
        Names the nearest known ones.
    """
    if is_path(name):
        if not _is_file(name):
            raise InputError(Problem(f"no such feeder file{in_other_case(name)}", value=name))
        return
    if is_simbench(name):
        if importlib.util.find_spec("simbench") is None:
            raise InputError(
                Problem("a SimBench feeder needs the simbench package: pip install cosim-feeder[simbench]", value=name)
            )
        return
    known = list_feeders()
    if name not in known:
        lower = {one.lower(): one for one in known}
        near = [lower[one] for one in difflib.get_close_matches(name.lower(), lower, 4, 0.5)]
        near = near or ["case33bw", "cigre_mv", "mv_oberrhein"]
        raise InputError(
            Problem(
                f"no such feeder; nearest: {', '.join(near)}; else a SimBench code or the path of an "
                "OpenDSS .dss or a pandapower .json file",
                value=name,
            )
        )


def _is_file(path: str) -> bool:
    try:
        return Path(path).is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def make_net(name: str) -> Any:
    """The pandapower network of a checked name or path; its makers' warnings are theirs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _make(name)


def _make(name: str) -> Any:
    if is_json(name):
        return _read_json(name)
    if is_simbench(name):
        import simbench

        try:
            return simbench.get_simbench_net(name)
        except (ValueError, KeyError, NotImplementedError) as wrong:
            raise InputError(Problem(f"simbench has no such grid: {wrong}", value=name)) from wrong
    import pandapower.networks

    function, arguments = _known()[name]
    # Some Kerber networks draw their lines from the global generator: a name must mean one network.
    before = random.getstate()
    random.seed(0)
    try:
        made = getattr(pandapower.networks, function)(**arguments)
    finally:
        random.setstate(before)
    return made[0] if isinstance(made, tuple) else made


def _read_json(path: str) -> Any:
    import pandapower

    try:
        net = pandapower.from_json(path)
    except Exception as wrong:  # whatever a broken file makes the reader raise
        raise InputError(Problem(f"not a pandapower network: {wrong}", value=path)) from wrong
    if not hasattr(net, "ext_grid"):
        raise InputError(Problem("not a pandapower network: it has no ext_grid table", value=path))
    return net
