"""The queue before replicas with continuous batching, written as one would say it: lists, sorted afresh each time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

NEVER = 2**62


@dataclass(eq=False)
class Request:
    t_us: int
    tokens_in: int
    tokens_out: int
    first_us: int = -1
    v_end: float = 0.0
    done_us: int = -1
    fate: str = "waits"

    @property
    def tokens(self):
        return self.tokens_in + self.tokens_out


@dataclass
class Replica:
    prompts: list = field(default_factory=list)
    residents: list = field(default_factory=list)
    batch: list = field(default_factory=list)
    v: float = 0.0
    v_stop: float = 0.0
    rem_us: float = 0.0
    t_us: int = 0
    next_us: int = NEVER
    beside_ppm: int = 0
    prefill_ppm: int = 0
    decode_ppm: int = 0

    @property
    def all(self):
        return self.prompts + self.residents  # prompts of the batch are still among them


class Twin:
    """Same parameters as `ReplicaConfig`; times in us."""

    def __init__(self, replica, n, queue_limit, timeout_us):
        self.c, self.queue_limit, self.timeout_us = replica, queue_limit, timeout_us
        self.mixed = replica["prefill"] == "mixed"
        self.replicas = [Replica() for _ in range(n)]
        self.waiting, self.done, self.gone = [], [], []
        self.s_prefill = self.s_decode = 1.0
        self.prefill_ppm_us = self.decode_ppm_us = self.u_us = 0

    def token_us(self, rep):
        work = sum(2 * r.tokens_in + r.tokens_out for r in rep.residents)
        c = self.c
        return c["step_s"] * 1e6 + c["step_per_request_s"] * 1e6 * len(rep.residents) + (
            c["step_per_token_s"] * 1e6 * 0.5 * work
        )  # fmt: skip

    def bring(self, rep, t_us):
        if rep.batch:
            rep.rem_us -= (t_us - rep.t_us) * self.s_prefill
        elif rep.residents:
            rep.v += (t_us - rep.t_us) * self.s_decode / self.token_us(rep)
        rep.t_us = t_us

    def plan(self, rep):
        wait_us = math.inf
        prefill_ppm = decode_ppm = 0
        if rep.batch:
            decode_ppm = rep.beside_ppm
            prefill_ppm = round(self.c["prefill_utilization"] * 1e6) - decode_ppm
            wait_us = rep.rem_us / self.s_prefill
        elif rep.residents:
            decode_ppm = self.table[len(rep.residents)]
            v_next = rep.v_stop if rep.prompts else min(r.v_end for r in rep.residents)
            wait_us = (v_next - rep.v) * self.token_us(rep) / self.s_decode
        elif rep.prompts:
            wait_us = 0.0
        self.integrate(rep.t_us)
        rep.prefill_ppm, rep.decode_ppm = prefill_ppm, decode_ppm
        rep.next_us = rep.t_us + math.ceil(max(wait_us, 0.0)) if wait_us < math.inf else NEVER

    def integrate(self, t_us):
        self.prefill_ppm_us += sum(rep.prefill_ppm for rep in self.replicas) * (t_us - self.u_us)
        self.decode_ppm_us += sum(rep.decode_ppm for rep in self.replicas) * (t_us - self.u_us)
        self.u_us = t_us

    def load(self, rep):
        kv = sum(r.tokens for r in rep.all)
        return max(len(rep.all) * 10**6 // self.c["max_batch"], kv * 10**6 // self.c["kv_tokens"])

    def fits(self, rep, request):
        kv = sum(r.tokens for r in rep.all)
        return len(rep.all) < self.c["max_batch"] and kv + request.tokens <= self.c["kv_tokens"]

    def expire(self, t_us):
        for request in list(self.waiting):
            if t_us - request.t_us >= self.timeout_us:
                self.waiting.remove(request)
                self.lose(request, "expired")

    def lose(self, request, fate):
        request.fate = fate
        self.gone.append(request)

    def admit(self, rep, request, t_us):
        self.bring(rep, t_us)
        if not rep.prompts:
            rep.v_stop = math.ceil(rep.v - 1e-6)
        rep.prompts.append(request)
        self.plan(rep)

    def arrive(self, request):
        if request.tokens > self.c["kv_tokens"]:
            self.lose(request, "refused")
            return
        self.expire(request.t_us)
        rep = min(self.replicas, key=self.load)
        if not self.waiting and self.fits(rep, request):
            self.admit(rep, request, request.t_us)
        elif len(self.waiting) < self.queue_limit:
            self.waiting.append(request)
        else:
            self.lose(request, "full")

    def event(self, rep):
        t_us = rep.next_us
        self.bring(rep, t_us)
        if rep.batch:
            if self.mixed:
                rep.v += 1
                self.end_residents(rep, t_us)
            for request in rep.batch:
                rep.prompts.remove(request)
                request.first_us = t_us
                if request.tokens_out > 1:
                    rep.v = rep.v if rep.residents else 0.0
                    request.v_end = rep.v + request.tokens_out - 1
                    rep.residents.append(request)
                else:
                    self.finish(request, t_us)
            rep.batch = []
            rep.v_stop = rep.v
        elif rep.prompts:
            rep.v = rep.v_stop
            self.end_residents(rep, t_us)
            rep.batch = list(rep.prompts) if self.mixed else rep.prompts[:1]
            decoding_us = self.token_us(rep) if self.mixed and rep.residents else 0.0
            rep.rem_us = decoding_us
            for request in rep.batch:
                rep.rem_us += request.tokens_in * (1e6 / self.c["prefill_tokens_per_s"])
            u_ppm = round(self.c["prefill_utilization"] * 1e6)
            rep.beside_ppm = math.floor(u_ppm * decoding_us / rep.rem_us + 0.5)
        else:
            rep.v = min(r.v_end for r in rep.residents)
            self.end_residents(rep, t_us)
        self.plan(rep)
        self.expire(t_us)
        while self.waiting:
            free = min(self.replicas, key=self.load)
            if not self.fits(free, self.waiting[0]):
                break
            self.admit(free, self.waiting.pop(0), t_us)
            self.expire(t_us)

    def end_residents(self, rep, t_us):
        for request in [r for r in rep.residents if r.v_end <= rep.v + 1e-6]:
            rep.residents.remove(request)
            self.finish(request, t_us)

    def finish(self, request, t_us):
        request.done_us, request.fate = t_us, "done"
        self.done.append(request)

    def cell(self, requests, until_us, allowed=1.0):
        """All before until_us; mean utilization since the last cell: all of it, of prefill, of decoding."""
        from_us = self.u_us
        s_prefill, s_decode = allowed ** self.c["prefill_exponent"], allowed ** self.c["decode_exponent"]
        if (s_prefill, s_decode) != (self.s_prefill, self.s_decode):
            for rep in self.replicas:
                self.bring(rep, from_us)
            self.s_prefill, self.s_decode = s_prefill, s_decode
            for rep in self.replicas:
                self.plan(rep)
        while True:
            rep = min(self.replicas, key=lambda rep: rep.next_us)
            come_us = requests[0].t_us if requests else NEVER
            if min(rep.next_us, come_us) >= until_us:
                break
            if rep.next_us <= come_us:
                self.event(rep)
            else:
                self.arrive(requests.pop(0))
        self.expire(until_us)
        self.integrate(until_us)
        whole = 10**6 * len(self.replicas) * (until_us - from_us)
        parts = self.prefill_ppm_us, self.decode_ppm_us
        self.prefill_ppm_us = self.decode_ppm_us = 0
        return sum(parts) / whole, parts[0] / whole, parts[1] / whole
