"""Controls of a feeder: regulators, capacitor banks, inverters and generators that hold its voltage.

`specs` says what they are and measure; `from_dss` (with `dss_*`) and `from_config` where they come from, `config`
what YAML may say of them; `settle` and `steady` what they do in a static solution; `kernel` what they do in time,
`arrays` what it sees, `desk` the host object that moves devices.
"""
