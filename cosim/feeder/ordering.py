"""Symbolic part of the sparse factorization: elimination order, pattern of the factors, targets."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Complexes = NDArray[np.complex128]


@dataclass(frozen=True)
class Pattern:
    """Compressed columns of the lower factor in the order of elimination; the upper factor mirrors them.

    Entries of a matrix, and blocks of its factors, stand as n of the diagonal, k below it column by
    column, and k above it.
    """

    position: Ints
    """[n] new number of each node."""
    ptr: Ints
    row: Ints
    """Rows of column k are `row[ptr[k]:ptr[k + 1]]`, ascending."""
    target: Ints
    """For each pair of entries of each column, in order, the block that their product is subtracted from."""

    @cached_property
    def _keys(self) -> tuple[Ints, int]:
        """Sorted key of every entry below the diagonal: column * n + row."""
        n = self.ptr.size - 1
        return np.repeat(np.arange(n), np.diff(self.ptr)) * n + self.row, n

    def entry(self, i: Ints, j: Ints) -> Ints:
        """Place of the entries (i, j), which must be in the pattern."""
        keys, n = self._keys
        low = np.searchsorted(keys, np.minimum(i, j) * n + np.maximum(i, j))
        place: Ints = np.where(i == j, i, n + low + np.where(i < j, self.row.size, 0))
        return place

    def holds(self, i: Ints, j: Ints) -> bool:
        """Whether all the entries (i, j) are in the pattern."""
        keys, n = self._keys
        sought = (np.minimum(i, j) * n + np.maximum(i, j))[i != j]
        return bool(np.isin(sought, keys).all())

    def assemble(
        self, i: Ints, j: Ints, y: Complexes, diagonal: Complexes, n_fixed: int
    ) -> tuple[Complexes, Complexes]:
        """Sum entries (i, j, y) into the pattern; columns from n up go to a dense array of their own.

        Rows from n up and negative indices are left out.
        """
        n = self.ptr.size - 1
        matrix = np.concatenate([diagonal, np.zeros(2 * self.row.size)]).astype(np.complex128)
        ties = np.zeros((n, n_fixed), np.complex128)
        inside = (i >= 0) & (i < n) & (j >= 0) & (y != 0)
        free = inside & (j < n)
        np.add.at(matrix, self.entry(i[free], j[free]), y[free])
        tied = inside & (j >= n)
        np.add.at(ties, (i[tied], j[tied] - n), y[tied])
        return matrix, ties


def components(a: Ints, b: Ints, n: int) -> Ints:
    """Least member of the connected component of each of n nodes, by the edges between a and b.

    scipy has this, but importing scipy.sparse would take a third of a warm start.
    """
    root = np.arange(n)
    while True:
        one, other = root[a], root[b]
        apart = one != other
        if not apart.any():
            return root
        np.minimum.at(root, np.maximum(one, other)[apart], np.minimum(one, other)[apart])
        while not np.array_equal(above := root[root], root):
            root = above


def make_pattern(couples: Ints, n: int) -> Pattern:
    """Pattern of the factors of a symmetric matrix.

    Parameters
    ----------
    couples : array [m, 2]
        Off-diagonal entries, in any order, repeated or on the diagonal as may be.
    n : int
        Size.
    """
    near: list[set[int]] = [set() for _ in range(n)]
    low = np.unique(couples.min(axis=1) * max(n, 1) + couples.max(axis=1)) if couples.size else np.zeros(0, np.int64)
    for a, b in zip((low // max(n, 1)).tolist(), (low % max(n, 1)).tolist(), strict=True):
        if a != b:
            near[a].add(b)
            near[b].add(a)
    return factor_pattern(*minimum_degree(near))


def minimum_degree(neighbours: list[set[int]]) -> tuple[list[int], list[list[int]]]:
    """Elimination order by minimum degree (no fill on a tree), and what each node is tied to then.

    Of equal degrees the one goes that has had it longest: all ends of branches, then what has become an end. So what
    stands side by side in the order does not wait for one another when the factors are applied.

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
    heap = [(len(near), k, k) for k, near in enumerate(neighbours)]
    heapq.heapify(heap)
    stamp = len(heap)
    gone = [False] * len(neighbours)
    order: list[int] = []
    tied: list[list[int]] = []
    while heap:
        degree, _, k = heapq.heappop(heap)
        if gone[k] or degree != len(neighbours[k]):
            continue
        gone[k] = True
        near = sorted(neighbours[k])
        order.append(k)
        tied.append(near)
        for i in near:
            neighbours[i].discard(k)
            neighbours[i].update(j for j in near if j != i)
            heapq.heappush(heap, (len(neighbours[i]), stamp, i))
            stamp += 1
    return order, tied


def factor_pattern(order: list[int], tied: list[list[int]]) -> Pattern:
    """Pattern in the new numbering, and where each product of the elimination goes."""
    n = len(order)
    position = np.empty(n, np.int64)
    position[order] = np.arange(n)
    columns = [np.sort(position[near]) for near in tied]
    ptr = np.zeros(n + 1, np.int64)
    ptr[1:] = np.cumsum([c.size for c in columns], dtype=np.int64)
    row = np.concatenate([*columns, np.zeros(0, np.int64)]).astype(np.int64)
    pattern = Pattern(position, ptr, row, np.zeros(0, np.int64))
    pairs = [(np.repeat(c, c.size), np.tile(c, c.size)) for c in columns if c.size]
    i = np.concatenate([a for a, _ in pairs]) if pairs else np.zeros(0, np.int64)
    j = np.concatenate([b for _, b in pairs]) if pairs else np.zeros(0, np.int64)
    return Pattern(position, ptr, row, pattern.entry(i, j))
