"""Step time, utilization and power of a model on accelerators that nobody has measured yet: a roofline.

`work` says what is asked, `memory` whether it fits, `times` how long a step takes and what bounds it, `powers` what
it draws; `constants` has every efficiency with its source, `document` writes the scenario, `show` the table.
"""

from __future__ import annotations

from cosim.estimate.estimating import Estimate, estimate
from cosim.estimate.work import Work, work_of

__all__ = ["Estimate", "Work", "estimate", "work_of"]
