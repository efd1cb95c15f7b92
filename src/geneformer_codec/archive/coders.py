"""What codes the blocks of an archive: one coder for each way in which a block may be predicted."""

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.archive.memory import Share
from geneformer_codec.coding.interface import BaseCoder, Progress
from geneformer_codec.coding.slices import code_slices
from geneformer_codec.coding.threads import with_free
from geneformer_codec.streams.interface import ONLY_CHOICE, UNKNOWN, Choice, ReadAligner

if TYPE_CHECKING:
    from geneformer_codec.coding.slices import SliceCodec
    from geneformer_codec.cuda.coder import Batches
    from geneformer_codec.predict.settings import ExpertSettings

ONE_STRAND, BOTH_STRANDS = 1, 2
"""Values of a block's ``strands``."""
STRANDS = ("auto", "one", "both")

Bases = NDArray[np.uint8]


class CodingModel(Protocol):
    """The interface of a model."""

    @property
    def id(self) -> str:
        """The digest of its content, 64 hexadecimal digits."""
        ...

    @property
    def name(self) -> str:
        """What it was called in training, the species mostly."""
        ...

    @property
    def data(self) -> bytes:
        """The bytes of its file, as an archive embeds it."""
        ...

    def expert_settings(self, level: str) -> "ExpertSettings | None":
        """How its experts are to predict at a level; None for a network alone."""
        ...

    @property
    def memory_bytes(self) -> int:
        """What it takes in memory, ready to code, but for slices and the tables that settings ask for."""
        ...

    def coder(
        self,
        settings: "ExpertSettings | None",
        device: str = "auto",
        threads: int = 0,
    ) -> BaseCoder:
        """The model made ready to code; ``settings`` are those that the archive states."""
        ...


class Coders:
    """Makes coders when they are first needed; used by all threads.

    ``make`` gives the coder of a choice, and ``choose`` the choices for the bases of a part: where there are several,
    the one that gives the fewest bytes is taken. ``parts_at_once`` is how many parts are to be worked on at a time,
    ``threads`` how many threads there are in all; ``share`` bounds the memory of side streams that are decoded.
    ``aligner`` gives what maps reads. ``chooses_bases``: bases to be encoded may be unknown. ``batches`` code slices on
    a GPU, if that is to be.
    """

    def __init__(
        self,
        model_id: str,
        make: Callable[[Choice], BaseCoder],
        choose: Callable[[Bases], Sequence[Choice]] = lambda _: (ONLY_CHOICE,),
        parts_at_once: int = 1,
        threads: int = 1,
        share: Share | None = None,
        aligner: Callable[[], ReadAligner | None] = lambda: None,
        chooses_bases: bool = False,
        batches: "Batches | None" = None,
        working: threading.Semaphore | None = None,
    ) -> None:
        self.model_id, self.parts_at_once = model_id, parts_at_once
        self.threads, self.share, self.chooses_bases = threads, share, chooses_bases
        self.working = working or threading.Semaphore(threads)
        """Held by whatever computes: a part may use two threads, and all parts no more than there are.

        Not by those that wait for a GPU.
        """
        self._make, self._choose, self._aligner, self._batches = make, choose, aligner, batches
        if batches:
            batches.working = self.working
        self._coders: dict[Choice, BaseCoder] = {}
        self._lock = threading.Lock()

    def encode(
        self, bases: Bases, cut: Callable[[Choice], list[int]], progress: Progress | None
    ) -> tuple[Choice, list[int], list[bytes]]:
        """The choice for a part's bases, and its slices: their lengths, as ``cut`` by the choice, and bytes."""
        tried: list[tuple[Choice, list[int], list[bytes]]] = []
        for choice in self._choose(bases[bases != UNKNOWN] if self.chooses_bases else bases):
            lengths = cut(choice)
            slices = self.coder(choice).encode(bases, lengths, None if tried else progress) if lengths else []
            if len(slices) != len(lengths):
                raise RuntimeError(f"the coder gave {len(slices)} slices for {len(lengths)}")
            tried.append((choice, lengths, slices))
        return min(tried, key=lambda one: sum(map(len, one[2])))

    def aligner(self) -> ReadAligner | None:
        """What maps reads to the panel of the model; None without one."""
        return self._aligner()

    def code_slices(
        self, codec: "SliceCodec", slices: Sequence[Any], streams: Sequence[bytes] | None, progress: Progress | None
    ) -> list[bytes]:
        """Code slices of reads: on a GPU, if they are enough, or on threads that are free.

        The caller's thread holds `working`.
        """
        if self._batches is not None and self._batches.takes(len(slices)):
            from geneformer_codec.cuda.read_slices import code_read_slices

            return code_read_slices(self._batches, codec, slices, streams, self.threads, progress)
        with with_free(self.working, len(slices)) as threads:
            return code_slices(codec, slices, streams, threads)

    def coder(self, choice: Choice) -> BaseCoder:
        """The coder of blocks of this choice."""
        with self._lock:
            if choice not in self._coders:
                self._coders[choice] = self._make(choice)
            return self._coders[choice]
