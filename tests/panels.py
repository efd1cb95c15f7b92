"""Panels for tests, and stand-ins for the experts that code them."""

import json
from typing import Any

import numpy as np
import safetensors.numpy
from hypothesis import strategies as st
from numpy.typing import NDArray

from geneformer_codec.model.packed_integers import pack, to_planes
from geneformer_codec.model.panel import Panel, PanelSource, embed, panel_source
from geneformer_codec.predict.panel_tables import PackedPanel

Bases = NDArray[np.uint8]

BASES = st.binary(max_size=70).map(lambda data: np.frombuffer(data, np.uint8) & 3)
PANELS = st.lists(BASES, max_size=12).map(Panel.of)


def mutated(bases: Bases, rate: float, seed: int) -> Bases:
    random = np.random.default_rng(seed)
    out = bases.copy()
    where = random.random(len(out)) < rate
    out[where] = random.integers(0, 4, int(where.sum()))
    return out


def encode(bases: Bases) -> bytes:
    return bytes(bases[::-1])


def decode(coded: bytes, count: int) -> Bases:
    assert len(coded) == count
    return np.frombuffer(coded, np.uint8)[::-1]


def never(coded: bytes, count: int) -> Bases:
    raise AssertionError("this should not be decoded")


def letters(bases: Bases) -> str:
    return "".join("ACGT"[base] for base in bases)


def records_of(panel: Panel) -> list[str]:
    return [letters(panel.bases[start:stop]) for start, stop in zip(panel.starts, panel.starts[1:], strict=False)]


def random_panel(*lengths: int, seed: int = 0) -> Panel:
    random = np.random.default_rng(seed)
    return Panel.of([random.integers(0, 4, length).astype(np.uint8) for length in lengths])


def packed(lengths: list[int]) -> NDArray[np.uint8]:
    """Lengths as a model file holds them."""
    return np.frombuffer(pack(to_planes(np.array(lengths, np.uint32))), np.uint8)


def carried(source: PanelSource) -> PanelSource:
    """The source after a stay in a model file."""
    return panel_source(
        json.loads(json.dumps(source.settings())), safetensors.numpy.load(safetensors.numpy.save(source.tensors()))
    )


def same(one: Panel | PackedPanel, other: Panel) -> bool:
    starts = one.starts if isinstance(one, PackedPanel) else one.starts[one.starts < one.length]
    return np.array_equal(one.words, other.words) and np.array_equal(starts, other.starts[other.starts < other.length])


PANEL = random_panel(300, 1, 0, 77, 123)
SOURCE = embed(PANEL, encode)


def changed(source: PanelSource, **values: Any) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Settings and tensors with some of them replaced, or without them where the value is None."""
    stated: dict[str, Any] = dict(source.settings())
    tensors = dict(source.tensors())
    for name, value in values.items():
        into = tensors if isinstance(value, np.ndarray) else stated
        into[name] = value
        if value is None:
            into.pop(name)
    return stated, tensors
