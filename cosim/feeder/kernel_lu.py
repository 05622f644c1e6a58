# mypy: ignore-errors
"""Sparse LU in real 2x2 blocks on a pattern fixed beforehand; numbers and arrays only.

The network's KCL is not analytic once constant-power loads are linearized, so each complex
admittance becomes the block [[g, -b], [b, g]] and each load adds a full 2x2 block on the diagonal.
Blocks stand as in `FeederArrays.block`: n of the diagonal, k below it, k above it.
"""

from __future__ import annotations

from cosim.jit import inner


@inner
def copy_to(a, b):
    """Copy vector b into a."""
    for i in range(a.size):
        a[i] = b[i]


@inner
def set_all(a, x):
    """Set every entry of vector a to x."""
    for i in range(a.size):
        a[i] = x


@inner
def fill_matrix(y, block):
    """Copy the admittance matrix into the factors' storage."""
    for i in range(y.shape[0]):
        g, b = y[i, 0], y[i, 1]
        block[i, 0], block[i, 1], block[i, 2], block[i, 3] = g, -b, b, g


@inner
def factorize(block, ptr, row, target):
    """Factorize in place; the diagonal holds inverses afterwards.

    Returns
    -------
    int
        Sign of the determinant, 0 where a pivot vanishes. A power flow Jacobian has a positive
        determinant from no load up to the nose and a negative one behind it.
    """
    n, k_low = ptr.size - 1, row.size
    sign, at = 1, 0
    for k in range(n):
        d0, d1, d2, d3 = block[k, 0], block[k, 1], block[k, 2], block[k, 3]
        det = d0 * d3 - d1 * d2
        if not (det != 0.0 and abs(det) < 1e300):
            return 0
        if det < 0.0:
            sign = -sign
        inv = 1.0 / det
        i0, i1, i2, i3 = d3 * inv, -d1 * inv, -d2 * inv, d0 * inv
        block[k, 0], block[k, 1], block[k, 2], block[k, 3] = i0, i1, i2, i3
        for p in range(ptr[k], ptr[k + 1]):
            low = n + p
            b0, b1, b2, b3 = block[low, 0], block[low, 1], block[low, 2], block[low, 3]
            a0, a1 = b0 * i0 + b1 * i2, b0 * i1 + b1 * i3
            a2, a3 = b2 * i0 + b3 * i2, b2 * i1 + b3 * i3
            block[low, 0], block[low, 1], block[low, 2], block[low, 3] = a0, a1, a2, a3
            for r in range(ptr[k], ptr[k + 1]):
                up, to = n + k_low + r, target[at]
                b0, b1, b2, b3 = block[up, 0], block[up, 1], block[up, 2], block[up, 3]
                block[to, 0] -= a0 * b0 + a1 * b2
                block[to, 1] -= a0 * b1 + a1 * b3
                block[to, 2] -= a2 * b0 + a3 * b2
                block[to, 3] -= a2 * b1 + a3 * b3
                at += 1
    return sign


@inner
def solve_factored(block, ptr, row, x):
    """Solve in place for the right-hand side in the first 2 n entries of x.

    One index runs through all columns: most have two or three entries, so that starting a loop for each would cost 7 %.
    """
    n, k_low = ptr.size - 1, row.size
    p = 0
    for k in range(n):
        x0, x1, end = x[2 * k], x[2 * k + 1], ptr[k + 1]
        while p < end:
            i, low = 2 * row[p], n + p
            x[i] -= block[low, 0] * x0 + block[low, 1] * x1
            x[i + 1] -= block[low, 2] * x0 + block[low, 3] * x1
            p += 1
    p = k_low - 1
    for k in range(n - 1, -1, -1):
        x0, x1, first = x[2 * k], x[2 * k + 1], ptr[k]
        while p >= first:
            i, up = 2 * row[p], n + k_low + p
            x0 -= block[up, 0] * x[i] + block[up, 1] * x[i + 1]
            x1 -= block[up, 2] * x[i] + block[up, 3] * x[i + 1]
            p -= 1
        x[2 * k] = block[k, 0] * x0 + block[k, 1] * x1
        x[2 * k + 1] = block[k, 2] * x0 + block[k, 3] * x1


@inner
def multiply(y, row_sum, ptr, row, x, out):
    """out = Y x over the free rows, Y a complex matrix in the pattern of the factors.

    In differences, sum_j y_ij (x_j - x_i) + (sum_j y_ij) x_i: what a short switch carries then leaves one row and
    enters the other to the last bit, where products with its huge admittance would round to a current from nowhere.
    """
    n, k_low = ptr.size - 1, row.size
    set_all(out, 0.0)
    for k in range(n):
        x0, x1 = x[2 * k], x[2 * k + 1]
        r0, r1 = row_sum[k, 0] * x0 - row_sum[k, 1] * x1, row_sum[k, 0] * x1 + row_sum[k, 1] * x0
        for p in range(ptr[k], ptr[k + 1]):
            i, low, up = 2 * row[p], n + p, n + k_low + p
            d0, d1 = x[i] - x0, x[i + 1] - x1
            out[i] -= y[low, 0] * d0 - y[low, 1] * d1
            out[i + 1] -= y[low, 0] * d1 + y[low, 1] * d0
            r0 += y[up, 0] * d0 - y[up, 1] * d1
            r1 += y[up, 0] * d1 + y[up, 1] * d0
        out[2 * k] += r0
        out[2 * k + 1] += r1


@inner
def settle_zones(zone_ptr, zone_row, sum_ptr, sum_row, sum_y, x, product):
    """Make the currents of each floating zone add up to what its capacitance and its transformers' give it.

    Nothing else holds its potential to ground, so what rounding leaves over there would move it. The last row of a
    zone takes the difference.
    """
    for z in range(zone_ptr.size - 1):
        t0, t1 = 0.0, 0.0
        for k in range(sum_ptr[z], sum_ptr[z + 1]):
            i = 2 * sum_row[k]
            t0 += sum_y[k, 0] * x[i] - sum_y[k, 1] * x[i + 1]
            t1 += sum_y[k, 0] * x[i + 1] + sum_y[k, 1] * x[i]
        last = zone_ptr[z + 1] - 1
        for k in range(zone_ptr[z], last):
            i = 2 * zone_row[k]
            t0 -= product[i]
            t1 -= product[i + 1]
        i = 2 * zone_row[last]
        product[i], product[i + 1] = t0, t1


@inner
def solve_dense(a, n, n_rhs):
    """Solve a[:, :n] x = a[:, n : n + n_rhs] by elimination with row exchanges, in place.

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
        if not (best > 0.0 and best < 1e300):
            return 0.0
        if row != k:
            sign = -sign
            for j in range(k, n + n_rhs):
                a[k, j], a[row, j] = a[row, j], a[k, j]
        if a[k, k] < 0.0:
            sign = -sign
        for i in range(k + 1, n):
            c = a[i, k] / a[k, k]
            if c != 0.0:
                for j in range(k + 1, n + n_rhs):
                    a[i, j] -= c * a[k, j]
    for r in range(n, n + n_rhs):
        for k in range(n - 1, -1, -1):
            x = a[k, r]
            for j in range(k + 1, n):
                x -= a[k, j] * a[j, r]
            a[k, r] = x / a[k, k]
    return sign
