"""From serving jobs to the arrays of queues and replicas."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosim.load import state as k
from cosim.load.arrivals import requests_of
from cosim.load.config import ServingConfig
from cosim.load.feed import Feed
from cosim.load.kernel_queue import N_BIN, N_KIND, PPM
from cosim.units import US_PER_S, to_us

FEED_REQUESTS = 32_768
"""Arrivals that the kernel sees ahead."""


class QueueBuilder:
    """Collects serving jobs, then makes their arrays."""

    def __init__(self, step_us: int, seed: int, folder: Path) -> None:
        self.step_us, self.seed, self.folder = step_us, seed, folder
        self.queues: list[tuple[int, NDArray[Any], ServingConfig, str, str]] = []
        self.tables: list[NDArray[np.int64]] = []
        self.n_replica = self.n_place = self.n_wait = self.n_tree = self.n_table = 0

    def add(self, i: int, job: Any, config: ServingConfig, n_replica: int, names: tuple[str, str]) -> None:
        """Serving job number i of the load; `names` are its stream's and its path."""
        job["kind"], job["queue"] = k.SERVING, len(self.queues)
        job["query_step_us"] = max(1, to_us(config.step_s))
        replica = config.replica
        q = np.zeros(1, k.QUEUE)
        n_leaf = 1 << (n_replica - 1).bit_length()
        q["replica_first"], q["n_replica"], q["place_first"] = self.n_replica, n_replica, self.n_place
        q["max_batch"], q["kv_max"] = replica.max_batch, replica.kv_tokens
        q["wait_first"], q["wait_max"] = self.n_wait, config.queue_limit
        q["timeout_us"] = to_us(config.timeout_s) if config.timeout_s is not None else k.NEVER
        q["feed_first"], q["feed_max"] = len(self.queues) * FEED_REQUESTS, FEED_REQUESTS
        q["tree_first"], q["n_leaf"], q["table_first"] = self.n_tree, n_leaf, self.n_table
        q["bin_first"] = len(self.queues) * N_KIND
        q["u_prefill_ppm"] = round(replica.prefill_utilization * PPM)
        q["mixed"] = int(replica.prefill == "mixed")
        q["prefill_us"] = US_PER_S / replica.prefill_tokens_per_s
        q["step_us"] = replica.step_s * US_PER_S
        q["request_us"] = replica.step_per_request_s * US_PER_S
        q["token_us"] = replica.step_per_token_s * US_PER_S
        q["prefill_exponent"], q["decode_exponent"] = replica.prefill_exponent, replica.decode_exponent
        q["allowed"] = q["s_prefill"] = q["s_decode"] = 1.0
        points = replica.decode_utilization
        u = np.interp(np.arange(replica.max_batch + 1), [p.batch for p in points], [p.utilization for p in points])
        self.tables.append(np.rint(u * PPM).astype(np.int64))
        self.queues.append((i, q, config, *names))
        self.n_replica += n_replica
        self.n_place += n_replica * replica.max_batch
        self.n_wait += config.queue_limit
        self.n_tree += 4 * n_leaf
        self.n_table += replica.max_batch + 1

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Fields of `LoadArrays`, with idle replicas and empty queues."""
        queues = [q for _, q, *_ in self.queues]
        trees = np.full(self.n_tree, k.NEVER, np.int64)
        for q in queues:
            first, n_leaf, n = int(q["tree_first"][0]) + 2 * int(q["n_leaf"][0]), int(q["n_leaf"][0]), q["n_replica"][0]
            trees[first + n_leaf : first + n_leaf + n] = 0
            for i in range(n_leaf - 1, 0, -1):
                trees[first + i] = min(trees[first + 2 * i], trees[first + 2 * i + 1])
        replicas = np.zeros(self.n_replica, k.REPLICA)
        replicas["next_us"] = k.NEVER
        return {
            "queues": np.concatenate(queues) if queues else np.zeros(0, k.QUEUE),
            "replicas": replicas,
            "residents": np.zeros(self.n_place, k.RESIDENT),
            "prompts": np.zeros(self.n_place, k.REQUEST),
            "waiting": np.zeros(self.n_wait, k.REQUEST),
            "feed": np.zeros(len(queues) * FEED_REQUESTS, k.REQUEST),
            "trees": trees,
            "tables": np.concatenate(self.tables) if self.tables else np.zeros(0, np.int64),
            "bins": np.zeros((len(queues) * N_KIND, N_BIN), np.int64),
        }

    def feeds(self, jobs: NDArray[Any]) -> list[Feed]:
        """Where the requests of each queue come from."""
        found = []
        for i, _, config, name, where in self.queues:
            tokens = (config.tokens_in, config.tokens_out)
            source = requests_of(
                config.arrivals,
                None if tokens[0] is None or tokens[1] is None else (tokens[0], tokens[1]),
                config.tokens_correlation,
                seed=self.seed,
                name=f"{name}/requests",
                folder=self.folder,
            )
            found.append(Feed(source, jobs[i], step_us=self.step_us, where=where))
        return found
