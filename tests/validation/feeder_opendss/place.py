"""Where a data center is connected."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """A bus and its phases; no phases where the feeder is balanced."""

    bus: str
    phases: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """`bus.1.2.3`, or the bus."""
        return ".".join([self.bus, *map(str, self.phases)])

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of its nodes."""
        return tuple(f"{self.bus}.{phase}" for phase in self.phases) or (self.bus,)
