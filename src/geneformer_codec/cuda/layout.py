"""Where the numbers of many slices lie in the GPU's memory, 32 slices, those of a warp, to a *group*.

A group is [interleaved arrays | lane 0 | lane 1 | ... | lane 31]. In an *interleaved* array the 32 slices' elements of
one index stand together, so that a warp reads them at once. A *lane* has the arrays of one slice that are read at
places that differ by slice. A *local* array is copied into the thread's own memory while a kernel runs, where compilers
keep it in registers as far as they can; between kernels it is interleaved. A *frozen* one is the same for all slices,
and a constant of the kernel; so are sizes and settings. Arrays of the panel are *shared*: their addresses come from a
*book*, as do the distances of groups and of lanes, which depend on the panel's size. So a kernel is compiled for
settings and the longest slice, and serves any panel.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.range_coder import END_BYTES
from geneformer_codec.predict.predictor import Predictor
from geneformer_codec.predict.two_bit import plain_bytes

LANES = 32
LOCAL = {
    "registers", "numbers", "copy_places", "bank", "frame_scores", "attention", "substitutions", "inputs", "votes",
    "sums", "logits", "shares", "mixed", "frequencies", "rows", "count_confidence", "pull", "escape", "slopes",
    "recall", "pending",
}  # fmt: skip
CARRIED = {"pending", "recall"}
"""Local arrays of the scratch that one base leaves to the next. The others are not put back at the end of a kernel:
they would be kept in registers until then, and these are scarce."""
INTERLEAVED = {"symbols", "result"}
FROZEN = {"low_orders", "low_at", "frame_orders", "frame_at", "count_orders", "count_at", "count_logs"}
OF_PANEL_SIZE = "scores"
"""The array of a slice whose size depends on the panel: it stands last in a lane."""

GROUP_BYTES, LANE_BYTES, BOOK = 0, 1, 2
"""Places in the book: distances of groups and of lanes, and from where on the panel's are."""
STREAM_END, STOP, FINAL_LOW, FINAL_WIDTH, FINAL_POSITION, CHAIN_BITS, LENGTH = range(7)
"""Places in ``result``. Given: where the stream ends (to decode), to what base to code, and what of `SliceState`
differs from slice to slice. Left by the kernel: the range coder's state when it ended."""
OWN = {"chain_bits": CHAIN_BITS, "slice_length": LENGTH}
RESULT = 8
ALIGNED = 32
"""Bytes: a sector of the GPU's memory."""


class Coded(NamedTuple):
    """What a thread works on."""

    slice_: Any
    symbols: NDArray[np.uint8]
    stream: NDArray[np.uint8]
    result: NDArray[np.uint64]


@dataclass(frozen=True)
class Part:
    """An array or integer of a slice."""

    name: str
    kind: str  # "number", "own number", "book number", "local", "interleaved", "lane", "frozen" or "shared"
    dtype: Any = None
    size: int = 0
    at: int = 0  # byte in the group or in the lane, or place in the book, or in ``result``
    value: Any = None

    @property
    def is_carried(self) -> bool:
        """Whether it is a local array that the next kernel needs."""
        return self.kind == "local" and (".scratch." not in self.name or self.name.rsplit(".", 1)[-1] in CARRIED)

    @property
    def described(self) -> str:
        """All of it that the code of a kernel depends on."""
        frozen = self.value.tobytes().hex() if self.kind == "frozen" else self.value if self.kind == "number" else ""
        fixed = "" if self.kind == "shared" or self.name.endswith(f".{OF_PANEL_SIZE}") else self.size
        return f"{self.name} {self.kind} {self.dtype} {fixed} {self.at} {frozen}"


