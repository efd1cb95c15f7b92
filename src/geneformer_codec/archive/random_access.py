"""Residues of any region of an archive, by decoding only the slices that it lies in.

Blocks of a local archive are checked against their CRC-32 when they are used. So are those of a remote one that
are small, or needed almost whole; of others only the streams and slices that are needed are fetched, and the CRC-32
of an entry cannot check pieces of it. Records that are read whole are checked against their digests.
"""

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.archive.block import ErrorContext, decode_streams, split_streams
from geneformer_codec.archive.coders import Coders
from geneformer_codec.archive.manifest import Block
from geneformer_codec.archive.read import Archive
from geneformer_codec.archive.record_index import RecordIndex, Span
from geneformer_codec.coding.interface import Progress
from geneformer_codec.coding.slices import code_slices
from geneformer_codec.coding.threads import in_order
from geneformer_codec.errors import FormatError, UsageError
from geneformer_codec.sequence.digests import DIGEST_BYTES, RecordDigest
from geneformer_codec.sequence.fasta import FastaText
from geneformer_codec.streams.alignments import CodedDifferences
from geneformer_codec.streams.interface import Choice, Coding, PartContent, ReadAligner, ReadAlignment
from geneformer_codec.streams.qualities.coder import CodedQualities
from geneformer_codec.streams.table import TEXT_STREAMS

PARTS_AT_ONCE = 32
_BEFORE_PAYLOAD = (*TEXT_STREAMS, "slices")
"""Streams that follow one another from the beginning of a block."""
QUALITIES_AT_ONCE = 2
"""Decoded slices of qualities that are kept, and parts whose coded qualities, or places of reads, are."""
BASES_AT_ONCE = 1 << 26
"""Of slices that are decoded together, on as many threads as there are."""
BASES_KEPT = 1 << 27
"""Of decoded slices."""
WHOLE_BYTES = 1 << 18
"""Blocks of at most so many bytes are fetched whole, and checked: it takes hardly longer than to ask for pieces."""

Bases = NDArray[np.uint8]
_Key = TypeVar("_Key")
_Held = TypeVar("_Held")


@dataclass(frozen=True)
class _Part:
    """A block made ready for reading stretches of it."""

    block: Block
    text: FastaText
    ends: NDArray[np.int64]
    """Where each slice ends, in bases."""
    payload: NDArray[np.int64]
    """Where each slice ends, in bytes of the block's entry; first where the first one begins."""
    data: bytes | None
    """The block's entry, where it was fetched whole from elsewhere."""
    reads: list[int] | None = None
    """Where its reads are mapped, those at which slices begin, and the end; one slice has all if it is None."""

    def slices(self, span: Span) -> tuple[int, int, range]:
        """The first base of a span, the one after its last, and the slices that hold them."""
        start, stop = self.text.bases_before(span.start), self.text.bases_before(span.stop)
        first = int(np.searchsorted(self.ends, start, "right"))
        return start, stop, range(first, int(np.searchsorted(self.ends, stop)) + 1 if start < stop else first)

    def bases_in(self, slice_: int) -> int:
        """The length of a slice."""
        return int(self.ends[slice_] - (self.ends[slice_ - 1] if slice_ else 0))

    def place(self, slice_: int) -> tuple[Block, int, int]:
        """Where a slice is in the block's entry."""
        return self.block, int(self.payload[slice_]), int(self.payload[slice_ + 1])


@dataclass(frozen=True)
class _Mapped:
    """A part of mapped reads, of whose slices each can be decoded by itself."""

    aligner: ReadAligner
    alignment: ReadAlignment
    fasta: FastaText
    bases: Bases
    """All that are expected."""
    residues: Bases
    """The same, as they are in the text."""
    are_bases: NDArray[np.bool_]
    """Of each residue."""
    qualities: CodedQualities
    differences: CodedDifferences

    @classmethod
    def of(cls, content: PartContent, coders: Coders, streams: dict[str, bytes]) -> "_Mapped":
        """A part whose streams before these are decoded."""
        assert content.alignment is not None
        aligner = content.aligner(Coding("", 0, coders))
        bases, fasta = aligner.expected(content.alignment), content.fasta
        qualities = CodedQualities.read(streams["qualities"], fasta.fragment_residues, content.residue_count)
        differences = CodedDifferences.read(streams["differences"], fasta.fragment_residues)
        if differences.reads != qualities.reads:
            raise FormatError("damaged differences: their slices are not those of the qualities")
        residues, are_bases = fasta.all_residues(bases), fasta.exceptions.are_bases(content.residue_count)
        return cls(aligner, content.alignment, fasta, bases, residues, are_bases, qualities, differences)

    def decode(self, slice_: int) -> tuple[Bases, bytes]:
        """Bases and qualities of a slice."""
        edges = self.qualities.reads[slice_ : slice_ + 2]
        begin, end = self.qualities.places[slice_ : slice_ + 2]
        qualities = self.qualities.decode(range(slice_, slice_ + 1), self.residues[begin:end])
        first, stop = self.fasta.base_edges[edges].tolist()
        bases, of_bases = self.bases[first:stop].copy(), qualities[self.are_bases[begin:end]]
        stream = self.differences.streams[slice_]
        self.aligner.code_differences(self.alignment, bases, of_bases, edges, [stream], code_slices)
        return bases, qualities.tobytes()


