"""The feeders that ship with cosim: a folder each in `feeders/`, an OpenDSS master file in it."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

MASTER = "master.dss"
"""What the master file is called in every folder."""


def shipped_feeders() -> dict[str, Path]:
    """Master file of each feeder that ships, by name, sorted; none where the package lost them."""
    folder = _shipped_folder()
    return {} if folder is None else {path.parent.name: path for path in sorted(folder.glob(f"*/{MASTER}"))}


def shipped_feeder(name: str) -> Path | None:
    """Master file of a shipped feeder, None where no such one ships."""
    return shipped_feeders().get(name)


def shipped_title(master: Path) -> str:
    """What a shipped feeder is in one line: the first line of its master file."""
    with master.open(encoding="utf-8") as file:
        return file.readline().lstrip("! ").rstrip()


def _shipped_folder() -> Path | None:
    """Feeders in the installed package, else in the checkout around it."""
    package = Path(str(resources.files("cosim")))
    inside, beside = package / "_shipped" / "feeders", package.parent / "feeders"
    if inside.is_dir():
        return inside
    return beside if beside.is_dir() and (package.parent / "pyproject.toml").is_file() else None
