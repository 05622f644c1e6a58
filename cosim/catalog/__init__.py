"""Catalog: accelerators, language models and servers as facts, each with its source.

The facts stand in `accelerators.yaml`, `models.yaml` and `servers.yaml`; `entries` says what they may hold,
`loader` reads them and finds one by name, `show` prints them.
"""

from __future__ import annotations

from cosim.catalog.entries import Accelerator, Component, Model, Server
from cosim.catalog.loader import (
    find_accelerator,
    find_component,
    find_model,
    find_server,
    list_accelerators,
    list_components,
    list_models,
    list_servers,
    p_rest_w,
)

__all__ = [
    "Accelerator",
    "Component",
    "Model",
    "Server",
    "find_accelerator",
    "find_component",
    "find_model",
    "find_server",
    "list_accelerators",
    "list_components",
    "list_models",
    "list_servers",
    "p_rest_w",
]
