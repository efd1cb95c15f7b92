"""What codes the blocks of an archive: one coder, or, without a model, one for each choice of strands."""

import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.archive.memory import Share
from geneformer_codec.coding.interface import BaseCoder

AS_THE_MODEL, ONE_STRAND, BOTH_STRANDS = 0, 1, 2
"""What a block says of strands."""
STRANDS = ("auto", "one", "both")


class Coders:
    """Makes coders when they are first needed; used by all threads.

    ``parts_at_once`` is how many parts are to be worked on at a time, ``threads`` how many threads there are in all;
    ``strands`` is one of `STRANDS`, or None where it is not a block's own choice; ``share`` bounds the memory of side
    streams that are decoded.
    """

    def __init__(
        self,
        model_id: str,
        make: Callable[[int], BaseCoder],
        parts_at_once: int = 1,
        strands: str | None = None,
        threads: int = 1,
        share: Share | None = None,
    ) -> None:
        self.model_id, self.parts_at_once = model_id, parts_at_once
        self.threads, self.share = threads, share
        self.working = threading.BoundedSemaphore(max(threads, parts_at_once))
        """Held by whatever computes: a part may use two threads, and all parts no more than there are."""
        self._make, self._strands = make, strands
        self._coders: dict[int, BaseCoder] = {}
        self._lock = threading.Lock()

    def choose(self, bases: NDArray[np.uint8]) -> int:
        """What the block of a part with these bases is to say of strands."""
        if self._strands is None:
            return AS_THE_MODEL
        if self._strands != "auto":
            return ONE_STRAND if self._strands == "one" else BOTH_STRANDS
        from geneformer_codec.sequence.strands import both_strands

        return BOTH_STRANDS if both_strands(bases) else ONE_STRAND

    def coder(self, strands: int) -> BaseCoder:
        """The coder of blocks that say this of strands."""
        with self._lock:
            if strands not in self._coders:
                self._coders[strands] = self._make(strands)
            return self._coders[strands]
