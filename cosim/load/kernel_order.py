"""Where a queue looks first: trees of the next event and the least load of its replicas, heaps of residents."""

from __future__ import annotations

from cosim.jit import inner


@inner
def set_leaf(load, q, first, i, key):
    """A leaf of a tree of minima, and what follows from it above."""
    i += q.n_leaf
    load.trees[first + i] = key
    while i > 1:
        key = min(load.trees[first + i], load.trees[first + (i ^ 1)])
        i >>= 1
        if load.trees[first + i] == key:
            break
        load.trees[first + i] = key


@inner
def least(load, q, first):
    """Leaf with the smallest key, the first of equals."""
    i = 1
    while i < q.n_leaf:
        i = 2 * i if load.trees[first + 2 * i] == load.trees[first + i] else 2 * i + 1
    return i - q.n_leaf


@inner
def push(load, first, n, v_end, t_us, first_us, tokens_in, tokens_out):
    """Into the heap of n residents."""
    i = n
    while i > 0:
        above = load.residents[first + (i - 1) // 2]
        if above.v_end <= v_end:
            break
        here = load.residents[first + i]
        here.v_end, here.t_us, here.first_us = above.v_end, above.t_us, above.first_us
        here.tokens_in, here.tokens_out = above.tokens_in, above.tokens_out
        i = (i - 1) // 2
    here = load.residents[first + i]
    here.v_end, here.t_us, here.first_us, here.tokens_in, here.tokens_out = v_end, t_us, first_us, tokens_in, tokens_out


@inner
def pop(load, first, n):
    """Take the first of the heap of n residents out."""
    last = load.residents[first + n - 1]
    i = 0
    while 2 * i + 1 < n - 1:
        k = 2 * i + 1
        if k + 1 < n - 1 and load.residents[first + k + 1].v_end < load.residents[first + k].v_end:
            k += 1
        below = load.residents[first + k]
        if below.v_end >= last.v_end:
            break
        here = load.residents[first + i]
        here.v_end, here.t_us, here.first_us = below.v_end, below.t_us, below.first_us
        here.tokens_in, here.tokens_out = below.tokens_in, below.tokens_out
        i = k
    here = load.residents[first + i]
    here.v_end, here.t_us, here.first_us = last.v_end, last.t_us, last.first_us
    here.tokens_in, here.tokens_out = last.tokens_in, last.tokens_out
