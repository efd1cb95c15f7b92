"""Where the numbers of many slices lie in the GPU's memory, 32 slices, those of a warp, or one, to a *group*.

A group is [interleaved arrays | lane 0 | lane 1 | ...]. In an *interleaved* array the slices' elements of one index
stand together, so that a warp reads them at once. A *lane* has the arrays of one slice that are read at places that
differ by slice. A *local* array is copied into the thread's own memory while a kernel runs, where compilers keep it in
registers as far as they can; between kernels it is interleaved. A *frozen* one is the same for all slices, and a
constant of the kernel; so are sizes and settings. Arrays of the panel are *shared*: their addresses come from a *book*,
as do the distances of groups and of lanes. An *own array* is one in the lane whose last dimension differs from slice to
slice, with its place in the book: a kernel serves any sizes of these, and any panel.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

GROUP_BYTES, LANE_BYTES, BOOK = 0, 1, 2
"""Places in the book: distances of groups and of lanes, and from where on those of arrays are."""
STREAM_END, STOP, FINAL_LOW, FINAL_WIDTH, FINAL_POSITION, OWN = range(6)
"""Places in ``result``. Given: where the stream ends (to decode), to what place to code, and from `OWN` on what a
layout has of each slice. Left by the kernel: the range coder's state when it ended."""
RESULT = 10
ALIGNED = 32
"""Bytes: a sector of the GPU's memory."""


@dataclass
class Work:
    """A slice of ``length`` bases, coded up to ``stop``: its ``bases`` are encoded, or filled from its stream.

    Or a slice of qualities, which are ``bases`` here; or of differences, whose ``bases`` are those expected, at first.
    """

    length: int
    stop: int
    bases: NDArray[np.uint8]
    stream: bytes = b""
    place: int = 0
    """Up to where the stream was read."""


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
    kind: (
        str  # "number", "own number", "book number", "local", "interleaved", "lane", "own array", "frozen" or "shared"
    )
    dtype: Any = None
    shape: tuple[int, ...] = ()
    at: int = 0  # byte in the group or in the lane, or place in the book, or in ``result``
    value: Any = None
    is_carried: bool = False  # a local array that the next kernel needs
    own: tuple[int, int] = (
        0,
        0,
    )  # of an own array: places of its own in the book, and of its last dimension in ``result``
    of_panel: bool = False  # its size depends on the panel

    @property
    def size(self) -> int:
        """How many elements it has."""
        return prod(self.shape)

    @property
    def described(self) -> str:
        """All of it that the code of a kernel depends on."""
        frozen = self.value.tobytes().hex() if self.kind == "frozen" else self.value if self.kind == "number" else ""
        shape, at = self.shape, self.at
        if self.kind == "own array":
            shape, at = shape[:-1], 0
        elif self.kind == "shared" or self.of_panel:
            shape = (0,) * len(shape)
        return f"{self.name} {self.kind} {self.dtype} {shape} {at} {frozen} {self.is_carried} {self.own}"


