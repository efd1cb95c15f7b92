"""What a stream of a part is: a kind of data that is coded by itself, such as names, layout or bases.

To add one, write a module with a subclass of `Stream`, add it to the table in ``streams/table.py``, and give
`PartContent` a field for what it holds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.coding.interface import BaseCoder, Progress
from geneformer_codec.errors import FormatError
from geneformer_codec.sequence.fasta import Case, Exceptions, FastaText, Layout, parse
from geneformer_codec.sequence.fastq import ReadLayout, parse_reads, render_reads
from geneformer_codec.sequence.parts import Part
from geneformer_codec.streams.slice_table import SliceTable

Bases = NDArray[np.uint8]


class Choice(NamedTuple):
    """How the bases of a block are predicted, as far as blocks of an archive differ.

    ``strands`` is 1 or 2 for experts that learn from one strand or from both, else 0. ``without_model``: the archive
    has a model, which does not help here.
    """

    strands: int
    without_model: bool


ONLY_CHOICE = Choice(0, False)
"""Where blocks do not differ."""


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


@dataclass(frozen=True)
class Coding:
    """How parts are coded; ``coders`` are needed for the payload alone."""

    level: str
    slice_length: int
    coders: BaseCoders | None = None
    progress: Progress | None = None

    def slice_length_of(self, choice: Choice) -> int:
        """The most bases in a slice of a block; 0 for all of it."""
        return 0 if choice.without_model else self.slice_length


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
    slice_count: int = 0
    choice: Choice = ONLY_CHOICE
    payload_bytes: int = 0
    read_layouts: tuple[ReadLayout, ...] = ()
    layout: Layout = field(init=False)
    names: bytes = field(init=False)
    """Each followed by a line feed."""
    case: Case = field(init=False)
    exceptions: Exceptions = field(init=False)
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
        if fasta.base_count != self.base_count or (fasta.text_bytes != self.text_bytes and not self.is_reads):
            raise FormatError("its side streams are not those of the manifest; the archive is damaged")
        return fasta

    @cached_property
    def residues(self) -> NDArray[np.uint8]:
        """All residues as they stand in the text, without line ends."""
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
