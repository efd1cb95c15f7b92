"""Experts as coders of blocks: with the archive's model or without, learning from one strand or from both.

What is best for a part is measured on samples of it: whether both strands are used, and whether the model helps.
"""

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from geneformer_codec.archive.coders import BOTH_STRANDS, ONE_STRAND, Bases, CodingModel
from geneformer_codec.archive.manifest import EXPERTS
from geneformer_codec.archive.settings import Settings
from geneformer_codec.coding.interface import BaseCoder
from geneformer_codec.sequence.strands import ENOUGH, both_strands, stretches
from geneformer_codec.streams.interface import Choice, ReadAligner

if TYPE_CHECKING:
    from geneformer_codec.cuda.coder import Batches

STRETCHES = 4
LEAST_STRETCH, MOST_STRETCH = 1 << 12, 1 << 16
STRETCH_SHARE = 1024
"""The model is tried on so many stretches, each a share of the part, within bounds of bases."""
HELPS, HINDERS = 0.6, 0.98
"""Bytes with the model for each without, on these stretches, up to which it surely helps, and from which it does not.

In between, the whole part is coded both ways: without a model, a part that repeats itself becomes much smaller than its
stretches tell.
"""
SURE_BASES = 128
"""With so many bases of them a byte or more, the model surely helps, and is not compared with anything."""
FEW_HITS = 16
"""Seeds of a part found in the panel below which the panel does not decide its strand."""


class ExpertCoders:
    """Makes and chooses the coders of an archive of these settings, on ``threads`` threads, held by ``working``.

    ``strands`` is one of `coders.STRANDS`; ``batches`` code slices on a GPU, if that is to be.
    """

    def __init__(
        self,
        needed: str,
        model: CodingModel | None,
        settings: Settings,
        threads: int,
        strands: str,
        working: threading.Semaphore,
        batches: "Batches | None" = None,
    ) -> None:
        self._model = None if needed == EXPERTS else model
        self._settings, self._threads, self._strands = settings, threads, strands
        self._working, self._batches = working, batches
        self._opened: BaseCoder | None = None
        self._lock = threading.Lock()

    def make(self, choice: Choice) -> BaseCoder:
        """The coder of a choice: on the GPU, unless its slices are whole parts."""
        from geneformer_codec.predict.coder import ExpertCoder

        coder = self._on_cpu(choice)
        if self._batches is None or choice.without_model or not isinstance(coder, ExpertCoder):
            return coder
        from geneformer_codec.cuda.coder import CudaExpertCoder

        return CudaExpertCoder(coder, self._batches)

    def _on_cpu(self, choice: Choice) -> BaseCoder:
        from geneformer_codec.predict.coder import ExpertCoder

        both = choice.strands == BOTH_STRANDS
        if self._model is None or choice.without_model:
            from geneformer_codec.model.initial_states import shipped_initial_state
            from geneformer_codec.predict.predictor import Predictor

            experts = self._settings.without_model if choice.without_model else self._settings.experts
            assert experts is not None
            state = shipped_initial_state(experts)
            predictor = Predictor(replace(experts, both_strands=both), mixer=state.mixer, low=state.low)
            return ExpertCoder(predictor, EXPERTS, self._threads, self._working)
        with self._lock:
            if self._opened is None:
                self._opened = self._model.coder(self._settings.experts, "auto", self._threads)
        if not isinstance(self._opened, ExpertCoder):
            return self._opened
        return self._opened.for_strands(both, self._working)

    def aligner(self) -> ReadAligner | None:
        """What maps reads to the panel of the model; None without one."""
        from geneformer_codec.align.aligner import Aligner
        from geneformer_codec.predict.coder import ExpertCoder

        coder = self._on_cpu(Choice(ONE_STRAND, False)) if self._model else None
        experts = self._settings.experts
        if not isinstance(coder, ExpertCoder) or coder.predictor.tables is None or experts is None:
            return None
        return Aligner(coder.predictor.tables, experts.panel_seed_length, experts.panel_sampling)

    def choose(self, bases: Bases) -> Sequence[Choice]:
        """The choice for a part with these bases, or two of which the better one is to be taken."""
        if self._model is None:
            return (Choice(self._own_strands(bases), False),)
        aided = Choice(self._panel_strands(bases), False)
        if self._settings.without_model is None or not len(bases):
            return (aided,)
        some = stretches(bases, STRETCHES, min(max(len(bases) // STRETCH_SHARE, LEAST_STRETCH), MOST_STRETCH))
        aided_bytes = self._encoded_bytes(aided, some)
        if aided_bytes * SURE_BASES <= len(some):
            return (aided,)
        alone = Choice(self._own_strands(bases), True)
        alone_bytes = self._encoded_bytes(alone, some)
        if aided_bytes <= HELPS * alone_bytes:
            return (aided,)
        return (alone,) if aided_bytes >= HINDERS * alone_bytes else (aided, alone)

    def _encoded_bytes(self, choice: Choice, bases: Bases) -> int:
        return sum(map(len, self._on_cpu(choice).encode(bases, [len(bases)])))

    def _own_strands(self, bases: Bases) -> int:
        return self._stated() or (BOTH_STRANDS if both_strands(bases) else ONE_STRAND)

    def _panel_strands(self, bases: Bases) -> int:
        """As `_own_strands`, by the strand that seeds of the part have in the panel, unless the model wants both."""
        from geneformer_codec.predict.coder import ExpertCoder

        experts = self._settings.experts
        if self._stated() or (experts and experts.both_strands):
            return self._stated() or BOTH_STRANDS
        coder = self._on_cpu(Choice(ONE_STRAND, False))
        if not isinstance(coder, ExpertCoder):
            return ONE_STRAND
        forward, reverse = coder.predictor.strand_hits(np.ascontiguousarray(stretches(bases, STRETCHES, MOST_STRETCH)))
        if forward + reverse < FEW_HITS:
            return self._own_strands(bases)
        return BOTH_STRANDS if reverse * ENOUGH[1] >= forward * ENOUGH[0] else ONE_STRAND

    def _stated(self) -> int:
        return {"one": ONE_STRAND, "both": BOTH_STRANDS}.get(self._strands, 0)
