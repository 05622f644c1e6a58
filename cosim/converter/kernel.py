"""Loss of a converter over its load, and the inverse, exact."""

from __future__ import annotations

import math

from cosim.jit import inner, njit


@inner
def loss(p_mw, a0, a1, a2):
    """Loss of a converter at output p_mw. [MW]"""
    return a0 + p_mw * (a1 + a2 * p_mw)


@njit
def converter_input(p_mw, a0, a1, a2):
    """Input of a converter at output p_mw. [MW]"""
    return p_mw + loss(p_mw, a0, a1, a2)


@njit
def converter_output(p_in_mw, a0, a1, a2):
    """Output of a converter at input p_in_mw, the inverse of `converter_input`; 0 below its no-load loss. [MW]"""
    rest = p_in_mw - a0
    if rest <= 0.0:
        return 0.0
    if a1 == 0.0 and a2 == 0.0:  # to the same bit, without the root
        return rest
    b = 1.0 + a1
    return 2.0 * rest / (b + math.sqrt(b * b + 4.0 * a2 * rest))
