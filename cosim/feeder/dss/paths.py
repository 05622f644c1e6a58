"""Where a file name in a script leads, and whether that is inside the folder a feeder may read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path


@dataclass(frozen=True)
class Found:
    """A file that a name leads to: as the engine spells it, and with its links resolved."""

    spelled: str
    real: Path


def candidates(text: str, folder: str) -> list[Found]:
    """Every existing file that the engine could take a name for, each once.

    Its calls differ in when they turn a backslash, fold `a/..` and drop blanks; so all readings are
    tried, and the caller holds each to the same rules.
    """
    name = _as_name(text)
    forms = dict.fromkeys((name, name.strip(), name.replace("\\", "/"), name.replace("\\", "/").strip()))
    found: dict[Path, Found] = {}
    for form in forms:
        if not form:
            continue
        joined = str(Path(folder, form))
        for spelled in (os.path.normpath(joined), joined):
            if Path(spelled).exists():
                real = Path(os.path.realpath(spelled))
                found.setdefault(real, Found(spelled, real))
    return list(found.values())


def is_there(text: str, folder: str) -> bool:
    """Whether a word could name something in a folder: quick, and never a wrong no."""
    if "/" in text or "\\" in text:
        return True
    return _as_name(text).strip() in _entries(folder)


def target(text: str, folder: str) -> Path:
    """Where a name leads whether or not anything is there."""
    return Path(os.path.realpath(Path(folder, _as_name(text).strip().replace("\\", "/"))))


def differs_in_case(text: str, folder: str) -> str:
    """The name of a file that differs in upper and lower case only; empty if there is none."""
    path = target(text, folder)
    try:
        near = [entry.name for entry in path.parent.iterdir() if entry.name.lower() == path.name.lower()]
    except OSError:
        return ""
    return near[0] if near and near[0] != path.name else ""


def _as_name(text: str) -> str:
    """A file name from script text, byte for byte."""
    return text if text.isascii() else os.fsdecode(text.encode("latin-1"))


@lru_cache(maxsize=64)
def _entries_at(folder: str, mtime_ns: int) -> frozenset[str]:
    names = [entry.name for entry in Path(folder).iterdir()]
    return frozenset(names) | frozenset(name.strip() for name in names)


def _entries(folder: str) -> frozenset[str]:
    return _entries_at(folder, Path(folder).stat().st_mtime_ns)
