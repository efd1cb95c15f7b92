"""The index of an archive's records: names, lengths and places of all, read from the streams of names and layout alone.

No index is stored: places follow from these streams. They are arrays, not objects, as an archive may hold
millions of reads.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.archive.block import split_streams
from geneformer_codec.archive.coders import Coders
from geneformer_codec.archive.read import Archive
from geneformer_codec.coding.interface import Progress
from geneformer_codec.errors import FormatError
from geneformer_codec.sequence.digests import DIGEST_BYTES, DIGEST_MIN_RESIDUES, PartDigests, RecordDigest
from geneformer_codec.sequence.fasta import Layout
from geneformer_codec.streams.table import RECORD_STREAMS

Integers = NDArray[np.int64]

_AT_ONCE = 1 << 14


@dataclass(frozen=True)
class Span:
    """Residues ``start`` to ``stop`` of all those of the block of this number in ``Archive.blocks``."""

    block: int
    start: int
    stop: int


@dataclass(frozen=True)
class RecordEntry:
    """Where a record is and what its digests are.

    ``name`` is the header up to the first blank, ``header`` all of it without ``>``. The record's first base is
    ``offset`` bases into ``slice_`` of the block of part ``block``, or into the block where some of its reads are
    mapped; a record of a huge sample may end in a later one.
    ``md5`` and ``refget`` (GA4GH, ``SQ.`` and sha512t24u) are of the upper-cased sequence, as samtools' M5; None
    where they are not stored and no coder was at hand to compute them.
    """

    name: str
    header: str
    block: int
    slice_: int
    offset: int
    residues: int
    bases: int
    md5: str | None
    refget: str | None


def name_of(header: bytes) -> bytes:
    """A record's name: its header up to the first blank, as samtools and most others take it."""
    words = header.split(None, 1)
    return words[0] if words else b""


def verify_archive(archive: Archive, coders: Coders, progress: Progress | None = None) -> None:
    """Decode everything and check every checksum; FormatError names the part or record that failed.

    In an archive of some parts of a sample, the digests of records are not checked, as records may go on elsewhere.
    """
    if not archive.manifest.complete:
        for _ in archive.decode_blocks(coders, progress):
            pass
        return
    digests = PartDigests()
    for number, content in enumerate(archive.decode_all(coders, progress)):
        block = archive.blocks[number]
        if block.is_reads:
            continue
        found = digests.add(content.texts[0], block.ends_record)
        if content.digests and found != content.digests:
            places = range(0, len(found) + 1, DIGEST_BYTES)
            wrong = next(at for at in places if content.digests[at:][:DIGEST_BYTES] != found[at:][:DIGEST_BYTES])
            index = RecordIndex.read(archive)
            records = [record for record in range(len(index)) if index.stored_digest(record) == (number, wrong)]
            name = index.name(records[0]).decode(errors="surrogateescape") if records else ""
            raise FormatError(
                f"{archive.label}: part {block.part}: record {name!r} does not match its MD5 and refget digest; "
                "the archive is damaged"
            )


class _Fragments(NamedTuple):
    """Of each fragment: the number of its block, its first residue there, its residues, and the width of its lines.

    In 32 bits, which is enough for what is in a part.
    """

    blocks: NDArray[np.int32]
    starts: NDArray[np.int32]
    sizes: NDArray[np.int32]
    widths: NDArray[np.int32]

    @classmethod
    def of(cls, block: int, layout: Layout) -> Self:
        """Those of a block."""
        starts = np.cumsum(layout.residues) - layout.residues
        columns = np.full(len(starts), block), starts, layout.residues, layout.first_widths()
        return cls(*(column.astype(np.int32) for column in columns))


