"""The shape of a GeneFormer network: settings, presets, and their integer tensors. Needs no PyTorch."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.errors import FormatError, UsageError

START = 4
"""The symbol before a slice's first base, besides 0..3 = A, C, G, T."""
SYMBOLS = 5
"""Rows of the one-hot input."""

Tensors = dict[str, NDArray[Any]]


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
            raise FormatError(f"invalid shape of a network: {self}")
        if self.width % (2 * self.heads):
            raise FormatError(f"the width ({self.width}) must be an even multiple of the heads ({self.heads})")
        if self.inner % 2 or self.width > 2048 or self.head_inputs > 1 << 16:
            raise FormatError(f"inner width ({self.inner}) must be even, and sums of a layer must fit 32 bits: {self}")
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


@dataclass(frozen=True, eq=False)
class Network:
    """The GeneFormer network: its shape, its integers and, in the file that training wrote, its real numbers."""

    config: NetworkConfig
    tensors: Tensors
    floats: Tensors = field(default_factory=dict)


PRESETS: dict[str, NetworkConfig] = {
    "stream-tiny": NetworkConfig(width=48, heads=3, inner=96, segment=16),
    "stream-small": NetworkConfig(),
    "stream-base": NetworkConfig(width=384, heads=6, inner=1536, segment=64),
    "paper": NetworkConfig(form="paper", width=768, heads=12, inner=3072, segment=13),
    "paper-384": NetworkConfig(form="paper", width=384, heads=6, inner=1536, segment=13),
    "paper-1024": NetworkConfig(form="paper", width=1024, heads=16, inner=4096, segment=13),
}


def preset_named(name: str) -> NetworkConfig:
    """The configuration called ``name``; raises ``UsageError`` with the names there are."""
    if name not in PRESETS:
        raise UsageError(f"there is no preset {name!r}; choose one of {', '.join(PRESETS)}")
    return PRESETS[name]


FINE = 16
"""Residual values are kept in 1/16 of the step of the int8 values."""
MATRICES = ("query", "key", "value", "output", "expand", "contract", "head")
"""Tensors that are operands of matrix products."""


def tensor_shapes(config: NetworkConfig) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Name, dtype and shape of every tensor of the integer network, in the order that compiled code takes them."""
    width, inner = config.width, config.inner

    def linear(name: str, rows: int, columns: int, *biases: str) -> dict[str, tuple[str, tuple[int, ...]]]:
        vectors = (f"{name}_shift", *(biases or (f"{name}_bias",)))
        return {name: ("int8", (rows, columns)), **dict.fromkeys(vectors, ("int32", (rows,)))}

    def norm(name: str) -> dict[str, tuple[str, tuple[int, ...]]]:
        return {f"{name}gain": ("int32", (width,)), f"{name}offset": ("int32", (width,))}

    return {
        "conv": ("int16", (config.kernel, SYMBOLS, width)),
        "conv_bias": ("int16", (width,)),
        **norm(""),
        **linear("query", width, width, "content_bias", "position_bias"),
        **linear("key", width, width),
        **linear("value", width, width),
        "relative": ("int8", (config.distances, width)),
        **linear("output", width, width),
        **norm("attention_"),
        **linear("expand", inner, width),
        "gelu": ("int8", (1024,)),
        **linear("contract", width, inner),
        **norm("inner_"),
        **linear("head", 4, config.head_inputs),
        "attention_shifts": ("int32", (2,)),
    }


def check_tensors(config: NetworkConfig, tensors: dict[str, NDArray[Any]]) -> None:
    """Raise ``FormatError`` unless the tensors are those of ``config`` and no step can leave 32 bits."""
    wanted = tensor_shapes(config)
    if set(tensors) != set(wanted):
        raise FormatError(f"the model's tensors are not those of its network: {sorted(set(tensors) ^ set(wanted))}")
    for name, (dtype, shape) in wanted.items():
        tensor = tensors[name]
        if tensor.dtype != dtype or tensor.shape != shape:
            raise FormatError(f"the model's tensor {name} should be {dtype} {list(shape)}")
        low, high = _bounds(name, dtype)
        if not ((tensor >= low) & (tensor <= high)).all():
            raise FormatError(f"the model's tensor {name} has values outside {low}..{high}")
    reach = np.abs(tensors["conv"].astype(np.int64)).max(1).sum(0) + np.abs(tensors["conv_bias"].astype(np.int64))
    if (reach > 32767).any():
        raise FormatError("the model's convolution can leave 16 bits")
    if not 16 <= tensors["attention_shifts"][1] <= 23:
        raise FormatError("the model's attention shifts are out of bounds")


def _bounds(name: str, dtype: str) -> tuple[int, int]:
    """The smallest and largest value that a tensor may hold."""
    if "shift" in name:
        return 0, 24
    if name.endswith("gain"):
        high = 32767
    elif name in ("attention_offset", "inner_offset"):
        high = (1 << 28) - 1
    elif dtype == "int32":
        high = (1 << 30) - 1
    else:
        high = int(np.iinfo(dtype).max)
    return -high, high
