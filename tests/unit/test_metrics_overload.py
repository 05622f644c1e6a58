"""Time above the rating, counted interval by interval whatever the blocks in which the rows come."""

from __future__ import annotations

from itertools import groupby

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cosim.metrics.overload import OverloadMeter


@given(
    st.lists(
        st.lists(st.sampled_from([40.0, 99.9, 100.0, 100.1, 180.0]), min_size=3, max_size=3), min_size=1, max_size=40
    ),
    st.lists(st.integers(1, 9), min_size=1, max_size=40),
)
def test_overload_is_that_of_counting_row_by_row(rows, cuts):
    loading = np.array(rows, np.float32)
    meter, start = OverloadMeter(3, 0.5), 0
    for n in [*cuts, len(loading)]:
        if start < len(loading):
            meter.update(np.zeros(0), loading[start : start + n])
            start += n
    found = meter.result()
    for i in range(3):
        above = [value > 100.0 for value in loading[1:, i].tolist()]  # the first row ends no interval
        runs = [sum(group) for is_above, group in groupby(above) if is_above]
        assert found.total_s[i] == 0.5 * sum(above)
        assert found.longest_s[i] == 0.5 * max(runs, default=0)
