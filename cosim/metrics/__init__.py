"""Arrays to numbers: power and its ramps, voltage sags, swings of flow, state of storage.

`summarize(result)` gives every metric of a run as a nested dict of plain numbers;
`analyse(result)` gives the objects behind it, with the distributions that figures draw.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cosim.metrics.analysis import Analysis, DataCenter, analyse
    from cosim.metrics.summary import summarize

__all__ = ["Analysis", "DataCenter", "analyse", "summarize"]


def __getattr__(name: str) -> Any:
    """Names on demand: a run needs none of them, and scipy takes longer to import than it to start."""
    if name == "summarize":
        from cosim.metrics.summary import summarize

        return summarize
    if name in __all__:
        from cosim.metrics import analysis

        return getattr(analysis, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
