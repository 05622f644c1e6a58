"""Bi-way UPS."""
