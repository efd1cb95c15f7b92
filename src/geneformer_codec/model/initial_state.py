"""The initial state of a model's experts in a file: what training changed, packed, and checked before kernels see it.

A state is `MixerState` and the probabilities of the short contexts (`low`). Each array is stored as its difference from
untrained experts; all arrays end to end, folded, their bytes in planes, packed (`packed`).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.errors import FormatError
from geneformer_codec.model.packed_integers import fold, from_planes, pack, to_planes, unfold, unpack
from geneformer_codec.predict.copies import ATTENTION_LIMIT
from geneformer_codec.predict.mixer import FINAL_LIMIT, WEIGHT_LIMIT
from geneformer_codec.predict.settings import ExpertSettings
from geneformer_codec.predict.state import (
    HEADS,
    LOW_ROW,
    SET_ROWS,
    SETS,
    MixerState,
    low_places,
    padded_inputs,
    untrained_low,
    untrained_mixer,
)

_LIMITS = {
    "weights": (-WEIGHT_LIMIT, WEIGHT_LIMIT),
    "final": (-FINAL_LIMIT, FINAL_LIMIT),
    "map_one": (0, (1 << 22) - 1),
    "map_two": (0, (1 << 22) - 1),
    "trust": (64, 15 << 18),
    "trust_seen": (0, 1022),
    "substitutions": (0, 65536),
    "attention": (-ATTENTION_LIMIT, ATTENTION_LIMIT),
    "low": (0, 65535),
}
"""What the kernels keep each value within, and so what they may be given; the other arrays follow from these."""
MOST_LOW_SEEN = 255


@dataclass(frozen=True, eq=False)
class InitialState:
    """What slices start from: the experts' ``mixer`` and ``low``, of ``settings``."""

    settings: ExpertSettings
    mixer: MixerState
    low: NDArray[np.uint16]

    @classmethod
    def untrained(cls, settings: ExpertSettings) -> Self:
        """Where training starts."""
        mixer = untrained_mixer(settings.kernel(False), settings.contexts)
        return cls(settings, mixer, untrained_low(settings.low_orders, settings.frame_orders))

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """What training changes, by name."""
        held = {name: array for name, array in self.mixer._asdict().items() if name in _LIMITS}
        return held | {"low": self.low}

    def with_arrays(self, arrays: dict[str, NDArray[Any]]) -> "InitialState":
        """The same experts with other arrays."""
        rest = {name: array for name, array in arrays.items() if name != "low"}
        return InitialState(self.settings, self.mixer._replace(**rest), arrays["low"])

    def with_heads(self, order: Sequence[int]) -> "InitialState":
        """The same with its heads in another order, so that settings with fewer heads use the first ones."""
        rows, heads = list(order), self.settings.heads
        attention = self.mixer.attention.reshape(HEADS, -1).copy()
        weights = self.mixer.weights.reshape(sum(SET_ROWS), -1).copy()
        attention[:heads], weights[:, :heads] = attention[rows], weights[:, rows]
        mixer = self.mixer._replace(attention=attention.reshape(-1), weights=weights.reshape(-1))
        return InitialState(self.settings, mixer, self.low)

    def at(self, settings: ExpertSettings) -> "InitialState":
        """The same for settings with fewer heads and sets, or without one kind of contexts or the network.

        What is left does the work of all. Raises ``FormatError`` for settings with other contexts, or more.
        """
        mine = self.settings
        if settings.kinds == mine.kinds:
            return self
        first = mine.heads
        more = settings.heads > first or settings.sets > mine.sets or settings.network > mine.network
        columns, at = list[int](), first
        for kind in ("low_orders", "count_orders", "frame_orders"):
            asked, orders = getattr(settings, kind), getattr(mine, kind)
            more |= asked not in ((), orders)
            columns += range(at, at + len(asked))
            at += len(orders)
        if more:
            raise FormatError("the experts were trained with other contexts, heads or sets than the settings ask for")
        if settings.network:
            columns.append(at)
        before = self.mixer.weights.reshape(sum(SET_ROWS), -1)
        weights = np.zeros((len(before), padded_inputs(settings.heads, settings.contexts)), np.int32)
        weights[:, : settings.heads] = before[:, : settings.heads]
        weights[:, settings.heads - 1] += before[:, settings.heads : first].sum(axis=1, dtype=np.int32)
        weights[:, settings.heads : settings.heads + len(columns)] = before[:, columns]
        held = self.mixer.final.reshape(-1, SETS)
        final = np.zeros_like(held)
        final[:, : settings.sets] = held[:, : mine.sets].sum(axis=1, keepdims=True, dtype=np.int32) // settings.sets
        if settings.sets == mine.sets:
            final = held
        mixer = self.mixer._replace(
            weights=weights.clip(-WEIGHT_LIMIT, WEIGHT_LIMIT).reshape(-1),
            final=final.clip(-FINAL_LIMIT, FINAL_LIMIT).reshape(-1),
        )
        frames_at = int(low_places(mine.low_orders, ())[-1])
        low = self.low[0 if settings.low_orders else frames_at : None if settings.frame_orders else frames_at]
        return InitialState(settings, mixer, low)

    def update(self, digest: "hashlib._Hash") -> None:
        """Let a digest take the content in: name, type, size and bytes of every array, by name."""
        for name, array in sorted(self.arrays.items()):
            digest.update(f"\ninitial_state.{name} {array.dtype} [{array.size}]\n".encode())
            digest.update(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())

    def to_bytes(self, quickly: bool = False) -> bytes:
        """Packed for a file; ``quickly`` makes it about a hundredth larger, in half the time."""
        before = _numbers(InitialState.untrained(self.settings).arrays)
        changes = [values - before[name] for name, values in _numbers(self.arrays).items()]
        return pack(to_planes(fold(np.concatenate(changes))), quickly)

    @classmethod
    def from_bytes(cls, settings: ExpertSettings, data: bytes) -> Self:
        """The inverse of `to_bytes`; ``FormatError`` for what no training can have left."""
        begin = cls.untrained(settings)
        before = _numbers(begin.arrays)
        size = sum(values.size for values in before.values())
        changes = unfold(from_planes(unpack(data, 4 * size, "the experts' initial state")))
        numbers, at = {}, 0
        for name, old in before.items():
            values = old + changes[at : at + old.size]
            low, high = _LIMITS[name]
            if values.size and (values.min() < low or values.max() > high):
                raise FormatError(f"the experts' initial state has values of {name} that are out of range")
            numbers[name] = values
            at += old.size
        counts = numbers["low"].reshape(-1, LOW_ROW)[:, 4:]
        if np.any(counts[:, 0] > MOST_LOW_SEEN) or np.any(counts[:, 1:]):
            raise FormatError("the experts' initial state has a count of short contexts that is out of range")
        substitutions = numbers["substitutions"].reshape(2, 4, 4, 4) * (1 - np.eye(4, dtype=np.int64))[:, None, :]
        if substitutions.sum(axis=3).max() > 1 << 16:  # of a base into all others
            raise FormatError("the experts' initial state has substitutions that sum to more than one")
        numbers["trust"] = numbers["trust"] << 10 | numbers.pop("trust_seen")
        arrays = {name: values.astype(begin.arrays[name].dtype) for name, values in numbers.items()}
        return cls(settings, begin.with_arrays(arrays).mixer, arrays["low"])


def _numbers(arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[np.int64]]:
    """As they are in a file: a row of trust is two numbers there, P(miss) and what it was learned from."""
    numbers = {}
    for name, array in arrays.items():
        values = array.astype(np.int64)
        if name == "trust":
            numbers["trust"], numbers["trust_seen"] = values >> 10, values & 1023
        else:
            numbers[name] = values
    return numbers
