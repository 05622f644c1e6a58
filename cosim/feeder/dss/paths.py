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


def default_root(master: Path) -> Path:
    """The folder a master may read in where none was named."""
    folder = master.resolve().parent
    above = folder.parent
    try:
        holds_home = Path.home().resolve().is_relative_to(above)
    except RuntimeError:  # nobody's process
        holds_home = False
    return folder if above == above.parent or holds_home else above


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


def in_other_case(text: str, folder: str) -> tuple[list[Found], dict[str, str]]:
    """Files that a name leads to where upper and lower case count for nothing, as where most feeders come from.

    Returns
    -------
    found : list of Found
        More than one where names in a folder differ in nothing else.
    links : dict
        What the first of them asks for: by path as the script spells it, the name that is really there.
    """
    parts = Path(os.path.normpath(Path(folder, _as_name(text).strip().replace("\\", "/")))).parts
    at: list[Path] = [Path(parts[0])]
    links: list[dict[str, str]] = [{}]
    for part in parts[1:]:
        near = [(place / name, links[k], part) for k, place in enumerate(at) for name in _alike(place, part)]
        at = [place for place, _, _ in near]
        links = [
            known if place.name == part else {**known, str(place.with_name(part)): place.name}
            for place, known, part in near
        ]
    return [Found(str(place), Path(os.path.realpath(place))) for place in at], links[0] if links else {}


def _alike(folder: Path, name: str) -> list[str]:
    """Names in a folder that differ from this one in case only; itself alone where it is there."""
    if _exists(str(folder / name)):
        return [name]
    try:
        return sorted(entry.name for entry in folder.iterdir() if entry.name.lower() == name.lower())
    except OSError:
        return []


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _as_name(text: str) -> str:
    """A file name from script text, byte for byte."""
    return text if text.isascii() else os.fsdecode(text.encode("latin-1"))
