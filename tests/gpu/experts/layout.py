"""Where the numbers of many slices lie in the GPU's memory, 32 slices, those of a warp, to a *group*.

A group is [interleaved arrays | lane 0 | lane 1 | ... | lane 31]. In an *interleaved* array the 32 slices' elements of
one index stand together, so that a warp reads them at once. A *lane* has the arrays of one slice that are read at
places that differ by slice. A *local* array is copied into the thread's own memory, where compilers keep it in
registers as far as they can; what it begins with is interleaved. A *frozen* one is the same for all slices, and a
constant of the kernel; so are all sizes and settings. Arrays of the panel are *shared*: their addresses come from a
*book*.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LANES = 32
LOCAL = {
    "registers", "numbers", "copy_places", "bank", "frame_scores", "attention", "substitutions", "inputs", "votes",
    "sums", "logits", "shares", "mixed", "frequencies", "rows", "count_confidence", "pull", "escape", "slopes",
    "recall", "pending",
}  # fmt: skip
"""Arrays that may be local or interleaved."""
INTERLEAVED = {"symbols"}
FROZEN = {"low_orders", "low_at", "frame_orders", "frame_at", "count_orders", "count_at", "count_logs"}


@dataclass(frozen=True)
class Part:
    """An array or integer of a slice."""

    name: str
    kind: str  # "number", "book number", "local", "interleaved", "lane", "frozen" or "shared"
    dtype: Any = None
    size: int = 0
    at: int = 0  # byte in the group or in the lane, or place in the book
    value: Any = None


def parts_of(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Arrays and integers of nested tuples, and their names."""
    if isinstance(value, tuple):
        names = getattr(value, "_fields", range(len(value)))
        for name, part in zip(names, value, strict=True):
            yield from parts_of(part, f"{path}.{name}")
    else:
        yield path, value


class Layout:
    """Of slices like ``like``, nested tuples: its values are what all begin with.

    ``local`` are the arrays of `LOCAL` that are to be so, the rest of these is interleaved.
    """

    def __init__(self, like: Any, local: set[str], own_counts: bool) -> None:
        self.like = like
        self.parts: list[Part] = []
        shared, lane, book = 0, 0, 0
        for path, value in parts_of(like):
            name = path.rsplit(".", 1)[-1]
            in_panel = ".panel." in path
            if not isinstance(value, np.ndarray):
                if in_panel and not own_counts:
                    self.parts.append(Part(path, "book number", at=book, value=int(value)))
                    book += 1
                else:
                    self.parts.append(Part(path, "number", value=int(value)))
                continue
            if name in FROZEN or value.size == 0:
                self.parts.append(Part(path, "frozen", value.dtype, value.size, value=value))
                continue
            if in_panel and not (own_counts and name == "counts"):
                self.parts.append(Part(path, "shared", value.dtype, value.size, book, value))
                book += 2
                continue
            size = -(-value.nbytes // 32) * 32
            if name in LOCAL or name in INTERLEAVED:
                kind = "local" if name in local else "interleaved"
                self.parts.append(Part(path, kind, value.dtype, value.size, shared, value))
                shared += size * LANES
            else:
                self.parts.append(Part(path, "lane", value.dtype, value.size, lane, value))
                lane += size
        self.book_words = max(book, 1)
        self.lane_at = shared
        self.lane_bytes = -(-lane // 256) * 256 + 128  # an odd multiple, so that lanes lie in different sets of a cache
        self.group_bytes = -(-(shared + LANES * self.lane_bytes) // 512) * 512

    def part(self, name: str) -> Part:
        """The part with a name that ends so."""
        return next(part for part in self.parts if part.name.endswith(name))

    def begin(self) -> NDArray[np.uint8]:
        """What slices that have not begun share: the interleaved arrays, and one lane."""
        out = np.zeros(self.lane_at + self.lane_bytes, np.uint8)
        for part in self.parts:
            if part.kind in ("local", "interleaved"):
                data = np.repeat(part.value.reshape(-1), LANES).view(np.uint8)
                out[part.at : part.at + data.size] = data
            elif part.kind == "lane":
                data = part.value.reshape(-1).view(np.uint8)
                out[self.lane_at + part.at : self.lane_at + part.at + data.size] = data
        return out

    def summary(self) -> dict[str, Any]:
        """What the host needs to know, for JSON."""
        where = {"symbols", "stream", "result"}
        return {
            "group_bytes": self.group_bytes, "lane_at": self.lane_at, "lane_bytes": self.lane_bytes,
            "book_words": self.book_words,
            "at": {name: self.part(f".{name}").at for name in where},
            "size": {name: self.part(f".{name}").size for name in where},
            "book": [[part.name, part.kind, part.at] for part in self.parts if part.kind in ("shared", "book number")],
            "book_numbers": {part.name: part.value for part in self.parts if part.kind == "book number"},
        }  # fmt: skip
