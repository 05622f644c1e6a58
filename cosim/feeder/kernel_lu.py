# mypy: ignore-errors
"""Sparse LU in real 2x2 blocks on a pattern fixed beforehand; numbers and arrays only.

The network's KCL is not analytic once constant-power loads are linearized, so each complex
admittance becomes the block [[g, -b], [b, g]] and each load adds a full 2x2 block on the diagonal.
"""

from __future__ import annotations

from cosim.feeder.arrays import N_FREE
from cosim.jit import njit


@njit
def fill_matrix(f):
    """Copy the admittance matrix into the factors' storage."""
    for i in range(f.sizes[N_FREE]):
        g, b = f.y_diag[i, 0], f.y_diag[i, 1]
        f.lu_diag[i, 0], f.lu_diag[i, 1], f.lu_diag[i, 2], f.lu_diag[i, 3] = g, -b, b, g
    for p in range(f.lu_row.size):
        g, b = f.y_low[p, 0], f.y_low[p, 1]
        f.lu_low[p, 0], f.lu_low[p, 1], f.lu_low[p, 2], f.lu_low[p, 3] = g, -b, b, g
        g, b = f.y_up[p, 0], f.y_up[p, 1]
        f.lu_up[p, 0], f.lu_up[p, 1], f.lu_up[p, 2], f.lu_up[p, 3] = g, -b, b, g


@njit
def subtract_product(to, k, a, i, b, j):
    """Subtract block product a[i] b[j] from to[k]."""
    a0, a1, a2, a3 = a[i, 0], a[i, 1], a[i, 2], a[i, 3]
    b0, b1, b2, b3 = b[j, 0], b[j, 1], b[j, 2], b[j, 3]
    to[k, 0] -= a0 * b0 + a1 * b2
    to[k, 1] -= a0 * b1 + a1 * b3
    to[k, 2] -= a2 * b0 + a3 * b2
    to[k, 3] -= a2 * b1 + a3 * b3


@njit
def factorize(f):
    """Factorize in place; the diagonal holds inverses afterwards.

    Returns
    -------
    int
        Sign of the determinant, 0 where a pivot vanishes. A power flow Jacobian has a positive
        determinant from no load up to the nose and a negative one behind it.
    """
    sign, at = 1, 0
    for k in range(f.sizes[N_FREE]):
        d0, d1, d2, d3 = f.lu_diag[k, 0], f.lu_diag[k, 1], f.lu_diag[k, 2], f.lu_diag[k, 3]
        det = d0 * d3 - d1 * d2
        if det == 0.0 or det != det:
            return 0
        if det < 0.0:
            sign = -sign
        inv = 1.0 / det
        i0, i1, i2, i3 = d3 * inv, -d1 * inv, -d2 * inv, d0 * inv
        f.lu_diag[k, 0], f.lu_diag[k, 1], f.lu_diag[k, 2], f.lu_diag[k, 3] = i0, i1, i2, i3
        for p in range(f.lu_ptr[k], f.lu_ptr[k + 1]):
            a0, a1, a2, a3 = f.lu_low[p, 0], f.lu_low[p, 1], f.lu_low[p, 2], f.lu_low[p, 3]
            f.lu_low[p, 0], f.lu_low[p, 1] = a0 * i0 + a1 * i2, a0 * i1 + a1 * i3
            f.lu_low[p, 2], f.lu_low[p, 3] = a2 * i0 + a3 * i2, a2 * i1 + a3 * i3
            i = f.lu_row[p]
            for r in range(f.lu_ptr[k], f.lu_ptr[k + 1]):
                j = f.lu_row[r]
                if i == j:
                    subtract_product(f.lu_diag, i, f.lu_low, p, f.lu_up, r)
                elif i > j:
                    subtract_product(f.lu_low, f.lu_target[at], f.lu_low, p, f.lu_up, r)
                else:
                    subtract_product(f.lu_up, f.lu_target[at], f.lu_low, p, f.lu_up, r)
                at += 1
    return sign


@njit
def solve_factored(f, x):
    """Solve in place for the right-hand side x [2 n]."""
    n = f.sizes[N_FREE]
    for k in range(n):
        x0, x1 = x[2 * k], x[2 * k + 1]
        for p in range(f.lu_ptr[k], f.lu_ptr[k + 1]):
            i = 2 * f.lu_row[p]
            x[i] -= f.lu_low[p, 0] * x0 + f.lu_low[p, 1] * x1
            x[i + 1] -= f.lu_low[p, 2] * x0 + f.lu_low[p, 3] * x1
    for k in range(n - 1, -1, -1):
        x0, x1 = x[2 * k], x[2 * k + 1]
        for p in range(f.lu_ptr[k], f.lu_ptr[k + 1]):
            i = 2 * f.lu_row[p]
            x0 -= f.lu_up[p, 0] * x[i] + f.lu_up[p, 1] * x[i + 1]
            x1 -= f.lu_up[p, 2] * x[i] + f.lu_up[p, 3] * x[i + 1]
        x[2 * k] = f.lu_diag[k, 0] * x0 + f.lu_diag[k, 1] * x1
        x[2 * k + 1] = f.lu_diag[k, 2] * x0 + f.lu_diag[k, 3] * x1


@njit
def solve_dense(a, n):
    """Solve a[:n, :n] x = a[:n, n] by elimination with row exchanges; x ends up in a[:n, n].

    Returns
    -------
    float
        Sign of the determinant, 0 where the matrix is singular.
    """
    sign = 1.0
    for k in range(n):
        best, row = abs(a[k, k]), k
        for i in range(k + 1, n):
            if abs(a[i, k]) > best:
                best, row = abs(a[i, k]), i
        if best == 0.0 or best != best:
            return 0.0
        if row != k:
            sign = -sign
            for j in range(k, n + 1):
                a[k, j], a[row, j] = a[row, j], a[k, j]
        if a[k, k] < 0.0:
            sign = -sign
        for i in range(k + 1, n):
            c = a[i, k] / a[k, k]
            if c != 0.0:
                for j in range(k + 1, n + 1):
                    a[i, j] -= c * a[k, j]
    for k in range(n - 1, -1, -1):
        x = a[k, n]
        for j in range(k + 1, n):
            x -= a[k, j] * a[j, n]
        a[k, n] = x / a[k, k]
    return sign
