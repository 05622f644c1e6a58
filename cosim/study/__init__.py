"""Many runs: sweeps, Monte Carlo, siting, hosting capacity, sizing of storage, outages.

`schema` says what a study's YAML may hold and `loader` reads it; `expand` makes its tasks, `sampling` draws,
`identity` names runs by what they depend on; `execute` is one task on one worker, `engine` Dask around it, `study`
all of that in order; `bisection`, `steady` and `limits` are searches; `folder`, `table`, `results`, `page` and
`progress` are what is seen of it.
"""

from __future__ import annotations

from cosim.study.loader import load_study
from cosim.study.places import Place
from cosim.study.results import StudyResult, open_study
from cosim.study.study import Planned, run_one, run_study

__all__ = ["Place", "Planned", "StudyResult", "load_study", "open_study", "run_one", "run_study"]
