"""What `benchmarks/power_flow.py` runs: the works, one module a tool, and the process each tool lives in."""
