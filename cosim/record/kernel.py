"""Shuffled bytes put together again: the one loop of reading that numpy needs ten walks through memory for."""

from __future__ import annotations

import numpy as np

from cosim.jit import njit


@njit
def unshuffle(planes, words):
    """Put 4-byte words together from their bytes.

    Parameters
    ----------
    planes : ndarray of uint8, shape (4, n)
        All lowest bytes, then all second bytes, ...
    words : ndarray of uint32, shape (n,)
        Result.
    """
    for i in range(words.size):
        low = np.uint32(planes[0, i]) | (np.uint32(planes[1, i]) << np.uint32(8))
        high = np.uint32(planes[2, i]) | (np.uint32(planes[3, i]) << np.uint32(8))
        words[i] = low | (high << np.uint32(16))
