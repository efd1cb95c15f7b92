"""Slices of differences of mapped reads, as kernels see them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.align import differences
from geneformer_codec.align.difference_slices import DifferenceCodec, ReadSlice
from geneformer_codec.align.differences import DifferenceSlice, new_difference_model, seen_size
from geneformer_codec.align.places import Alignments, Reads
from geneformer_codec.align.reference import Reference
from geneformer_codec.coding.mixing import LOW, PLACE, WIDTH, coder_state, start_decoding
from geneformer_codec.coding.range_coder import END_BYTES
from geneformer_codec.cuda.layout import OWN, RESULT, STOP, STREAM_END, Coded, Layout, Work, parts_of, power_above
from geneformer_codec.predict.state import PanelTables

LOCAL = {"coder", "done", "cells", "span", "inputs", "rows", "logits", "last"}
CARRIED = {"coder", "done"}
"""Local arrays that a base leaves to the next."""
READS, EVENTS, OWN_BASES, SEEN = range(OWN, OWN + 4)
"""How many reads and events a slice has, bases of reads that are coded by themselves, and counts of bases seen."""
_OF_READS = dict.fromkeys((*Reads._fields, "places", "steps", "first_event", "event_count"), READS)
_OF_EVENTS = dict.fromkeys(("at", "kinds", "values", "directions"), EVENTS)


@dataclass(kw_only=True)
class DifferenceWork(Work):
    """A slice of reads, which take at most ``most_bytes``, encoded."""

    some: ReadSlice
    reference: Reference
    seen: int
    """Counts of bases seen."""
    most_bytes: int


class DifferenceLayout(Layout):
    """Of slices of at most so many bases, reads, events, bases of other reads, counts and bytes: see `Differences`."""

    lanes: ClassVar[int] = 1
    """As of qualities."""
    unit: ClassVar[str] = "bases of mapped reads"
    words: ClassVar = {
        **_OF_READS, **_OF_EVENTS, "qualities": STOP, "symbols": STOP, "bases": OWN_BASES, "seen": SEEN,
        "stream": STREAM_END,
    }  # fmt: skip

    def __init__(self, tables: PanelTables, capacity: tuple[int, ...], decoding: bool) -> None:
        bases, reads, events, own, seen, stream = capacity
        self._decoding, symbols, each = decoding, np.zeros(bases, np.uint8), np.zeros(reads, np.int64)
        slice_ = DifferenceSlice(
            reference=Reference(tables, np.zeros(own, np.uint8)),
            reads=Reads(each, each, each, 0, np.zeros(reads, np.uint8)),
            alignments=Alignments(
                places=each, steps=np.zeros(reads, np.int8), first_event=each, event_count=each,
                at=np.zeros(events, np.int64), kinds=np.zeros(events, np.uint8), values=np.zeros(events, np.int64),
                directions=np.zeros(events, np.int8),
            ),
            qualities=symbols,
            model=new_difference_model(seen - 1),
            coder=coder_state(),
            done=np.zeros(1, np.int64),
        )  # fmt: skip
        super().__init__(Coded(slice_, symbols, np.zeros(stream, np.uint8), np.zeros(RESULT, np.uint64)), bases)

    def kind_of(self, name: str, value: Any) -> str:
        """By its name; only the bases of the panel are needed."""
        in_panel, name = ".panel." in name, name.rsplit(".", 1)[-1]
        if not isinstance(value, np.ndarray):
            return "book number" if in_panel else "number"
        if in_panel:
            return "shared" if value.size else "frozen"
        if name in self.words:
            return "own array"
        return "local" if name in LOCAL else "interleaved" if name == "result" else "lane"

    def is_carried(self, name: str) -> bool:
        """All but the scratch."""
        return name.rsplit(".", 1)[-1] in CARRIED

    def own(self, work: DifferenceWork) -> dict[int, int]:
        """Sizes of its arrays."""
        reads, events = len(work.some.reads.order), len(work.some.found.at)
        return {READS: reads, EVENTS: events, OWN_BASES: len(work.reference.bases), SEEN: work.seen}

    def inputs(self, work: DifferenceWork) -> dict[str, NDArray[Any]]:
        """Its reads, what they are compared with and, to decode, the bases expected."""
        arrays: dict[str, NDArray[Any]] = {".slice_.qualities": work.some.qualities}
        for name, value in (("reads", work.some.reads), ("alignments", work.some.found)):
            arrays |= {f".slice_.{name}{path}": one for path, one in parts_of(value) if isinstance(one, np.ndarray)}
        arrays[".slice_.reference.bases"] = work.reference.bases
        return arrays | ({".symbols": work.bases} if self._decoding else {})

    def body(self, form: Callable[[Any], Any], decoding: bool) -> Callable[..., Any]:
        """`differences.code_slice`, on from where the slice is."""
        begin, run = form(start_decoding), form(differences.code_slice)

        def code(slice_: Any, symbols: Any, stream: Any, stop: Any, end: Any) -> Any:
            if decoding and slice_.done[0] == 0:
                begin(slice_.coder, stream)
            run(slice_, symbols, stream, stop, decoding)
            return slice_.coder[LOW], slice_.coder[WIDTH], slice_.coder[PLACE]

        return code


class Differences:
    """All slices of reads that are mapped to a panel."""

    def __init__(self, tables: PanelTables) -> None:
        self._words, empty = tables.words, dict[str, Any]()
        for name, value in tables._asdict().items():
            if isinstance(value, np.ndarray) and name != "words":
                empty[name] = np.zeros((0,) * value.ndim, value.dtype)
        self._tables = tables._replace(**empty)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Differences) and other._words is self._words

    def __hash__(self) -> int:
        return id(self._words)

    def capacity(self, works: Sequence[DifferenceWork]) -> tuple[int, ...]:
        """The most of what `DifferenceLayout` lists."""
        sizes = [
            (work.length, len(work.some.reads.order), len(work.some.found.at), len(work.reference.bases),
             work.seen, max(len(work.stream), work.most_bytes, END_BYTES))
            for work in works
        ]  # fmt: skip
        return tuple(power_above(max(size)) for size in zip(*sizes, strict=True))

    def layout(self, capacity: tuple[int, ...], decoding: bool) -> DifferenceLayout:
        """That of slices of a capacity."""
        return DifferenceLayout(self._tables, capacity, decoding)


def difference_works(
    codec: DifferenceCodec, slices: Sequence[ReadSlice], streams: Sequence[bytes] | None
) -> dict[int, DifferenceWork]:
    """Slices that have bases, by their numbers."""
    seen = seen_size(codec.reference.panel.length + len(codec.reference.bases))
    return {
        number: DifferenceWork(
            length=len(some.bases), stop=len(some.bases), bases=some.bases,
            stream=b"" if streams is None else streams[number], some=some, reference=codec.reference, seen=seen,
            most_bytes=codec.most_bytes(some) if streams is None else 0,
        )
        for number, some in enumerate(slices)
        if len(some.bases)
    }  # fmt: skip
