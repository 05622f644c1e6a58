"""Measured power trace -> scenario: a model of the machine that drew it, and how well it fits."""