class SequenceReader:
    """Reads residues of records. ``coders`` are made when the first slice is decoded, as a model takes time to load."""

    def __init__(self, archive: Archive, coders: Callable[[], Coders], progress: Progress | None = None):
        self._archive, self._coders, self._progress = archive, coders, progress
        self._parts: OrderedDict[int, _Part] = OrderedDict()
        self._slices: OrderedDict[tuple[int, int], Bases] = OrderedDict()
        self._coded_qualities: OrderedDict[int, CodedQualities] = OrderedDict()
        self._qualities: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._mapped: OrderedDict[int, _Mapped] = OrderedDict()
        self.index = RecordIndex.read(archive)

    def pieces(self, spans: Iterable[Span]) -> Iterator[bytes]:
        """The residues of each span as they are in the text; the slices of many are decoded together."""
        batch: list[Span] = []
        bases, parts = 0, set[int]()
        for span in spans:
            more = self._bases_of(span)
            if batch and (bases + more > BASES_AT_ONCE or len(parts | {span.block}) > PARTS_AT_ONCE):
                yield from self._residues(batch)
                batch, bases, parts = [], 0, set()
            batch.append(span)
            bases += more
            parts.add(span.block)
        yield from self._residues(batch)

    def qualities(self, spans: Iterable[Span]) -> Iterator[bytes]:
        """The qualities of each span as they are in the text. Those of a slice are decoded all together, and kept."""
        for span in spans:
            if not self._archive.blocks[span.block].is_reads:
                raise UsageError(f"{self._archive.label}: is FASTA, which has no qualities")
            places, held = self._quality_places(span.block), [b""]
            for slice_ in range(bisect_right(places, span.start) - 1, bisect_left(places, span.stop)):
                begin, end = places[slice_ : slice_ + 2]
                held.append(
                    self._qualities_of(span.block, slice_)[max(span.start - begin, 0) : min(span.stop, end) - begin]
                )
            yield b"".join(held)

    def _quality_places(self, number: int) -> list[int]:
        """Where slices of qualities of a part begin, and the last one ends."""
        block = self._archive.blocks[number]
        if block.is_aligned:
            part = self._open({number})[number]
            return part.text.residue_edges[part.reads].tolist() if part.reads else [0, block.residues]
        if number not in self._coded_qualities:
            lengths = self._open({number})[number].text.fragment_residues
            with ErrorContext(self._archive.label, block):
                # all of the block is fetched, so that it can be checked
                self._archive.hold([], [block])
                data = split_streams(block, self._archive.block_data(block))["qualities"]
                self._coded_qualities[number] = CodedQualities.read(data, lengths, block.residues)
        _bound(self._coded_qualities, number, QUALITIES_AT_ONCE)
        return self._coded_qualities[number].places

    def _qualities_of(self, number: int, slice_: int) -> bytes:
        block, place = self._archive.blocks[number], (number, slice_)
        if place not in self._qualities and block.is_aligned:
            self._decode_mapped(number, [slice_])
        elif place not in self._qualities:
            coded = self._coded_qualities[number]
            residues = b"".join(self._residues([Span(number, *coded.places[slice_ : slice_ + 2])]))
            with ErrorContext(self._archive.label, block):
                decoded = coded.decode(range(slice_, slice_ + 1), np.frombuffer(residues, np.uint8))
                self._qualities[place] = decoded.tobytes()
        _bound(self._qualities, place, QUALITIES_AT_ONCE)
        return self._qualities[place]

    def checked(self, record: int, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The pieces of a whole record; when they end, their MD5 and refget digest must be those of the archive."""
        digest = RecordDigest()
        for piece in pieces:
            digest.update(piece)
            yield piece
        place = self.index.stored_digest(record)
        if place is None:
            return
        block = self._archive.blocks[place[0]]
        start, stop = self._archive.stream_range(block, "digests")
        if start + place[1] + DIGEST_BYTES > stop:
            raise FormatError(f"{self._archive.label}: part {block.part}: digests are missing; the archive is damaged")
        if self._archive.read_range(block, start + place[1], start + place[1] + DIGEST_BYTES) != digest.stored():
            name = self.index.name(record).decode(errors="surrogateescape")
            raise FormatError(f"{self._archive.label}: record {name!r} does not match its MD5; the archive is damaged")

    def _bases_of(self, span: Span) -> int:
        """How many bases may have to be decoded for a span, without opening its part: a few slices at most."""
        block = self._archive.blocks[span.block]
        slice_length = block.slice_length(self._archive.manifest.settings)
        bases = max(block.bases, block.slice_bases)
        return min(bases, span.stop - span.start + 2 * slice_length) if slice_length else bases

    def _residues(self, spans: list[Span]) -> Iterator[bytes]:
        parts, decoded = self._decode(spans)
        for span in spans:
            part = parts[span.block]
            start, stop, slices = part.slices(span)
            held = [np.zeros(0, np.uint8)]
            for slice_ in slices:
                begin, end = int(part.ends[slice_]) - part.bases_in(slice_), int(part.ends[slice_])
                held.append(decoded[span.block, slice_][max(start - begin, 0) : min(stop, end) - begin])
            with ErrorContext(self._archive.label, part.block):
                yield part.text.render_residues(np.concatenate(held), span.start, span.stop).tobytes()

    def _decode(self, spans: list[Span]) -> tuple[dict[int, _Part], dict[tuple[int, int], Bases]]:
        """Parts of spans and, as far as they are needed, slices; by number of the block, and of the slice in it."""
        parts = self._open({span.block for span in spans})
        wanted: dict[tuple[int, int], int] = {}  # to how many bases of each slice
        for span in spans:
            _, stop, slices = parts[span.block].slices(span)
            for slice_ in slices:
                place, end = (span.block, slice_), int(parts[span.block].ends[slice_])
                size = parts[span.block].bases_in(slice_)
                wanted[place] = max(wanted.get(place, 0), size - max(end - stop, 0))
                if 0 < len(self._slices.get(place, ())) < wanted[place]:
                    wanted[place] = size  # asked for again and again: once and for all
        by_choice: dict[Choice, list[tuple[int, int]]] = {}
        mapped: dict[int, list[int]] = {}
        for (number, slice_), size in wanted.items():
            if len(self._slices.get((number, slice_), ())) < size:
                if parts[number].block.is_aligned:
                    mapped.setdefault(number, []).append(slice_)
                    continue
                by_choice.setdefault(parts[number].block.choice, []).append((number, slice_))
        for number, missing in mapped.items():
            self._decode_mapped(number, missing)
        self._archive.hold(
            parts[number].place(slice_)
            for places in by_choice.values()
            for number, slice_ in places
            if parts[number].data is None
        )
        for choice, places in by_choice.items():
            coded = [self._coded(parts[number], slice_) for number, slice_ in places]
            lengths, sizes = (
                [parts[number].bases_in(slice_) for number, slice_ in places],
                [wanted[at] for at in places],
            )
            coders = self._coders()
            with ErrorContext(self._archive.label, parts[places[0][0]].block):
                coder = coders.coder(choice)
            with ErrorContext(self._archive.label):
                bases = coder.decode(coded, lengths, self._progress, sizes)
            for place, size, end in zip(places, sizes, np.cumsum(sizes).tolist(), strict=True):
                self._slices[place] = bases[end - size : end].copy()
        for place in wanted:
            self._slices.move_to_end(place)
        decoded = {place: self._slices[place] for place in wanted}
        kept = sum(len(slice_) for slice_ in self._slices.values())
        while kept > BASES_KEPT:
            kept -= len(self._slices.popitem(last=False)[1])
        return parts, decoded

    def _decode_mapped(self, number: int, slices: Sequence[int]) -> None:
        """Slices of a part of mapped reads: bases and qualities."""
        part, coders = self._open({number})[number], self._coders()
        if part.reads is None:
            content = self._archive.decode(part.block, coders)
            self._keep_mapped(number, 0, content.bases, content.qualities.tobytes())
            return
        if number not in self._mapped:
            self._mapped[number] = self._mapped_part(part.block, coders)
        _bound(self._mapped, number, QUALITIES_AT_ONCE)
        mapped = self._mapped[number]

        def decode(slice_: int, _: Progress) -> tuple[Bases, bytes]:
            with ErrorContext(self._archive.label, part.block):
                return mapped.decode(slice_)

        for slice_, decoded in zip(slices, in_order(decode, slices, coders.threads), strict=True):
            self._keep_mapped(number, slice_, *decoded)

    def _keep_mapped(self, number: int, slice_: int, bases: Bases, qualities: bytes) -> None:
        self._slices[number, slice_], self._qualities[number, slice_] = bases, qualities
        _bound(self._qualities, (number, slice_), QUALITIES_AT_ONCE)

    def _mapped_part(self, block: Block, coders: Coders) -> _Mapped:
        """All of a part but its qualities and differences."""
        self._archive.hold([], [block])
        streams = split_streams(block, self._archive.block_data(block))
        before = {name: streams[name] for name in (*_BEFORE_PAYLOAD, "alignments", "payload")}
        with self._archive.expanding(block), ErrorContext(self._archive.label, block):
            content = decode_streams(block, self._archive.manifest.settings, before, coders)
            return _Mapped.of(content, coders, streams)

    def _coded(self, part: _Part, slice_: int) -> bytes:
        """The bytes of a slice."""
        block, start, stop = part.place(slice_)
        return self._archive.read_range(block, start, stop) if part.data is None else part.data[start:stop]

    def _open(self, numbers: set[int]) -> dict[int, _Part]:
        """Blocks made ready; of a remote archive, what they need is fetched together."""
        missing = {number: self._archive.blocks[number] for number in sorted(numbers - self._parts.keys())}
        self._archive.hold(
            [
                (block, *self._archive.stream_range(block, _BEFORE_PAYLOAD[0], _BEFORE_PAYLOAD[-1]))
                for block in missing.values()
                if not _is_read_whole(block)
            ],
            [block for block in missing.values() if _is_read_whole(block)],
        )
        for number, block in missing.items():
            self._parts[number] = self._part(number, block)
        for number in numbers:
            self._parts.move_to_end(number)
        opened = {number: self._parts[number] for number in numbers}
        while len(self._parts) > PARTS_AT_ONCE:
            self._parts.popitem(last=False)
        return opened

    def _part(self, number: int, block: Block) -> _Part:
        archive, data = self._archive, None
        start, stop = archive.stream_range(block, _BEFORE_PAYLOAD[0], _BEFORE_PAYLOAD[-1])
        if archive.remote and not _is_read_whole(block):
            head = archive.read_range(block, start, stop)
        else:
            data = archive.block_data(block)
            head = data[start:stop]
            with ErrorContext(archive.label, block):
                self.index.check(number, data)
        content = archive.content(block, split_streams(block, head, _BEFORE_PAYLOAD))
        if block.is_aligned:
            assert data is not None
            differences = split_streams(block, data)["differences"]
            with ErrorContext(archive.label, block):
                reads = CodedDifferences.read(differences, content.fasta.fragment_residues).reads
            ends = content.fasta.base_edges[reads[1:]] if reads else np.array([block.bases])
            return _Part(block, content.fasta, ends, np.array([stop, stop]), None, reads)
        payload = np.concatenate(([0], np.cumsum(content.slices.sizes, dtype=np.int64))) + stop
        kept = data if archive.remote else None
        return _Part(block, content.fasta, np.cumsum(content.slices.lengths, dtype=np.int64), payload, kept)


def _bound(held: OrderedDict[_Key, _Held], used: _Key, most: int) -> None:
    """Leave what was used last."""
    held.move_to_end(used)
    while len(held) > most:
        held.popitem(last=False)


def _is_read_whole(block: Block) -> bool:
    """Whether a block of a remote archive is fetched whole, and so checked: small, or one slice, most of it."""
    if block.is_aligned or block.stored_bytes <= WHOLE_BYTES:
        return True
    return block.slices <= 1 and not block.streams["qualities"]
