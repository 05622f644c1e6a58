"""Plain values as YAML that a person reads."""

from __future__ import annotations

import io
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq


def as_yaml(document: dict[str, Any]) -> str:
    """A document as YAML, lists of small mappings one line each."""
    yaml = YAML()
    yaml.width = 118
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    yaml.dump(_flowing(document), stream)
    return stream.getvalue()


def _flowing(value: Any) -> Any:
    """Lists of small mappings one line each, lists of numbers in lines."""
    if isinstance(value, dict):
        return CommentedMap({key: _flowing(item) for key, item in value.items()})
    if isinstance(value, list) and not all(isinstance(item, dict) for item in value):
        numbers = CommentedSeq(value)
        numbers.fa.set_flow_style()
        return numbers
    if isinstance(value, list):
        rows = CommentedSeq()
        for item in value:
            row = CommentedMap(item)
            row.fa.set_flow_style()
            rows.append(row)
        return rows
    return value
