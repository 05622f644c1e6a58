"""Electrical and thermal chain of a data center (Eq. 1-5)."""
