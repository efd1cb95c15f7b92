"""Slices of bases that experts predict, as kernels see them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.range_coder import END_BYTES, begin_decoding
from geneformer_codec.cuda.layout import OWN, RESULT, Coded, Layout, Work, power_above
from geneformer_codec.predict import slice as slices
from geneformer_codec.predict.predictor import Predictor
from geneformer_codec.predict.settings import index_bits
from geneformer_codec.predict.state import DONE, LOW, POSITION, WIDTH
from geneformer_codec.predict.two_bit import plain_bytes

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
CHAIN_BITS, LENGTH = OWN, OWN + 1
"""What of `SliceState` differs from slice to slice."""


class ExpertLayout(Layout):
    """Of slices of at most ``capacity`` bases, to be coded by a predictor: encoded, or decoded if ``decoding``."""

    lanes: ClassVar[int] = 32
    unit: ClassVar[str] = "bases"
    words: ClassVar = {"chain_bits": CHAIN_BITS, "slice_length": LENGTH}
    of_panel: ClassVar[str] = "scores"

    def __init__(self, predictor: Predictor, capacity: int, decoding: bool) -> None:
        coder = predictor.slice_coder(capacity, np.zeros(capacity, np.uint8))
        stream = np.zeros(plain_bytes(capacity) + END_BYTES, np.uint8) if decoding else coder.stream
        self._own_counts, self._sampling = not predictor.has_panel, predictor.settings.history_sampling
        super().__init__(Coded(coder.slice_, coder.symbols, stream, np.zeros(RESULT, np.uint64)), capacity)

    def kind_of(self, name: str, value: Any) -> str:
        """By its name, and whether it is of the panel."""
        in_panel, name = ".panel." in name, name.rsplit(".", 1)[-1]
        if not isinstance(value, np.ndarray):
            if name in self.words:
                return "own number"
            return "book number" if in_panel and not self._own_counts else "number"
        if name in FROZEN or value.size == 0:
            return "frozen"
        if in_panel and not (self._own_counts and name == "counts"):
            return "shared"
        return "local" if name in LOCAL else "interleaved" if name in INTERLEAVED else "lane"

    def is_carried(self, name: str) -> bool:
        """All but most of the scratch."""
        return ".scratch." not in name or name.rsplit(".", 1)[-1] in CARRIED

    def own(self, work: Work) -> dict[int, int]:
        """What follows from its length."""
        return {CHAIN_BITS: index_bits(work.length // max(self._sampling, 1)), LENGTH: work.length}

    def inputs(self, work: Work) -> dict[str, NDArray[Any]]:
        """None."""
        return {}

    def body(self, form: Callable[[Any], Any], decoding: bool) -> Callable[..., Any]:
        """`slice.run`, on from where the slice is."""
        run, begin = form(slices.run), form(begin_decoding)

        def code(slice_: Any, symbols: Any, stream: Any, stop: Any, end: Any) -> Any:
            registers, numbers = slice_.state.registers, slice_.state.numbers
            if decoding and numbers[DONE] == 0:
                coder = begin(stream)
                registers[LOW], numbers[POSITION] = coder.low, coder.position
            run(slice_, symbols, stop, stream, end, decoding)
            return registers[LOW], registers[WIDTH], numbers[POSITION]

        return code


@dataclass(frozen=True, eq=False)
class Experts:
    """All slices that a predictor codes."""

    predictor: Predictor

    def capacity(self, works: Sequence[Work]) -> int:
        """Bases of the longest."""
        return power_above(max(work.length for work in works))

    def layout(self, capacity: int, decoding: bool) -> ExpertLayout:
        """That of slices of at most so many bases."""
        return ExpertLayout(self.predictor, capacity, decoding)
