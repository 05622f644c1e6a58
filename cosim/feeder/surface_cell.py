"""Where the cells of response surfaces lie in the space of requests."""

from __future__ import annotations

import numpy as np

from cosim.feeder.network import Floats

MARGIN = 0.2
"""By so much of its width a cell reaches beyond the requests that asked for it. [1]"""


def cell_around(strays: Floats, box: Floats, slope: Floats) -> tuple[Floats, Floats]:
    """A cell around stray requests and all cells so far, with room to grow, along what reactive power does.

    Parameters
    ----------
    strays : array [n, 2 d]
        P and Q of each data center in turn. [MW, Mvar]
    box : array [C, 2 d, 2], slope : array [C, d]
        Of the cells so far, as in `SurfaceArrays`. [MW, Mvar], [1]

    Returns
    -------
    tuple of array
        Box [2 d, 2] and slope [d] of the new one.
    """
    corner_p, corner_q = _corners(box, slope)
    p, q = np.vstack([strays[:, 0::2], corner_p]), np.vstack([strays[:, 1::2], corner_q])
    own_slope = np.array([_least_slope(*column) for column in zip(p.T, q.T, strict=True)])
    rest = q - own_slope * p
    low, high = (np.column_stack([pick(p, axis=0), pick(rest, axis=0)]).ravel() for pick in (np.min, np.max))
    size = np.maximum(np.abs(low), np.abs(high)).max()
    room = np.maximum(MARGIN * (high - low), 1e-3 * max(size, 1e-3))
    return np.column_stack([low - room, high + room]), own_slope


def _corners(box: Floats, slope: Floats) -> tuple[Floats, Floats]:
    """P and Q [4 C, d] at the corners of cells, of each data center on its own. [MW, Mvar]"""
    p, rest = box[:, 0::2], box[:, 1::2]
    pairs = [(p[:, :, i], rest[:, :, j] + slope * p[:, :, i]) for i in (0, 1) for j in (0, 1)]
    return np.vstack([pair[0] for pair in pairs]), np.vstack([pair[1] for pair in pairs])


def _least_slope(p: Floats, q: Floats) -> float:
    """The slope for which Q - slope P is spread least: that of least squares, or none. [1]"""
    off = p - p.mean()
    square = float(off @ off)
    slope = float(off @ q) / square if square > 0 else 0.0
    return slope if np.ptp(q - slope * p) < np.ptp(q) else 0.0
