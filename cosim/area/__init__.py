"""The area behind the source: its frequency, as one machine with governor, secondary control and load shedding."""

from __future__ import annotations

from cosim.area.config import AreaConfig, FrequencyResponseConfig, LoadSheddingStep

__all__ = ["AreaConfig", "FrequencyResponseConfig", "LoadSheddingStep"]