def parts_of(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Arrays and integers of nested tuples, and their names."""
    if isinstance(value, tuple):
        names = getattr(value, "_fields", range(len(value)))
        for name, part in zip(names, value, strict=True):
            yield from parts_of(part, f"{path}.{name}")
    else:
        yield path, value


class Layout:
    """Of slices of at most ``capacity`` bases, to be coded by a predictor: encoded, or decoded if ``decoding``."""

    def __init__(self, predictor: Predictor, capacity: int, decoding: bool) -> None:
        self.capacity = capacity
        coder = predictor.slice_coder(capacity, np.zeros(capacity, np.uint8))
        stream = np.zeros(plain_bytes(capacity) + END_BYTES, np.uint8) if decoding else coder.stream
        self.like = Coded(coder.slice_, coder.symbols, stream, np.zeros(RESULT, np.uint64))
        self.parts: list[Part] = []
        self._place(not predictor.has_panel)

    def _place(self, own_counts: bool) -> None:
        self.lane_at, lane, last, book = 0, 0, None, BOOK
        for path, value in parts_of(self.like):
            name = path.rsplit(".", 1)[-1]
            in_panel = ".panel." in path
            if not isinstance(value, np.ndarray):
                if name in OWN:
                    self.parts.append(Part(path, "own number", at=OWN[name]))
                elif in_panel and not own_counts:
                    self.parts.append(Part(path, "book number", at=book, value=int(value)))
                    book += 1
                else:
                    self.parts.append(Part(path, "number", value=int(value)))
            elif name in FROZEN or value.size == 0:
                self.parts.append(Part(path, "frozen", value.dtype, value.size, value=value))
            elif in_panel and not (own_counts and name == "counts"):
                self.parts.append(Part(path, "shared", value.dtype, value.size, book, value))
                book += 2
            elif name in LOCAL or name in INTERLEAVED:
                kind = "local" if name in LOCAL else "interleaved"
                self.parts.append(Part(path, kind, value.dtype, value.size, self.lane_at, value))
                self.lane_at += _aligned(value.nbytes) * LANES
            elif name == OF_PANEL_SIZE:
                last = len(self.parts)
                self.parts.append(Part(path, "lane", value.dtype, value.size, 0, value))
            else:
                self.parts.append(Part(path, "lane", value.dtype, value.size, lane, value))
                lane += _aligned(value.nbytes)
        assert last is not None
        part = self.parts[last]
        self.parts[last] = Part(part.name, part.kind, part.dtype, part.size, lane, part.value)
        lane += _aligned(part.value.nbytes)
        self.book_words = book
        self.lane_bytes = -(-lane // 256) * 256 + 128  # an odd multiple, so that lanes lie in different sets of a cache
        self.group_bytes = -(-(self.lane_at + LANES * self.lane_bytes) // 512) * 512

    @property
    def digest(self) -> str:
        """Of all that the code of a kernel depends on."""
        return hashlib.sha256("\n".join(part.described for part in self.parts).encode()).hexdigest()

    def at(self, name: str) -> int:
        """Where the array ``name`` of `Coded` is, in a group or in a lane."""
        return next(part.at for part in self.parts if part.name == f".{name}")

    @property
    def stream_at(self) -> int:
        """Where the stream of the first slice is, in a group; the others follow, a lane apart each."""
        return self.lane_at + self.at("stream")

    @property
    def shared(self) -> list[Part]:
        """The arrays of the panel."""
        return [part for part in self.parts if part.kind == "shared"]

    def book(self, addresses: dict[str, int]) -> NDArray[np.int64]:
        """The book, given where the shared arrays are, by the names of their parts."""
        words = np.zeros(self.book_words, np.int64)
        words[GROUP_BYTES], words[LANE_BYTES] = self.group_bytes, self.lane_bytes
        for part in self.parts:
            if part.kind == "shared":
                words[part.at : part.at + 2] = addresses[part.name], part.size
            elif part.kind == "book number":
                words[part.at] = part.value
        return words

    def group(self) -> NDArray[np.uint8]:
        """A group whose slices have not begun."""
        out = np.zeros(self.group_bytes, np.uint8)
        lanes = out[self.lane_at : self.lane_at + LANES * self.lane_bytes].reshape(LANES, -1)
        for part in self.parts:
            if part.kind in ("local", "interleaved"):
                data = np.repeat(part.value.reshape(-1), LANES).view(np.uint8)
                out[part.at : part.at + data.size] = data
            elif part.kind == "lane":
                data = part.value.reshape(-1).view(np.uint8)
                lanes[:, part.at : part.at + data.size] = data
        return out


def _aligned(size: int) -> int:
    return -(-size // ALIGNED) * ALIGNED
