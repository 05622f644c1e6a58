"""Overcurrent protection of a feeder: relays with their breakers, reclosers and fuses.

`config` is what YAML may say, `curves` the times over current, `devices` the state machines, `placing` finds them in
the network, and `desk` holds those of one run.
"""
