"""Controls of a feeder: regulators, capacitor banks, inverters and generators that hold its voltage.

`specs` says what they are, `from_dss` and `from_config` where they come from, `settle` what they do in a static
solution, `kernel` and `desk` what they do in time.
"""
