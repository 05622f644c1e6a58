"""A circuit with one element of each kind that scripts refer to."""

from __future__ import annotations

CIRCUIT = """\
clear
new circuit.c basekv=12.47
new line.l1 bus1=sourcebus bus2=b length=1
new line.l2 bus1=b bus2=d length=1
new load.d1 bus1=b kv=12.47 kw=100
new generator.g1 bus1=d kv=12.47 kw=10
new storage.s1 bus1=d kv=12.47
new energymeter.m1 element=line.l1
new transformer.t buses=(d e) kvs=(12.47 4.16)
new regcontrol.r transformer=t winding=2 vreg=120
new loadshape.ls npts=3 interval=1 mult=(1 2 3)
set voltagebases=[12.47 4.16]
calcvoltagebases
solve
"""
LAST = CIRCUIT.count("\n") + 1
"""Line behind it."""
