"""Slices of qualities, as kernels see them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.mixing import LINE, LOW, PLACE, WIDTH, line_count
from geneformer_codec.coding.range_coder import END_BYTES
from geneformer_codec.cuda.layout import OWN, RESULT, STOP, STREAM_END, Coded, Layout, Work, power_above
from geneformer_codec.streams.qualities import kernels
from geneformer_codec.streams.qualities.kernels import DONE
from geneformer_codec.streams.qualities.slices import QualityCodec, QualitySlice
from geneformer_codec.streams.qualities.tree import Alphabet

LANE = {"tree", "weights", "final"}
SCRATCH = {"inputs", "rows", "logits", "last"}
"""Local arrays that a bit leaves to none after it."""
MOST_LOCAL = 2048
"""Bytes of a local array; the memory of HiFi reads is larger, and is read at few places."""
READS, CELLS = OWN, OWN + 1
"""How many reads a slice has, and how many counters of each context."""


@dataclass(kw_only=True)
class QualityWork(Work):
    """A slice of qualities; ``bases`` are the ranks of these, which take at most ``most_bytes``, encoded."""

    some: QualitySlice
    tree: NDArray[np.int64]
    most_bytes: int


class QualityLayout(Layout):
    """Of slices of at most so many qualities, reads and bytes, coded in a way: encoded, or decoded if ``decoding``."""

    lanes: ClassVar[int] = 1
    """Slices are at different places of their reads, and fewer than there is room for: a warp has one, and waits for no
    other."""
    unit: ClassVar[str] = "qualities"
    words: ClassVar = {
        "lengths": READS, "bases": STOP, "symbols": STOP, "counters": CELLS, "stream": STREAM_END,
    }  # fmt: skip

    def __init__(self, codec: QualityCodec, capacity: tuple[int, int, int]) -> None:
        values, reads, stream = capacity
        self._codec, symbols = codec, np.zeros(values, np.uint8)
        slice_ = codec.new_slice(QualitySlice(symbols, np.zeros(reads, np.int64), np.zeros(values, np.uint8)))
        super().__init__(Coded(slice_, symbols, np.zeros(stream, np.uint8), np.zeros(RESULT, np.uint64)), values)

    def kind_of(self, name: str, value: Any) -> str:
        """By its name and size."""
        if not isinstance(value, np.ndarray):
            return "number"
        name = name.rsplit(".", 1)[-1]
        if name in self.words:
            return "own array"
        return "interleaved" if name == "result" else "lane" if name in LANE or value.nbytes > MOST_LOCAL else "local"

    def is_carried(self, name: str) -> bool:
        """All but the scratch."""
        return name.rsplit(".", 1)[-1] not in SCRATCH

    def own(self, work: QualityWork) -> dict[int, int]:
        """Sizes of its arrays."""
        return {READS: len(work.some.lengths), CELLS: line_count(work.length, self._codec.most_lines) * LINE}

    def inputs(self, work: QualityWork) -> dict[str, NDArray[Any]]:
        """Its reads, and the tree of its part."""
        return {".slice_.lengths": work.some.lengths, ".slice_.bases": work.some.bases, ".slice_.tree": work.tree}

    def body(self, form: Callable[[Any], Any], decoding: bool) -> Callable[..., Any]:
        """`kernels.code_slice`, on from where the slice is."""
        begin, run = form(kernels.begin_slice), form(kernels.code_slice)

        def code(slice_: Any, symbols: Any, stream: Any, stop: Any, end: Any) -> Any:
            if slice_.reads.ahead[DONE] == 0:
                begin(slice_, stream, decoding)
            run(slice_, symbols, stream, stop, decoding)
            return slice_.coder[LOW], slice_.coder[WIDTH], slice_.coder[PLACE]

        return code


@dataclass(frozen=True)
class Qualities:
    """All slices of qualities of a profile and an effort."""

    profile: int
    effort: int

    def capacity(self, works: Sequence[QualityWork]) -> tuple[int, int, int]:
        """The most qualities, reads and bytes of a stream."""
        reads = max(len(work.some.lengths) for work in works)
        stream = max(max(len(work.stream), work.most_bytes, END_BYTES) for work in works)
        return power_above(max(work.length for work in works)), power_above(reads), power_above(stream)

    def layout(self, capacity: tuple[int, int, int], decoding: bool) -> QualityLayout:
        """That of slices of a capacity."""
        two = Alphabet.of(np.arange(33, 35, dtype=np.uint8))
        return QualityLayout(QualityCodec(self.profile, self.effort, two, whole=False), capacity)


def quality_works(
    codec: QualityCodec, slices: Sequence[QualitySlice], streams: Sequence[bytes] | None
) -> dict[int, QualityWork]:
    """Slices that have qualities, by their numbers."""
    return {
        number: QualityWork(
            length=len(some.symbols), stop=len(some.symbols), bases=some.symbols,
            stream=b"" if streams is None else streams[number], some=some, tree=codec.alphabet.tree,
            most_bytes=codec.most_bytes(some) if streams is None else 0,
        )
        for number, some in enumerate(slices)
        if len(some.symbols)
    }  # fmt: skip
