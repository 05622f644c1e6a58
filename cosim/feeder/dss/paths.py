"""Where a file name in a script leads, and whether that is inside the folder a feeder may read."""

from __future__ import annotations

import os
from dataclasses import dataclass
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
            if _exists(spelled):
                real = Path(os.path.realpath(spelled))
                found.setdefault(real, Found(spelled, real))
    return list(found.values())


def is_there(text: str, entries: frozenset[str] | None) -> bool:
    """Whether a word could name something in a folder that holds these: quick, and never a wrong no."""
    return entries is None or "/" in text or "\\" in text or _as_name(text).strip() in entries


def entries(folder: str) -> frozenset[str] | None:
    """Names in a folder, blanks around them dropped; None where it does not let itself be listed."""
    try:
        return frozenset(entry.name.strip() for entry in Path(folder).iterdir())
    except OSError:
        return None


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


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _as_name(text: str) -> str:
    """A file name from script text, byte for byte."""
    return text if text.isascii() else os.fsdecode(text.encode("latin-1"))