class RecordIndex:
    """The records of a complete archive in order, by number.

    A fragment is what a part holds of a record. Those of one record follow one another, ``_first`` to ``_last``, the
    latter excluded.
    """

    def __init__(
        self,
        headers: bytes,
        fragments: _Fragments,
        first: Integers,
        last: Integers,
        has_digests: NDArray[np.bool_],
        read: Sequence[tuple[int, int, int]],
    ):
        self._headers, self._has_digests, self._read = headers, has_digests, read
        self._blocks, self._starts, self._sizes, self._widths = fragments
        self._first, self._last = first, last
        self._ends = np.flatnonzero(np.frombuffer(headers, np.uint8) == 10)
        before = np.concatenate((np.zeros(1, np.int64), np.cumsum(self._sizes, dtype=np.int64)))
        self.lengths: Integers = before[last] - before[first]

    @classmethod
    def read(cls, archive: Archive) -> Self:
        """Read it from an archive, of whose blocks only the streams of names and layout are read."""
        archive.check_complete()
        ranges = [archive.stream_range(block, RECORD_STREAMS[0], RECORD_STREAMS[-1]) for block in archive.blocks]
        archive.hold((block, *place) for block, place in zip(archive.blocks, ranges, strict=True))
        headers: list[bytes] = []
        fragments: list[_Fragments] = []
        first: list[Integers] = []
        last: list[Integers] = []
        read: list[tuple[int, int, int]] = []
        before, open_record = 0, False
        for number, (block, (start, stop)) in enumerate(zip(archive.blocks, ranges, strict=True)):
            data = archive.read_range(block, start, stop)
            read.append((start, stop, zlib.crc32(data)))
            content = archive.content(block, split_streams(block, data, RECORD_STREAMS))
            layout = content.layout
            headers.append(content.names)
            fragments.append(_Fragments.of(number, layout))
            begin = before + layout.has_preamble
            if layout.has_preamble and open_record:
                last[-1][-1] += 1
            if layout.records:
                first.append(np.arange(begin, begin + layout.records))
                last.append(first[-1] + 1)
            before += len(layout.residues)
            open_record = (open_record or layout.records > 0) and not block.ends_record
        columns = _Fragments(*map(np.concatenate, zip(*fragments, strict=True)))
        has_digests = np.array([block.streams["digests"] > 0 for block in archive.blocks])
        return cls(b"".join(headers), columns, _concatenate(first), _concatenate(last), has_digests, read)

    def check(self, number: int, entry: bytes) -> None:
        """Refuse a block's ``entry``, whose CRC-32 holds, if its names and layout are not those that were read here."""
        start, stop, checksum = self._read[number]
        if zlib.crc32(memoryview(entry)[start:stop]) != checksum:
            raise FormatError("its names arrived damaged when the archive was opened, or it has changed; open it again")

    def __len__(self) -> int:
        return len(self._first)

    def header(self, record: int) -> bytes:
        """The header line, without ``>`` and line end."""
        start = int(self._ends[record - 1]) + 1 if record else 0
        return self._headers[start : int(self._ends[record])]

    def name(self, record: int) -> bytes:
        """The name; see `name_of`."""
        return name_of(self.header(record))

    def names(self) -> Iterator[bytes]:
        """The names of all, split some at a time."""
        for first in range(0, len(self), _AT_ONCE):
            last = min(first + _AT_ONCE, len(self))
            start = int(self._ends[first - 1]) + 1 if first else 0
            yield from map(name_of, self._headers[start : int(self._ends[last - 1])].split(b"\n"))

    def line_width(self, record: int) -> int:
        """Residues in the record's lines, but for a shorter last one; 0 if all are in one line."""
        widths = self._widths[self._first[record] : self._last[record]]
        return int(widths[np.argmax(widths > 0)])  # a part may have been cut in the first line

    def find(self, name: bytes, which: int = 0) -> int | None:
        """The number of the first record of this name, or of the one ``which`` places after it."""
        hashes, order = self._by_hash
        wanted = hash(name)
        at = int(np.searchsorted(hashes, wanted))
        while at < len(order) and hashes[at] == wanted:
            if self.name(int(order[at])) == name:
                if not which:
                    return int(order[at])
                which -= 1
            at += 1
        return None

    @cached_property
    def _by_hash(self) -> tuple[Integers, Integers]:
        """Hashes of the names, ascending, and whose each is; the first of equal names comes first."""
        hashes = np.fromiter(map(hash, self.names()), np.int64, len(self))
        order = np.argsort(hashes, kind="stable")
        return hashes[order], order

    def spans(self, record: int, start: int, stop: int) -> list[Span]:
        """Where residues ``start`` to ``stop`` of a record are; no further than it goes."""
        spans, at = [], 0
        for fragment in range(int(self._first[record]), int(self._last[record])):
            size = int(self._sizes[fragment])
            begin, end = max(start - at, 0), min(stop - at, size)
            if begin < end:
                place = int(self._starts[fragment])
                spans.append(Span(int(self._blocks[fragment]), place + begin, place + end))
            at += size
            if at >= stop:
                break
        return spans

    def stored_digest(self, record: int) -> tuple[int, int] | None:
        """The number of the block that holds a record's digests, and where in its stream; None if there are none.

        Short records have none, nor have reads, nor those of blocks that digests would make much larger.
        """
        ends_in, digested, digests_before = self._digests
        if not digested[record]:
            return None
        block = ends_in[record]
        first_here = int(np.searchsorted(ends_in, block))
        return int(block), int(digests_before[record] - digests_before[first_here]) * DIGEST_BYTES

    @cached_property
    def _digests(self) -> tuple[Integers, NDArray[np.bool_], Integers]:
        """The block that each record ends in, whether it has digests, and how many records before it have."""
        ends_in = self._blocks[self._last - 1].astype(np.int64)
        digested = (self.lengths >= DIGEST_MIN_RESIDUES) & self._has_digests[ends_in]
        return ends_in, digested, np.cumsum(digested) - digested

    def entries(self, archive: Archive, coders: Coders | None = None) -> Iterator[RecordEntry]:
        """All records of the archive. With ``coders``, parts with records whose digests are not stored are decoded."""
        ends_in, digested, _ = self._digests
        bases, slices, offsets = (np.zeros(len(self._sizes), np.int64) for _ in range(3))
        digest, done = RecordDigest(), 0
        for number, block in enumerate(archive.blocks):
            data = archive.block_data(block)
            content = archive.text_content(block, data)
            begin, end = np.searchsorted(self._blocks, (number, number + 1)).tolist()
            bases[begin:end] = content.fasta.real_fragment_bases
            offsets[begin:end] = content.fasta.base_edges[:-1]
            if not block.is_aligned:
                slices[begin:end], offsets[begin:end] = content.slices.places(offsets[begin:end])
            # records that end here, and the one that goes on in the next part
            stop, until = int(np.searchsorted(ends_in, number, "right")), int(np.searchsorted(self._first, end))
            residues = None
            if coders is not None and not digested[done:until].all():
                residues = archive.decode(block, coders, data).residues.tobytes()
            if len(content.digests) != DIGEST_BYTES * digested[done:stop].sum():
                raise FormatError(f"{archive.label}: part {block.part}: not a digest for each record; it is damaged")
            for record in range(done, until):
                first, last = int(self._first[record]), int(self._last[record])
                digest = RecordDigest() if first >= begin else digest
                if residues is not None and not digested[record]:
                    start = int(self._starts[max(first, begin)])
                    digest.update(residues[start : start + int(self._sizes[max(first, begin)])])
                if record < stop:
                    stored = digest.stored() if residues is not None else None
                    if place := self.stored_digest(record):
                        stored = content.digests[place[1] : place[1] + DIGEST_BYTES]
                    header = self.header(record)
                    yield RecordEntry(
                        name=name_of(header).decode(errors="surrogateescape"),
                        header=header.decode(errors="surrogateescape"),
                        block=archive.blocks[self._blocks[first]].part,
                        slice_=int(slices[first]),
                        offset=int(offsets[first]),
                        residues=int(self.lengths[record]),
                        bases=int(bases[first:last].sum()),
                        md5=RecordDigest.md5(stored) if stored else None,
                        refget=RecordDigest.refget(stored) if stored else None,
                    )
            done = stop


def _concatenate(arrays: list[Integers]) -> Integers:
    return np.concatenate(arrays) if arrays else np.zeros(0, np.int64)
