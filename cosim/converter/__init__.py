"""Conversion stages: efficiency over load, as every room with a converter uses it."""
