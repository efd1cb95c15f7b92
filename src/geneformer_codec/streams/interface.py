"""What a stream of a part is: a kind of data that is coded by itself, such as names, layout or bases.

To add one, write a module with a subclass of `Stream`, add it to the table in ``streams/table.py``, and give
`PartContent` a field for what it holds. CONTRIBUTING.md has the other steps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.interface import BaseCoder, Progress
from geneformer_codec.coding.slices import Run, SliceCodec, code_slices
from geneformer_codec.errors import FormatError
from geneformer_codec.sequence.fasta import Case, Exceptions, FastaText, Layout, parse
from geneformer_codec.sequence.fastq import ReadLayout, parse_reads, render_reads
from geneformer_codec.sequence.parts import Part
from geneformer_codec.streams.slice_table import SliceTable

Bases = NDArray[np.uint8]
UNKNOWN = 4
"""A base that the coder may choose."""


class Choice(NamedTuple):
    """How the bases of a block are predicted, as far as blocks of an archive differ.

    ``strands`` is 1 or 2 for experts that learn from one strand or from both, else 0. ``without_model``: the archive
    has a model, which does not help here.
    """

    strands: int
    without_model: bool


ONLY_CHOICE = Choice(0, False)
"""Where blocks do not differ."""


class ReadAlignment(Protocol):
    """How the reads of a part are coded: mapped to a panel, or by themselves."""

    own: Bases
    """The bases of reads that are coded by themselves; empty until they are decoded."""

    @property
    def own_lengths(self) -> NDArray[np.int64]:
        """How many of these each such read has."""
        ...


class ReadAligner(Protocol):
    """What maps reads to a panel, and codes those that are mapped (`align.aligner`)."""

    def align(self, bases: Bases, lengths: NDArray[np.int64], texts: Sequence[int]) -> ReadAlignment | None:
        """How reads of so many ``lengths`` are coded, of which each text has so many; None: all by themselves."""
        ...

    def encode_places(self, alignment: Any) -> bytes:
        """Where the reads lie."""
        ...

    def decode_places(
        self, coded: bytes, lengths: NDArray[np.int64], texts: Sequence[int], own_count: int
    ) -> ReadAlignment:
        """The inverse of `encode_places`; so many bases are in reads that are coded by themselves."""
        ...

    def expected(self, alignment: Any) -> Bases:
        """All bases, as far as they are known without the differences."""
        ...

    def code_differences(
        self, alignment: Any, bases: Bases, qualities: NDArray[np.uint8], edges: Sequence[int] | None,
        streams: Sequence[bytes] | None, run: Run,
    ) -> list[bytes]:  # fmt: skip
        """Where ``bases`` differ from those expected, given the quality of each; or decode ``streams`` into them.

        All reads are one slice if ``edges`` is None. Else slices begin at these reads, and end at the last of them;
        ``bases`` and qualities are those of the reads in between.
        """
        ...


class BaseCoders(Protocol):
    """What codes bases, by how they are to be predicted."""

    def encode(
        self, bases: Bases, cut: Callable[[Choice], list[int]], progress: Progress | None
    ) -> tuple[Choice, list[int], list[bytes]]:
        """The best choice, and the lengths and bytes of the slices that ``cut`` gives for it."""
        ...

    def coder(self, choice: Choice) -> BaseCoder:
        """What decodes blocks of a choice."""
        ...

    def aligner(self) -> ReadAligner | None:
        """What maps reads; None without a panel."""
        ...

    def code_slices(
        self, codec: SliceCodec, slices: Sequence[Any], streams: Sequence[bytes] | None, progress: Progress | None
    ) -> list[bytes]:
        """Code slices of reads, as `coding.slices.code_slices`; ``progress``, told of no bases, may stop it."""
        ...


@dataclass(frozen=True)
class Coding:
    """How parts are coded; ``coders`` are needed for bases and qualities alone.

    Reads are cut into slices of at most 2**``slice_bits`` residues, if that is not 0.
    """

    level: str
    slice_length: int
    coders: BaseCoders | None = None
    progress: Progress | None = None
    slice_bits: int = 0

    def slice_length_of(self, choice: Choice) -> int:
        """The most bases in a slice of a block; 0 for all of it."""
        return 0 if choice.without_model else self.slice_length

    @property
    def run(self) -> Run:
        """What codes slices of reads."""
        if self.coders is None:
            return code_slices
        return partial(self.coders.code_slices, progress=self.progress)


@dataclass
class PartContent:
    """A part of a sample as arrays, one field or more for each stream.

    Encoding starts with a full one (`parse`). Decoding starts with the numbers that the manifest has, and each stream
    sets its fields, in the order of the table: so it may use what those before it have set.
    """

    text_bytes: int
    is_reads: bool
    record_count: int = 0
    residue_count: int = 0
    base_count: int = 0
    own_count: int = 0
    """Bases that are coded in slices: all but those of mapped reads, and those of filled runs."""
    slice_count: int = 0
    choice: Choice = ONLY_CHOICE
    payload_bytes: int = 0
    read_layouts: tuple[ReadLayout, ...] = ()
    layout: Layout = field(init=False)
    names: bytes = field(init=False)
    """Each followed by a line feed."""
    case: Case = field(init=False)
    exceptions: Exceptions = field(init=False)
    alignment: ReadAlignment | None = None
    """How reads are coded, if some are mapped to a panel."""
    slices: SliceTable = field(init=False)
    bases: Bases = field(init=False)
    qualities: NDArray[np.uint8] = field(init=False)
    digests: bytes = field(init=False)

    @classmethod
    def parse(cls, part: Part) -> PartContent:
        """All of a part but ``slices``, which the payload sets when it is encoded."""
        content = cls(sum(map(len, part.texts)), part.is_reads)
        text = part.text
        if part.is_reads:
            text, content.qualities, content.read_layouts = parse_reads(part.texts)
        fasta, content.bases = parse(text)
        content.record_count, content.residue_count = fasta.layout.records, fasta.residue_count
        content.base_count = len(content.bases)
        content.layout, content.names = fasta.layout, fasta.names
        content.case, content.exceptions = fasta.case, fasta.exceptions
        content.fasta, content.digests = fasta, part.digests
        return content

    @cached_property
    def fasta(self) -> FastaText:
        """The text, or that of the headers and sequence lines of reads, without its bases."""
        fasta = FastaText(self.names, self.layout, self.case, self.exceptions, self.text_bytes)
        bases = fasta.base_count - self.exceptions.fill_count
        if bases != self.base_count or (fasta.text_bytes != self.text_bytes and not self.is_reads):
            raise FormatError("its side streams are not those of the manifest; the archive is damaged")
        return fasta

    @property
    def read_counts(self) -> tuple[int, ...]:
        """How many reads each text has."""
        return tuple(layout.reads for layout in self.read_layouts)

    def fill(self) -> None:
        """Give bases to runs of exceptions where a passage before has some in their place, before anything is encoded.

        They are `UNKNOWN`: the coder takes what it finds likeliest.
        """
        if not len(self.exceptions.places):
            return
        from geneformer_codec.sequence.fills import filled_runs

        runs = self.exceptions.cut(self.fasta.residue_edges)
        filled = filled_runs(self.bases, runs.bases_before(runs.places), runs.lengths)
        if filled.any():
            chosen = filled != 0
            places = np.repeat(runs.bases_before(runs.places)[chosen], runs.lengths[chosen])
            self.bases = np.insert(self.bases, places, UNKNOWN)
        self.exceptions = replace(runs, filled=filled)
        self.__dict__.pop("fasta", None)

    def align(self, aligner: ReadAligner) -> None:
        """Map the reads, before anything is encoded."""
        self.alignment = aligner.align(self.bases, self.fasta.fragment_bases, self.read_counts)

    def aligner(self, coding: Coding) -> ReadAligner:
        """What codes mapped reads; ``FormatError`` for damaged data that have some and no panel."""
        assert coding.coders is not None
        if (aligner := coding.coders.aligner()) is None:
            raise FormatError("reads are mapped, and the archive has no panel; the archive is damaged")
        return aligner

    @property
    def own_bases(self) -> Bases:
        """Bases that are coded in slices."""
        return self.alignment.own if self.alignment else self.bases

    @property
    def own_lengths(self) -> NDArray[np.int64]:
        """How many of them each fragment has that has any."""
        return self.alignment.own_lengths if self.alignment else self.fasta.fragment_bases

    def base_qualities(self) -> NDArray[np.uint8]:
        """The qualities of bases, without those of other residues."""
        return self.qualities[self.fasta.exceptions.are_bases(self.residue_count)]

    @cached_property
    def residues(self) -> NDArray[np.uint8]:
        """All residues as they are in the text, without line ends."""
        return self.fasta.all_residues(self.bases)

    @cached_property
    def texts(self) -> tuple[bytes, ...]:
        """The text, or those of a pair."""
        text = self.fasta.render_lines(self.residues)
        return render_reads(self.read_layouts, text, self.qualities, self.text_bytes) if self.is_reads else (text,)


class Stream(ABC):
    """Codes one kind of data of a part."""

    id: ClassVar[str]
    counted_as: ClassVar[Literal["payload", "side", "index"]] = "side"
    of_reads: ClassVar[bool] = False
    """Empty for FASTA."""
    concurrent: ClassVar[bool] = False
    """Worth a thread of its own beside the payload when it is encoded."""

    @abstractmethod
    def encode(self, part: PartContent, coding: Coding) -> bytes:
        """The bytes of the stream."""

    @abstractmethod
    def decode(self, data: bytes, part: PartContent, coding: Coding) -> None:
        """Set the stream's fields of ``part``; ``FormatError`` when the data are damaged."""
