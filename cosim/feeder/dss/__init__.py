"""OpenDSS master files read into `Network`, through one engine context each.

A master is a program: `scan` finds out what it does before it runs, with `script` for the engine's way
of reading a line, `rules` for what a feeder may use and `paths` for its file names.

`engine` runs the master and solves; `nodes`, `elements`, `injections`, `devices` and `profiles` read
what then stands in the engine, each its own part; `read` puts them together and holds the network to
the engine's own currents.
"""

from cosim.feeder.dss.read import read_dss

__all__ = ["read_dss"]
