"""The shape of a GeneFormer network, and the presets with their names."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from geneformer_codec.errors import FormatError, UsageError

START = 4
"""The symbol that stands before a slice's first base, beside 0..3 = A, C, G, T."""
SYMBOLS = 5
"""Rows of the one-hot input."""


@dataclass(frozen=True)
class NetworkConfig:
    """Everything that fixes the network's shape.

    ``form`` is ``paper`` (a fresh window of ``window`` bases for every base, Table 2 of the paper) or ``stream``
    (every position's features computed once). ``segment`` is the paper's N: the positions of a fragment after pooling
    (13 for a window of 64, kernel 24, pool 3), or the segment length of the stream in bases. ``latent_array`` lets
    attention see the fragment or segment before, ``segment_cut`` cuts that memory to one of them instead of four
    (Table 4).
    """

    form: Literal["paper", "stream"] = "stream"
    width: int = 96
    heads: int = 3
    inner: int = 384
    segment: int = 32
    kernel: int = 24
    window: int = 64
    pool: int = 3
    latent_array: bool = True
    segment_cut: bool = True

    def __post_init__(self) -> None:
        sizes = (self.width, self.heads, self.inner, self.segment, self.kernel, self.window, self.pool)
        if self.form not in ("paper", "stream") or not all(0 < size <= 8192 for size in sizes):
            raise FormatError(f"a network of this shape cannot be: {self}")
        if self.width % (2 * self.heads):
            raise FormatError(f"the width ({self.width}) must be an even multiple of the heads ({self.heads})")
        if self.inner % 2 or self.width > 2048 or self.head_inputs > 1 << 16:
            raise FormatError(
                f"an inner width ({self.inner}) must be even, and no layer larger than 32 bits can sum: {self}"
            )
        if self.memory + self.segment > 512 or self.head_width > 256:
            raise FormatError("attention over more than 512 positions or 256 features a head would not stay exact")
        if self.form == "paper" and self.segment != (self.window - self.kernel + 1) // self.pool:
            raise FormatError(f"a window of {self.window} does not give a fragment of {self.segment} positions")

    @property
    def head_width(self) -> int:
        """Features of one attention head."""
        return self.width // self.heads

    @property
    def memory(self) -> int:
        """Positions before the current fragment or segment that attention sees."""
        return 0 if not self.latent_array else self.segment if self.segment_cut else 4 * self.segment

    @property
    def causal(self) -> bool:
        """Whether attention looks back only (a window of the paper lies all in the past)."""
        return self.form == "stream"

    @property
    def distances(self) -> int:
        """Rows of the table of relative positions."""
        return self.memory + self.segment + (0 if self.causal else self.segment - 1)

    @property
    def head_inputs(self) -> int:
        """Features that the last layer sees."""
        return self.width * (1 if self.causal else self.segment)

    def as_dict(self) -> dict[str, Any]:
        """For the model file's metadata."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: object) -> "NetworkConfig":
        """The inverse of `as_dict`; raises ``FormatError`` for anything else."""
        names = {field.name: type(field.default) for field in fields(cls)}
        if not isinstance(values, dict) or set(values) != set(names):
            raise FormatError("the model's network settings are not complete; it may come from another version")
        for name, kind in names.items():
            if type(values[name]) is not kind:
                raise FormatError(f"the model's setting {name} is {values[name]!r}, not of type {kind.__name__}")
        return cls(**values)


PRESETS: dict[str, NetworkConfig] = {
    "stream-tiny": NetworkConfig(width=48, heads=3, inner=96, segment=16),
    "stream-small": NetworkConfig(),
    "stream-base": NetworkConfig(width=384, heads=6, inner=1536, segment=64),
    "paper": NetworkConfig(form="paper", width=768, heads=12, inner=3072, segment=13),
    "paper-384": NetworkConfig(form="paper", width=384, heads=6, inner=1536, segment=13),
    "paper-1024": NetworkConfig(form="paper", width=1024, heads=16, inner=4096, segment=13),
}


def preset(name: str) -> NetworkConfig:
    """The configuration called ``name``; raises ``UsageError`` with the names there are."""
    if name not in PRESETS:
        raise UsageError(f"there is no preset {name!r}; choose one of {', '.join(PRESETS)}")
    return PRESETS[name]
