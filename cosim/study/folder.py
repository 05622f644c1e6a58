"""The folder of a study: which study it holds, its runs, its summary; every file appears whole."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import cosim
from cosim.errors import EnvironmentFailure, InputError
from cosim.study.loader import LoadedStudy

FACTS = "study.json"
STALE_S = 86_400.0
"""Age at which what a killed worker left half copied is swept up. [s]"""


def open_folder(folder: Path, study: LoadedStudy) -> Path:
    """Make a study's folder or go on in it; returns the folder of its runs.

    Raises
    ------
    InputError
        It holds another study, or one of another version, or something else.
    EnvironmentFailure
        It cannot be written.
    """
    facts = {"schema": 1, "name": study.config.name, "cosim_version": cosim.__version__}
    held = read_facts(folder)
    if held is None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: holds something that is no study; choose another folder with -o")
    if held is not None:
        _refuse_other(folder, held, facts)
    runs = folder / "runs"
    try:
        runs.mkdir(parents=True, exist_ok=True)
        write_whole(folder / FACTS, json.dumps(facts, indent=1) + "\n")
        _sweep(runs)
    except OSError as error:
        raise EnvironmentFailure(f"{folder}: cannot be written ({error.strerror or error})") from error
    return runs


def read_facts(folder: Path) -> dict[str, Any] | None:
    """What a folder says of the study it holds; None where it says nothing."""
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return facts if isinstance(facts, dict) else None


def _refuse_other(folder: Path, held: dict[str, Any], facts: dict[str, Any]) -> None:
    if held.get("name") != facts["name"]:
        raise InputError(f"{folder}: holds the study {held.get('name')!r}; choose another folder with -o")
    for key, what in (("schema", "format"), ("cosim_version", "cosim")):
        if held.get(key) != facts[key]:
            raise InputError(
                f"{folder}: was made by {what} {held.get(key)}, this is {facts[key]}: their runs may differ; "
                "choose another folder with -o"
            )


def _sweep(runs: Path) -> None:
    for part in runs.glob(".*.part"):
        if time.time() - part.stat().st_mtime > STALE_S:
            shutil.rmtree(part, ignore_errors=True)


def write_whole(path: Path, data: str | bytes) -> None:
    """Write a file so that readers see the old one or the new one."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
