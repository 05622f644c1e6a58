"""What a study makes of a pack whose worker died just behind its result, on a scheduler of Dask's own."""

from __future__ import annotations

import pytest
from distributed import Client, LocalCluster, as_completed

from cosim.errors import EnvironmentFailure
from cosim.study.engine import _outcome

ROWS = [{"run": "a", "error": ""}]


def done(_pack):
    return ROWS, 0.5


def test_a_result_counts_though_its_worker_is_gone():
    with LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster, Client(cluster) as client:
        pool = as_completed(with_results=True, raise_errors=False)
        pool.add(client.submit(done, ("order",), pure=False))
        future, result = next(iter(pool))
        cluster.scale(0)  # the result goes with its only holder
        client.futures[future.key].lose()  # as the scheduler tells
        assert future.status == "lost"
        assert _outcome(("order",), result) == (ROWS, "", 0.5)
        pool.add(cancelled := client.submit(done, ("order",), pure=False))
        client.cancel(cancelled)
        _, result = next(iter(pool))
        with pytest.raises(EnvironmentFailure, match="scheduler was lost"):
            _outcome(("order",), result)
