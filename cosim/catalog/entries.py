"""What an entry of the catalog holds, with its units, and what a file of entries may say."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]
Text = Annotated[str, Field(min_length=1)]


class Entry(BaseModel):
    """One thing with a name, the source of its figures, and what else to know of them."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: Text = Field(description="Name; found without regard to case, spaces, - and _")
    source: Text = Field(description="Where the figures stand")
    note: str = Field("", description="Variants, conditions, differences between sources")


class Accelerator(Entry):
    """One accelerator: a module or a card."""

    vendor: Text = Field(description="Who makes it")
    architecture: Text = Field(description="The vendor's name of its generation")
    release_year: int = Field(ge=2000, le=2100, description="Year of its announcement")
    p_max_w: Positive = Field(description="Largest power its vendor allows (TDP, TBP), P_peak of Eq. 6 [W]")
    p_idle_w: Positive | None = Field(description="Power without work; null: no source known [W]")
    p_idle_source: str = Field("", description="Where the idle power stands; needed with it")
    memory_gb: Positive = Field(description="Memory [GB]")
    memory_gb_per_s: Positive = Field(description="Bandwidth of the memory [GB/s]")
    peak_fp32_tflops: Positive | None = Field(description="Peak, FP32 without tensor cores; null: unclear [TFLOPS]")
    peak_fp16_tflops: Positive = Field(description="Peak, FP16 or BF16, dense [TFLOPS]")
    peak_fp8_tflops: Positive | None = Field(description="Peak, FP8, dense; null: has none or unclear [TFLOPS]")
    interconnect_gb_per_s: Positive | None = Field(
        description="Link to other accelerators of the server, both directions together [GB/s]"
    )

    @model_validator(mode="after")
    def _idle_is_known_and_below_peak(self) -> Self:
        if (self.p_idle_w is None) != (not self.p_idle_source):
            raise ValueError("p_idle_w and p_idle_source come together or not at all")
        if self.p_idle_w is not None and self.p_idle_w >= self.p_max_w:
            raise ValueError(f"p_idle_w={self.p_idle_w:g} is not below p_max_w={self.p_max_w:g}")
        return self


class Model(Entry):
    """One language model."""

    series: Text = Field(description="Family it belongs to")
    n_parameter: Count = Field(description="Number of parameters, rounded as printed [1]")
    n_layer: Count = Field(description="Number of layers [1]")
    n_hidden: Count = Field(description="Hidden size [1]")
    n_head: Count | None = Field(description="Number of attention heads; null: has none [1]")
    n_kv_head: Count | None = Field(None, description="Heads of keys and values; null: as many as n_head [1]")
    n_kv_width: Count | None = Field(
        None, description="Values kept for each token and layer; null: 2 n_kv_head n_hidden / n_head [1]"
    )
    n_ffn: Count | None = Field(None, description="Inner size of the feed-forward part; null: 4 n_hidden, or other [1]")
    n_vocabulary: Count = Field(description="Size of the vocabulary [1]")
    n_active_parameter: Count | None = Field(
        None, description="Parameters at work for one token (mixture of experts); null: all [1]"
    )
    n_context: Count | None = Field(description="Context length; null: configurable [1]")

    @property
    def kv_width(self) -> int:
        """Values of keys and values kept for each token and layer; 0 without attention. [1]"""
        if self.n_head is None:
            return 0
        heads = self.n_kv_head or self.n_head
        return self.n_kv_width or 2 * heads * self.n_hidden // self.n_head

    @property
    def active_parameters(self) -> int:
        """Parameters at work for one token. [1]"""
        return self.n_active_parameter or self.n_parameter

    @model_validator(mode="after")
    def _has_no_more_at_work_than_there_are(self) -> Self:
        if self.active_parameters > self.n_parameter:
            raise ValueError(f"n_active_parameter={self.n_active_parameter} is above n_parameter={self.n_parameter}")
        return self


class Server(Entry):
    """One server with its accelerators."""

    vendor: Text = Field(description="Who makes it")
    accelerator: Text = Field(description="Name of its accelerators in this catalog")
    n_accelerator: Count = Field(description="Number of accelerators [1]")
    p_max_w: Positive = Field(description="Largest power at the inlet [W]")
    network_gb_per_s: Positive | None = Field(
        description="Network to other servers, for one accelerator, one direction; null: unclear [GB/s]"
    )
    release_year: int = Field(ge=2000, le=2100, description="Year of its announcement")


class Component(Entry):
    """Typical range of one part of a server (the paper's Table I)."""

    quantity: Text = Field(description="What the range is of")
    unit: Literal["W", "1"] = Field(description="Unit of low and high")
    low: Positive = Field(description="Lower end of the range")
    high: Positive = Field(description="Upper end of the range")

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low={self.low:g} is above high={self.high:g}")
        if self.unit == "1" and self.high > 1:
            raise ValueError(f"high={self.high:g} is above 1, and the unit says it is a share")
        return self


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        for section in type(self).model_fields:
            seen: dict[str, str] = {}
            for entry in getattr(self, section):
                first = seen.setdefault(key(entry.name), entry.name)
                if first is not entry.name:
                    raise ValueError(f"{section}: {entry.name} is there twice")
        return self


class AcceleratorFile(_File):
    """`accelerators.yaml`."""

    accelerators: tuple[Accelerator, ...]


class ModelFile(_File):
    """`models.yaml`."""

    models: tuple[Model, ...]


class ServerFile(_File):
    """`servers.yaml`."""

    servers: tuple[Server, ...]
    components: tuple[Component, ...]


def key(name: str) -> str:
    """What a name is found by: letters and digits in lower case."""
    return "".join(c for c in name.lower() if c.isalnum() or c == ".")
