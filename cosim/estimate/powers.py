"""What accelerators and their servers draw while they are bound by compute, memory or communication."""

from __future__ import annotations

from dataclasses import dataclass

from cosim.catalog import Accelerator
from cosim.estimate import constants as c
from cosim.estimate.times import Stage
from cosim.estimate.work import Work
from cosim.units import W_PER_MW


def idle_w(accelerator: Accelerator) -> float:
    """Idle power of one accelerator, the catalog's or a usual share. [W]"""
    return accelerator.p_idle_w if accelerator.p_idle_w is not None else c.IDLE_SHARE * accelerator.p_max_w


def utilization(accelerator: Accelerator, stage: Stage) -> float:
    """U of Eq. 6 in a stage: part of the way from idle to largest power, weighted by what bounds it. [1]"""
    idle = idle_w(accelerator) / accelerator.p_max_w

    def u_of(share: float) -> float:
        return max(0.0, (share - idle) / (1.0 - idle))

    if stage.duration_s == 0:
        return 0.0
    busy = stage.compute_s + u_of(c.MEMORY_BOUND_SHARE) * stage.memory_s
    waiting = u_of(c.COMMUNICATION_SHARE) * (stage.communication_s + stage.wait_s)
    return (busy + waiting) / stage.duration_s


def accelerator_w(accelerator: Accelerator, u: float) -> float:
    """Power of one accelerator. [W]"""
    return idle_w(accelerator) + (accelerator.p_max_w - idle_w(accelerator)) * u


def server_w(p_accelerator_w: float) -> float:
    """One accelerator with its share of CPUs, fans and supply losses, at the server's input. [W]"""
    return (p_accelerator_w + c.CPU_W_PER_ACCELERATOR) / (1 - c.COOLING_SHARE) / c.SUPPLY_EFFICIENCY


@dataclass(frozen=True)
class Parts:
    """Mean power of the servers by part (Eq. 10). [MW]"""

    compute_mw: float
    memory_mw: float
    cooling_mw: float
    auxiliary_mw: float
    """CPUs and supply losses."""

    @property
    def total_mw(self) -> float:
        """All of it, at the servers' input. [MW]"""
        return self.compute_mw + self.memory_mw + self.cooling_mw + self.auxiliary_mw


def parts_of(work: Work, u: float) -> Parts:
    """Mean power by part at a mean utilization."""
    chip_w = accelerator_w(work.accelerator, u)
    behind_supply_w = (chip_w + c.CPU_W_PER_ACCELERATOR) / (1 - c.COOLING_SHARE)
    memory_w = min(c.MEMORY_W, chip_w)
    each = work.count / W_PER_MW
    return Parts(
        compute_mw=(chip_w - memory_w) * each,
        memory_mw=memory_w * each,
        cooling_mw=c.COOLING_SHARE * behind_supply_w * each,
        auxiliary_mw=(c.CPU_W_PER_ACCELERATOR + server_w(chip_w) - behind_supply_w) * each,
    )
