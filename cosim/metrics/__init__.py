"""Arrays to numbers: power and its ramps, voltage sags, swings of flow, state of storage.

`summarize(result)` gives every metric of a run as a nested dict of plain numbers;
`analyse(result)` gives the objects behind it, with the distributions that figures draw.
"""

from cosim.metrics.analysis import Analysis, DataCenter, analyse
from cosim.metrics.summary import summarize

__all__ = ["Analysis", "DataCenter", "analyse", "summarize"]
