"""Where every record of an archive is: names and lengths of all, read from names and layout alone.

Arrays, not objects: an archive may hold millions of reads.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.archive.block import naming
from geneformer_codec.archive.manifest import Block
from geneformer_codec.errors import FormatError
from geneformer_codec.sequence.fastq import ReadsShape
from geneformer_codec.sequence.parts import DIGEST_BYTES, DIGEST_MIN_RESIDUES
from geneformer_codec.streams.layout import Layout
from geneformer_codec.streams.names import unpack_names

if TYPE_CHECKING:
    from geneformer_codec.archive.read import Archive

Integers = NDArray[np.int64]

_AT_ONCE = 1 << 14


@dataclass(frozen=True)
class Span:
    """Residues ``start`` to ``stop`` of all those of the block of this number in ``Archive.blocks``."""

    block: int
    start: int
    stop: int


def name_of(header: bytes) -> bytes:
    """A record's name: its header up to the first blank, as samtools and most others take it."""
    words = header.split(None, 1)
    return words[0] if words else b""


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
        columns = np.full(len(starts), block), starts, layout.residues, _widths(layout)
        return cls(*(column.astype(np.int32) for column in columns))


class Catalogue:
    """The records of a complete archive in order, by number.

    A fragment is what a part holds of a record. Those of one record follow one another, ``_first`` to ``_last``, the
    latter excluded.
    """

    def __init__(
        self,
        headers: bytes,
        fragments: "_Fragments",
        first: Integers,
        last: Integers,
        is_reads: NDArray[np.bool_],
        read: Sequence[tuple[int, int, int]],
    ):
        self._headers, self._is_reads, self._read = headers, is_reads, read
        self._blocks, self._starts, self._sizes, self._widths = fragments
        self._first, self._last = first, last
        self._ends = np.flatnonzero(np.frombuffer(headers, np.uint8) == 10)
        before = np.concatenate((np.zeros(1, np.int64), np.cumsum(self._sizes, dtype=np.int64)))
        self.lengths: Integers = before[last] - before[first]

    @classmethod
    def of(cls, archive: "Archive") -> Self:
        """Read it from an archive, of whose blocks only names and layout are looked at."""
        archive.check_complete()
        archive.hold((block, *archive.stream_range(block, "names", "layout")) for block in archive.blocks)
        with archive.expanding():
            return cls._read_from(archive)

    @classmethod
    def _read_from(cls, archive: "Archive") -> Self:
        headers: list[bytes] = []
        fragments: list[_Fragments] = []
        first: list[Integers] = []
        last: list[Integers] = []
        read: list[tuple[int, int, int]] = []
        before, open_record = 0, False
        for number, block in enumerate(archive.blocks):
            start, stop = archive.stream_range(block, "names", "layout")
            data = archive.read_range(block, start, stop)
            read.append((start, stop, zlib.crc32(data)))
            with naming(block, archive.label):
                names, layout = _unpack(block, data)
            headers.append(names)
            count, fresh = len(layout.residues), layout.records
            fragments.append(_Fragments.of(number, layout))
            begin = before + layout.has_preamble
            if layout.has_preamble and open_record:
                last[-1][-1] += 1
            if fresh:
                first.append(np.arange(begin, begin + fresh))
                last.append(first[-1] + 1)
            before += count
            open_record = (open_record or fresh > 0) and not block.ends_record
        columns = _Fragments(*map(np.concatenate, zip(*fragments, strict=True)))
        is_reads = np.array([block.is_reads for block in archive.blocks])
        return cls(b"".join(headers), columns, _joined(first), _joined(last), is_reads, read)

    def check(self, number: int, entry: bytes) -> None:
        """Refuse a block's ``entry``, which is sound, whose names and layout are not those that were read here."""
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
        """The names of all, taken apart some at a time."""
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
        """The number of the block that holds a record's digests, and where in its index stream; None if there are none.

        Short records have none, nor have reads.
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
        digested = (self.lengths >= DIGEST_MIN_RESIDUES) & ~self._is_reads[ends_in]
        return ends_in, digested, np.cumsum(digested) - digested


def _unpack(block: Block, data: bytes) -> tuple[bytes, Layout]:
    """The headers of a block, each followed by a line feed, and its layout; ``data`` are the streams that have them."""
    names, reads = block.streams["names"], block.streams["names"] + block.streams["reads"]
    unpack = ReadsShape.unpack(data[names:reads], block.text_bytes).unpack_names if block.is_reads else unpack_names
    most = block.text_bytes
    layout, headers = Layout.unpack(data[reads:], most, lambda count: unpack(data[:names], count, most))
    if layout.records != block.records or int(layout.residues.sum()) != block.residues:
        raise FormatError("its layout is not that of the manifest; the archive is damaged")
    return headers, layout


def _widths(layout: Layout) -> Integers:
    """Residues in the first line of each fragment, 0 if it has one line."""
    widths, blanks = layout.per_fragment()
    listed = np.flatnonzero(blanks < 0)
    if len(listed):
        firsts = np.cumsum(layout.listed) - layout.listed
        some = layout.listed > 0
        if len(firsts) != len(listed) or int(firsts.max()) > len(layout.lengths):
            raise FormatError("damaged layout: its lines are not those of its fragments")
        widths[listed[some]] = layout.lengths[firsts[some]]
    return widths


def _joined(arrays: list[Integers]) -> Integers:
    return np.concatenate(arrays) if arrays else np.zeros(0, np.int64)
