"""Symbolic part of the sparse factorization: elimination order, pattern of the factors, targets."""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def minimum_degree(neighbours: list[set[int]]) -> tuple[list[int], list[list[int]]]:
    """Elimination order by minimum degree (no fill on a tree), and what each node is tied to then.

    Parameters
    ----------
    neighbours : list of set of int
        Symmetric adjacency without self-loops; used up.

    Returns
    -------
    order : list of int
        Nodes in the order of elimination.
    tied : list of list of int
        For each node of `order`, the neighbours left when it goes.
    """
    heap = [(len(near), k) for k, near in enumerate(neighbours)]
    heapq.heapify(heap)
    gone = [False] * len(neighbours)
    order: list[int] = []
    tied: list[list[int]] = []
    while heap:
        degree, k = heapq.heappop(heap)
        if gone[k] or degree != len(neighbours[k]):
            continue
        gone[k] = True
        near = sorted(neighbours[k])
        order.append(k)
        tied.append(near)
        for i in near:
            neighbours[i].discard(k)
            neighbours[i].update(j for j in near if j != i)
            heapq.heappush(heap, (len(neighbours[i]), i))
    return order, tied


def factor_pattern(order: list[int], tied: list[list[int]]) -> tuple[Ints, Ints, Ints, Ints]:
    """Compressed columns of the lower factor in the new numbering, and where each product goes.

    Returns
    -------
    position : array [n]
        New number of each node.
    ptr, row : array
        Rows of column k are `row[ptr[k]:ptr[k + 1]]`, ascending; the upper factor mirrors them.
    target : array
        For each pair of entries of each column, in order, the block that their product is
        subtracted from: n on the diagonal, then those below it, then those above it.
    """
    position = np.empty(len(order), np.int64)
    position[order] = np.arange(len(order))
    columns = [sorted(int(position[i]) for i in near) for near in tied]
    ptr = np.zeros(len(order) + 1, np.int64)
    ptr[1:] = np.cumsum([len(c) for c in columns], dtype=np.int64)
    row = np.array([i for c in columns for i in c], np.int64)
    at = {(k, i): int(ptr[k]) + p for k, c in enumerate(columns) for p, i in enumerate(c)}
    n, k_low = len(order), row.size

    def block(i: int, j: int) -> int:
        if i == j:
            return i
        return n + at[j, i] if i > j else n + k_low + at[i, j]

    target = [block(i, j) for c in columns for i in c for j in c]
    return position, ptr, row, np.array(target, np.int64)