def parts_of(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Arrays and integers of nested tuples, and their names."""
    if isinstance(value, tuple):
        names = getattr(value, "_fields", range(len(value)))
        for name, part in zip(names, value, strict=True):
            yield from parts_of(part, f"{path}.{name}")
    else:
        yield path, value


class Layout(ABC):
    """Of slices that are at most as large as ``like``, which has not begun."""

    lanes: ClassVar[int]
    """Slices of a group: a power of two."""
    unit: ClassVar[str]
    """What they are made of."""
    words: ClassVar[Mapping[str, int]]
    """Places in ``result`` of own numbers, and of the last dimension of own arrays, by their names."""
    of_panel: ClassVar[str] = ""
    """The array in the lane whose size depends on the panel."""

    def __init__(self, like: Coded, capacity: int) -> None:
        self.like, self.capacity = like, capacity
        self.parts: list[Part] = []
        self._place()

    @abstractmethod
    def kind_of(self, name: str, value: Any) -> str:
        """The kind of a part, given its name with those of the tuples around it."""

    @abstractmethod
    def is_carried(self, name: str) -> bool:
        """Whether the next kernel needs a local array."""

    @abstractmethod
    def own(self, work: Any) -> dict[int, int]:
        """Of a slice, the words of ``result`` from `OWN` on."""

    @abstractmethod
    def inputs(self, work: Any) -> dict[str, NDArray[Any]]:
        """Arrays that are given for a slice, beside symbols or stream; only where groups have one lane."""

    @abstractmethod
    def body(self, form: Callable[[Any], Any], decoding: bool) -> Callable[..., Any]:
        """What a thread does, made of CUDA forms.

        Given a slice, its symbols and stream, where to stop, and where the stream ends, it returns the state of the
        range coder: low, width and position.
        """

    def _place(self) -> None:
        self.lane_at, lane, book, last = 0, 0, BOOK, list[int]()
        for path, value in parts_of(self.like):
            name, kind, at, own = path.rsplit(".", 1)[-1], self.kind_of(path, value), 0, (0, 0)
            if kind == "own number":
                at = self.words[name]
            elif kind in ("book number", "shared"):
                at = book
                book += 2 if kind == "shared" else 1
            elif kind in ("local", "interleaved"):
                at = self.lane_at
                self.lane_at += _aligned(value.nbytes) * self.lanes
            elif kind == "own array":
                own = book, self.words[name]
                book += 1
            if not isinstance(value, np.ndarray):
                self.parts.append(Part(path, kind, at=at, value=int(value)))
                continue
            if kind == "own array" or name == self.of_panel:
                last.append(len(self.parts))
            elif kind == "lane":
                at = lane
                lane += _aligned(value.nbytes)
            carried = kind == "local" and self.is_carried(path)
            of_panel = name == self.of_panel
            self.parts.append(Part(path, kind, value.dtype, value.shape, at, value, carried, own, of_panel))
        for number in last:  # so that the places of the others do not depend on their sizes
            self.parts[number] = replace(self.parts[number], at=lane)
            lane += _aligned(self.parts[number].value.nbytes)
        self.book_words = book
        self.lane_bytes = -(-lane // 256) * 256 + 128  # an odd multiple, so that lanes lie in different sets of a cache
        self.group_bytes = -(-(self.lane_at + self.lanes * self.lane_bytes) // 512) * 512

    @property
    def digest(self) -> str:
        """Of all that the code of a kernel depends on."""
        return hashlib.sha256("\n".join(part.described for part in self.parts).encode()).hexdigest()

    def place(self, name: str) -> int:
        """Where an array of the first slice is in a group; those in lanes follow a lane apart each."""
        part = next(part for part in self.parts if part.name == name)
        return part.at + (self.lane_at if part.kind in ("lane", "own array") else 0)

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
            elif part.kind == "own array":
                words[part.own[0]] = part.at
        return words

    def group(self) -> NDArray[np.uint8]:
        """A group whose slices have not begun."""
        out = np.zeros(self.group_bytes, np.uint8)
        lanes = out[self.lane_at : self.lane_at + self.lanes * self.lane_bytes].reshape(self.lanes, -1)
        for part in self.parts:
            if part.kind in ("local", "interleaved"):
                data = np.repeat(part.value.reshape(-1), self.lanes).view(np.uint8)
                out[part.at : part.at + data.size] = data
            elif part.kind in ("lane", "own array"):
                data = part.value.reshape(-1).view(np.uint8)
                lanes[:, part.at : part.at + data.size] = data
        return out


class Family(Protocol):
    """Slices that one kernel can code: equal families are one."""

    def __hash__(self) -> int: ...

    def capacity(self, works: Sequence[Any]) -> Hashable:
        """What a layout for these slices is made for: of few sizes, so that few are made."""
        ...

    def layout(self, capacity: Any, decoding: bool) -> Layout:
        """That of slices of a capacity, which are encoded, or decoded."""
        ...


def power_above(size: int, least: int = 1 << 10) -> int:
    """The next power of two, from ``least`` on."""
    return max(least, 1 << (size - 1).bit_length())


def _aligned(size: int) -> int:
    return -(-size // ALIGNED) * ALIGNED
