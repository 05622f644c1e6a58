"""OpenDSS master files read into `Network`, through one engine context each.

`engine` runs the master and solves; `nodes`, `elements`, `injections`, `devices` and `profiles` read
what then stands in the engine, each its own part; `read` puts them together and holds the network to
the engine's own currents.
"""

from cosim.feeder.dss.read import read_dss

__all__ = ["read_dss"]
