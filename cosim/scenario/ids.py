"""Ids of an OpenDSS feeder in a scenario, in the case in which the feeder has them."""

from __future__ import annotations

from dataclasses import replace

from cosim.feeder.names import is_dss
from cosim.feeder.shipped import shipped_feeders
from cosim.scenario.tree import Node

_ANY = "*"
_IDS = (
    ("datacenters", _ANY, "bus"),
    *(("events", _ANY, noun) for noun in ("bus", "line", "load", "switch")),
    *(("feeder", "protection", _ANY, noun) for noun in ("line", "trafo")),
    *(("feeder", "controls", _ANY, _ANY, noun) for noun in ("bus", "trafo", "capacitor", "sgen")),
    ("log", "nodes", _ANY),
    ("log", "lines", _ANY),
    ("log", "points", "nodes", _ANY),
    ("log", "capture", "nodes", _ANY),
)
"""Where a scenario names elements of its feeder."""
_OWN_CONTROLS = {"regulators": "trafo", "capacitors": "capacitor"}
"""Controls whose names are the feeder's own where they lack this key."""


def in_case_of_feeder(root: Node) -> Node:
    """The document with ids of an OpenDSS feeder in lower case, of which OpenDSS makes every name; others unchanged."""
    model = root.at(("feeder", "model"))
    name = model.value if model is not None else None
    if not isinstance(name, str) or not (is_dss(name) or name in shipped_feeders()):
        return root
    for path in _IDS:
        root = _lowered(root, path)
    for kind, key in _OWN_CONTROLS.items():
        path = ("feeder", "controls", kind)
        if (controls := root.at(path)) is not None and controls.is_mapping:
            root = root.replaced(path, _with_lower_names(controls, key))
    return root


def _lowered(node: Node, path: tuple[str, ...]) -> Node:
    """A node with the text at a path, `*` for any key or index, in lower case; itself where there is none."""
    if not path:
        return replace(node, value=node.value.lower()) if isinstance(node.value, str) else node
    head, rest = path[0], path[1:]
    if node.is_mapping:
        chosen = node.value if head == _ANY else {head} & node.value.keys()
        return replace(node, value={k: _lowered(v, rest) if k in chosen else v for k, v in node.value.items()})
    if node.is_list and head == _ANY:
        return replace(node, value=[_lowered(item, rest) for item in node.value])
    return node


def _with_lower_names(controls: Node, key: str) -> Node:
    """Controls of the feeder's own by their names in lower case, unless one is there by that name already."""
    renamed: dict[str, Node] = {}
    for name, node in controls.value.items():
        is_own = node.is_mapping and key not in node.value and name.lower() not in controls.value
        renamed[name.lower() if is_own else name] = node
    return replace(controls, value=renamed)
