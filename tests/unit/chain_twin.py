"""A conversion stage in plain Python, for the twins of what stands behind it."""

from __future__ import annotations

from cosim.converter.curve import loss_coefficients


class Converter:
    """Loss a0 + a1 x + a2 x2 of the rating, and its inverse by bisection."""

    def __init__(self, config):
        self.rating = config.max_p_mw
        self.a = loss_coefficients(config.efficiency)
        self.cos_phi = config.displacement_factor[0].cos_phi

    def taken(self, given):
        x = given / self.rating
        return given + self.rating * (self.a[0] + self.a[1] * x + self.a[2] * x * x)

    def given(self, taken):
        low, high = 0.0, 2 * self.rating
        if taken <= self.taken(0.0):
            return 0.0
        for _ in range(200):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if self.taken(middle) < taken else (low, middle)
        return 0.5 * (low + high)
