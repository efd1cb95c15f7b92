"""Sort the reads of a text, or the pairs of two, by name: in bounded memory, with temporary files.

Texts are read in chunks. Each is sorted and stays where it was read to. Then buckets are made, one after the other:
all reads from one name to another, which are consecutive in each chunk.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.errors import OutputError
from geneformer_codec.files import guarded, temporary
from geneformer_codec.sequence.fasta import line_ends
from geneformer_codec.sequence.fastq import LINE_FEED
from geneformer_codec.sequence.parts import Readable
from geneformer_codec.sequence.read_parts import BYTES_A_BASE, split_reads

CHUNK_BYTES = 1 << 25
"""Of text in a chunk and a bucket, of pairs both; memory is a few times as much."""
MOST_CHUNKS = 8
"""Chunks that a bucket may be as large as, where names are the same."""
NAME_BYTES = 88
"""Of a name in a key; longer ones end in a hash."""
_KEY = np.dtype(f"S{NAME_BYTES + 8}")
"""The name, and behind it the number of the read in its text, big endian: no two are equal."""
_SAMPLED = 64
"""Keys of each chunk that are remembered, to choose where buckets end."""

Octets = NDArray[np.uint8]
Integers = NDArray[np.int64]
Keys = NDArray[np.bytes_]


@dataclass(frozen=True)
class _Chunk:
    """Where a chunk is in the temporary files: of each text, its reads, its bytes and where both begin."""

    reads: tuple[int, ...]
    sizes: tuple[int, ...]
    first: tuple[int, ...]
    places: tuple[int, ...]


@dataclass(frozen=True)
class _Piece:
    """Reads of one text that follow one another in a chunk, or several such pieces."""

    text: Octets
    keys: Keys
    sizes: Integers

    @classmethod
    def joined(cls, pieces: Sequence[_Piece]) -> _Piece:
        """The pieces as one."""
        columns = zip(*((piece.text, piece.keys, piece.sizes) for piece in pieces), strict=True)
        return cls(*map(np.concatenate, columns))

    def take(self, order: Integers) -> _Piece:
        """Some reads, in this order."""
        from geneformer_codec.sequence.read_kernels import take_ranges

        starts, sizes = np.cumsum(self.sizes) - self.sizes, self.sizes[order]
        text = np.empty(int(sizes.sum()), np.uint8)
        take_ranges(self.text, starts[order], sizes, text)
        return _Piece(text, self.keys[order], sizes)

    def checksum(self) -> int:
        """A number that is the same for the same reads in any order."""
        from geneformer_codec.sequence.read_kernels import sum_hashes

        return int(sum_hashes(self.text, self.sizes))

    def numbers(self) -> NDArray[np.uint64]:
        """The number of each read in its text."""
        return self.keys.view(np.uint8).reshape(-1, _KEY.itemsize)[:, NAME_BYTES:].copy().view(">u8")[:, 0]


@dataclass(frozen=True)
class Bucket:
    """Reads that follow one another by name: of each text those that have a mate, then those that have none."""

    paired: tuple[_Piece, ...]
    alone: tuple[_Piece, ...]

    @property
    def texts(self) -> tuple[bytes, ...]:
        """The texts."""
        return tuple(
            piece.text.tobytes() + rest.text.tobytes() for piece, rest in zip(self.paired, self.alone, strict=True)
        )

    def in_order(self) -> tuple[bytes, ...]:
        """The texts of the same reads, in the order in which they were read."""
        both = [_Piece.joined(pieces) for pieces in zip(self.paired, self.alone, strict=True)]
        return tuple(piece.take(np.argsort(piece.numbers())).text.tobytes() for piece in both)


class ReadSorter(contextlib.AbstractContextManager["ReadSorter"]):
    """All reads of a text, or of a pair of texts, which are read at once; ``label`` names them in errors.

    ``obstacle`` says why they are left in their order, if they are: "" if they can be sorted. If both texts have as
    many reads, two that are at the same place are mates. Otherwise those are that have the same name, but for ``/1``
    and ``/2`` at its end.
    """

    def __init__(self, streams: Sequence[Readable], label: str) -> None:
        self.obstacle = ""
        self._count = len(streams)
        self._chunks: list[_Chunk] = []
        self._checksum = 0
        with contextlib.ExitStack() as stack:
            files = [temporary(label) for _ in range(3 * self._count)]
            for file, _ in files:
                stack.callback(file.close)
            self._place = files[0][1]
            self._texts, self._keys, self._alone = (
                [file for file, _ in files[kind * self._count :][: self._count]] for kind in range(3)
            )
            self._read(streams)
            if not self.obstacle:
                self._sort()
            self._files = stack.pop_all()

    def __exit__(self, *_: object) -> None:
        self._files.close()

    # --- reading -----------------------------------------------------------------------------------------------------

    def _read(self, streams: Sequence[Readable]) -> None:
        reads, places = (0,) * self._count, (0,) * self._count
        for part in split_reads(streams, CHUNK_BYTES // BYTES_A_BASE):
            pieces = [self._piece(text, first) for text, first in zip(part.texts, reads, strict=True)]
            self._chunks.append(
                _Chunk(
                    reads=tuple(len(piece.keys) for piece in pieces),
                    sizes=tuple(map(len, part.texts)),
                    first=reads,
                    places=places,
                )
            )
            self._write(self._chunks[-1], pieces)
            reads = tuple(map(sum, zip(reads, self._chunks[-1].reads, strict=True)))
            places = tuple(map(sum, zip(places, self._chunks[-1].sizes, strict=True)))
        if not any(reads):
            self.obstacle = self.obstacle or "there are no reads"
        # Of a pair, reads at the same place are in the same chunk.
        self._by_place = all(len(set(chunk.reads)) == 1 for chunk in self._chunks)

    def _piece(self, text: bytes, first: int) -> _Piece:
        """A text with its keys; none if it has anything but regular reads."""
        from geneformer_codec.sequence.read_kernels import name_keys, scan_reads

        octets = np.frombuffer(text, np.uint8)
        starts, _, _, stops, _, _ = scan_reads(octets, line_ends(octets))
        if int((stops - starts).sum()) != len(octets):
            self.obstacle = self.obstacle or "it has text that is no regular read"
        elif len(octets) and octets[-1] != LINE_FEED:
            self.obstacle = self.obstacle or "its last line has no end"
        keys = np.zeros((0 if self.obstacle else len(starts), _KEY.itemsize), np.uint8)
        if len(keys):
            name_keys(octets, starts, self._count > 1, keys[:, :NAME_BYTES])
            numbers = np.arange(first, first + len(starts), dtype=">u8")
            keys[:, NAME_BYTES:] = numbers.view(np.uint8).reshape(-1, 8)
        piece = _Piece(octets, keys.reshape(-1).view(_KEY), (stops - starts)[: len(keys)])
        self._checksum += piece.checksum()
        return piece

    def _write(self, chunk: _Chunk, pieces: Sequence[_Piece]) -> None:
        with guarded(self._place):
            for number, piece in enumerate(pieces):
                self._texts[number].seek(chunk.places[number])
                self._texts[number].write(piece.text.data)
                self._keys[number].seek(chunk.first[number] * (_KEY.itemsize + 8))
                self._keys[number].write(piece.keys.tobytes() + piece.sizes.tobytes())

    def _piece_of(self, chunk: _Chunk, number: int) -> _Piece:
        """All that a chunk has of a text."""
        return self._stored(chunk, number, (0, chunk.reads[number]), (0, chunk.sizes[number]))

    def _stored(self, chunk: _Chunk, number: int, reads: Sequence[int], places: Sequence[int]) -> _Piece:
        """What a chunk has of a text, from and to a read, and from and to a place."""
        begin = chunk.first[number] * (_KEY.itemsize + 8)
        sizes = begin + chunk.reads[number] * _KEY.itemsize
        return _Piece(
            _read_array(self._texts[number], chunk.places[number] + places[0], places[1] - places[0], np.uint8),
            _read_array(self._keys[number], begin + reads[0] * _KEY.itemsize, reads[1] - reads[0], _KEY),
            _read_array(self._keys[number], sizes + reads[0] * 8, reads[1] - reads[0], np.int64),
        )

    # --- sorting -----------------------------------------------------------------------------------------------------

    def _sort(self) -> None:
        """Sort the reads in each chunk, and choose where buckets end."""
        samples, before, is_sorted = [], np.zeros(1, _KEY), self._by_place
        for chunk in self._chunks:
            pieces = [self._piece_of(chunk, number) for number in range(self._count)]
            orders = [np.argsort(piece.keys, kind="stable") for piece in pieces]
            if self._by_place:  # a mate goes where the first of the pair does, and has its key
                orders = [orders[0] for _ in pieces]
                pieces = [_Piece(piece.text, pieces[0].keys, piece.sizes) for piece in pieces]
            pieces = [piece.take(order) for piece, order in zip(pieces, orders, strict=True)]
            self._write(chunk, pieces)
            keys = pieces[0].keys
            if len(keys):
                is_sorted &= bool(before[0] < keys[0]) and bool((np.diff(orders[0]) > 0).all())
                before = keys[-1:]
            samples += [piece.keys[:: len(piece.keys) // _SAMPLED + 1] for piece in pieces]
        if is_sorted:
            self.obstacle = "it is sorted by name"
        total = sum(sum(chunk.sizes) for chunk in self._chunks)
        sample = np.sort(np.concatenate(samples))
        ends = sample[np.linspace(0, len(sample), -(-total // CHUNK_BYTES), endpoint=False, dtype=np.int64)[1:]]
        if not self._by_place:  # reads of one name are in one bucket, of whatever text
            octets = ends.view(np.uint8).reshape(-1, _KEY.itemsize)  # of a copy, as indexing by numbers makes one
            octets[:, NAME_BYTES:] = 0
        self._edges = [[self._edges_of(chunk, number, ends) for number in range(self._count)] for chunk in self._chunks]
        sizes = np.sum([np.diff(places) for chunk in self._edges for _, places in chunk], axis=0)
        if int(sizes.max()) > MOST_CHUNKS * CHUNK_BYTES:
            self.obstacle = self.obstacle or "too many reads have the same name"

    def _edges_of(self, chunk: _Chunk, number: int, ends: Keys) -> tuple[Integers, Integers]:
        """Where buckets begin and end in a chunk, in reads and in bytes."""
        piece = self._stored(chunk, number, (0, chunk.reads[number]), (0, 0))
        reads = np.concatenate(([0], np.searchsorted(piece.keys, ends), [len(piece.keys)])).astype(np.int64)
        return reads, np.append(0, np.cumsum(piece.sizes))[reads]

    # --- what comes out ----------------------------------------------------------------------------------------------

    def in_order(self) -> Iterator[tuple[bytes, ...]]:
        """The texts as they were read, piece by piece."""
        for chunk in self._chunks:
            pieces = (self._piece_of(chunk, number) for number in range(self._count))
            yield tuple(
                (piece.take(np.argsort(piece.numbers())) if len(piece.keys) else piece).text.tobytes()
                for piece in pieces
            )

    def first_bucket(self) -> Bucket:
        """The reads whose names come first."""
        return next(self._buckets())

    def texts(self) -> Iterator[tuple[bytes, ...]]:
        """The texts sorted by name, piece by piece; reads of a pair that have no mate come last.

        ``OutputError`` if they are not the reads that were read.
        """
        for file in self._alone:
            file.seek(0)
        found = 0
        for bucket in self._buckets():
            found += sum(piece.checksum() for piece in (*bucket.paired, *bucket.alone))
            yield tuple(piece.text.tobytes() for piece in bucket.paired)
            with guarded(self._place):
                for file, piece in zip(self._alone, bucket.alone, strict=True):
                    file.write(piece.text.data)
        if (found - self._checksum) % (1 << 64):
            raise OutputError(f"{self._place} has lost or changed reads; check the disk, or the memory of the computer")
        sizes = [file.tell() for file in self._alone]
        for place in range(0, max(sizes), CHUNK_BYTES):
            pieces = list[bytes]()
            for file, size in zip(self._alone, sizes, strict=True):
                file.seek(min(place, size))
                pieces.append(file.read(min(CHUNK_BYTES, size - min(place, size))))
            yield tuple(pieces)

    def _buckets(self) -> Iterator[Bucket]:
        for number in range(len(self._edges[0][0][0]) - 1):
            pieces = [self._gathered(number, text) for text in range(self._count)]
            if self._by_place:
                yield Bucket(tuple(pieces), tuple(piece.take(np.zeros(0, np.int64)) for piece in pieces))
            else:
                yield _by_name(pieces)

    def _gathered(self, bucket: int, number: int) -> _Piece:
        """The sorted reads of a bucket."""
        pieces = []
        for chunk, edges in zip(self._chunks, self._edges, strict=True):
            reads, places = (row[bucket : bucket + 2].tolist() for row in edges[number])
            pieces.append(self._stored(chunk, number, reads, places))
        joined = _Piece.joined(pieces)
        return joined.take(np.argsort(joined.keys, kind="stable"))


def _read_array(file: BinaryIO, place: int, count: int, dtype: Any) -> NDArray[Any]:
    file.seek(place)
    return np.frombuffer(file.read(count * np.dtype(dtype).itemsize), dtype)


def _by_name(pieces: Sequence[_Piece]) -> Bucket:
    """A bucket of two texts, in which reads of the same name are mates."""
    from geneformer_codec.sequence.read_kernels import match_names

    rows = [piece.keys.view(np.uint8).reshape(-1, _KEY.itemsize)[:, :NAME_BYTES] for piece in pieces]
    matched = [np.zeros(len(row), np.bool_) for row in rows]
    one, other = (np.require(row, requirements=["C", "W"]) for row in rows)
    match_names(one, other, *matched)
    chosen = zip(pieces, matched, strict=True)
    paired, alone = zip(
        *((piece.take(np.flatnonzero(has_mate)), piece.take(np.flatnonzero(~has_mate))) for piece, has_mate in chosen),
        strict=True,
    )
    return Bucket(paired, alone)


class TextStream:
    """One of several texts that come together, piece by piece; what is not read yet is kept."""

    def __init__(self, pieces: Iterator[tuple[bytes, ...]], left: Sequence[bytearray], number: int) -> None:
        self._pieces, self._left, self._number = pieces, left, number

    @classmethod
    def of(cls, pieces: Iterator[tuple[bytes, ...]], count: int) -> tuple[TextStream, ...]:
        """A stream for each of ``count`` texts."""
        left = [bytearray() for _ in range(count)]
        return tuple(cls(pieces, left, number) for number in range(count))

    def read(self, size: int) -> bytes:
        """So many bytes, fewer at the end of a piece, none at the end of the text."""
        mine = self._left[self._number]
        while not mine:
            if (pieces := next(self._pieces, None)) is None:
                return b""
            for left, piece in zip(self._left, pieces, strict=True):
                left += piece
        taken = bytes(mine[:size])
        del mine[:size]
        return taken
