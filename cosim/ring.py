"""How kernels note an event."""

from __future__ import annotations

from cosim.jit import njit


@njit
def emit(ring, n_ring, t_us, kind, element, value):
    """Note an event; the advance loop leaves before the ring is full."""
    n = n_ring[0]
    if n < ring.size:
        ring[n].t_us = t_us
        ring[n].kind = kind
        ring[n].element = element
        ring[n].value = value
        n_ring[0] = n + 1
