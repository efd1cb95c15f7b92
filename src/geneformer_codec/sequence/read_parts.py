"""Cut FASTQ, or a pair of texts, into parts at the start of reads; mates come into the same part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.sequence.fasta import line_ends
from geneformer_codec.sequence.fastq import LINE_FEED
from geneformer_codec.sequence.parts import Part, Readable, shortest_part

_NAME_BYTES = 256
"""So much of a name is kept for a message."""
_READ_BYTES = 1 << 22
QUALITY_BINS = {
    "illumina8": ((2, 9, 6), (10, 19, 15), (20, 24, 22), (25, 29, 27), (30, 34, 33), (35, 39, 37), (40, 93, 40)),
    "illumina4": ((0, 2, 2), (3, 17, 12), (18, 29, 23), (30, 93, 37)),
}
"""Phred scores from, to, and what they become; those of no bin stay."""
BYTES_A_BASE = 2
"""A part is to have so many bytes of text for each base it may have: those of the base and of its quality."""


class MateNames:
    """Compares the names of mates, as their reads come.

    ``odd`` of ``pairs`` do not match, the first of them, from 1, being ``first`` with these ``names``. Nothing is
    compared after a part that does not hold as many reads of both texts.
    """

    def __init__(self) -> None:
        self.pairs = self.odd = self.first = 0
        self.names: tuple[str, ...] = ()
        self._together = True

    def add(self, texts: Sequence[bytes]) -> None:
        """Compare the reads of a part."""
        from geneformer_codec.sequence.read_kernels import find_odd_mates, scan_reads

        if len(texts) != 2 or not self._together:
            return
        one, other = (np.frombuffer(text, np.uint8) for text in texts)
        starts, mates = (scan_reads(octets, line_ends(octets))[0] for octets in (one, other))
        odd, first = find_odd_mates(one, starts, other, mates)
        if odd and not self.odd:
            self.first = self.pairs + int(first) + 1
            self.names = tuple(
                (text[int(begins[first]) + 1 :][:_NAME_BYTES].split(None, 1) or [b""])[0].decode(errors="replace")
                for text, begins in zip(texts, (starts, mates), strict=True)
            )
        self.odd += int(odd)
        self.pairs += min(len(starts), len(mates))
        self._together = len(starts) == len(mates)


def split_reads(
    streams: Sequence[Readable], part_bases: int, bins: str | None = None, names: MateNames | None = None
) -> Iterator[Part]:
    """The parts of a stream of FASTQ, or of a pair; the qualities of their reads binned, if ``bins`` are named.

    ``names`` gets the texts of all parts.

    A part has at most ``BYTES_A_BASE * part_bases`` bytes of text, in whole reads where they are regular; half as many
    more where reads are that long, and in the end. So none but an only one has less than half as many. Of a pair, a
    part has as many reads of both while both last.
    """
    if part_bases < 1:
        raise ValueError("part_bases must be at least 1")
    size = BYTES_A_BASE * part_bases
    texts = [_Text(stream, size) for stream in streams]
    number = 0
    while number == 0 or any(text.left for text in texts):
        pieces = [_binned(piece, bins) for piece in _next_part(texts, size)]
        if names:
            names.add(pieces)
        yield Part(number, pieces[0], b"", True, True, True, *pieces[1:])
        number += 1
        for text in texts:
            text.fill()


def _next_part(texts: Sequence[_Text], size: int) -> list[bytes]:
    """A piece of each text."""
    for text in texts:
        text.look()
    left, shortest = sum(text.left for text in texts), shortest_part(size)
    if left <= size + shortest and all(text.finished for text in texts):
        return [text.take(text.left) for text in texts]
    together = min(len(text.stops) for text in texts)
    sizes = np.sum([text.stops[:together] for text in texts], axis=0)
    count = int(np.searchsorted(sizes, size, "right"))
    if count < together and (not count or sizes[count - 1] < shortest):
        count += 1  # a long read
    if count and shortest <= sizes[count - 1] <= min(size + shortest, left - shortest):
        return [text.take(int(text.stops[count - 1])) for text in texts]
    # A text is at its end, or has no reads at hand: there is nothing to keep together. Who has least goes first.
    pieces: dict[int, bytes] = {}
    for number in sorted(range(len(texts)), key=lambda number: texts[number].left):
        taken = sum(map(len, pieces.values()))
        room = (size - taken) // (len(texts) - len(pieces))
        is_last = len(pieces) == len(texts) - 1
        pieces[number] = texts[number].take_most(room, shortest - taken if is_last else shortest_part(room))
    return [pieces[number] for number in range(len(texts))]


def _binned(text: bytes, bins: str | None) -> bytes:
    from geneformer_codec.sequence.read_kernels import map_ranges, scan_reads

    if bins is None:
        return text
    octets = np.frombuffer(text, np.uint8).copy()
    _, _, bodies, stops, _, _ = scan_reads(octets, line_ends(octets))
    table = np.arange(256, dtype=np.uint8)
    for first, last, value in QUALITY_BINS[bins]:
        table[33 + first : 33 + last + 1] = 33 + value
    map_ranges(octets, bodies, stops, table)
    return octets.tobytes()


class _Text:
    """One text: what of it was read and not taken yet, and where the reads in it stop."""

    def __init__(self, stream: Readable, size: int) -> None:
        self._stream = stream
        self._most = size + shortest_part(size)
        self._needed = self._most + shortest_part(size)  # a part, and a shortest one behind it
        self._octets = np.empty(self._needed + max(shortest_part(size), _READ_BYTES), np.uint8)
        self._place = self._end = 0
        self.finished = False
        self.stops: NDArray[np.int64] = np.zeros(0, np.int64)
        self.fill()

    @property
    def left(self) -> int:
        """Bytes at hand; none when it is at its end, and all there are if it is ``finished``."""
        return self._end - self._place

    def fill(self) -> None:
        """Have enough at hand for a part, and to see whether it is the last one."""
        if self.finished or self.left > self._needed:
            return
        count = max(self._needed + 1 - self.left, _READ_BYTES)
        if self._end + count > len(self._octets):
            octets = self._octets.data
            octets[: self.left] = octets[self._place : self._end]
            self._place, self._end = 0, self.left
        while count > 0 and not self.finished:
            piece = self._stream.read(count)
            self._octets[self._end : self._end + len(piece)] = np.frombuffer(piece, np.uint8)
            self._end += len(piece)
            count -= len(piece)
            self.finished = not piece

    def look(self) -> None:
        """Find the reads that fit into a part."""
        from geneformer_codec.sequence.read_kernels import scan_reads

        known = int(self.stops[-1]) if len(self.stops) else 0
        octets = self._octets[self._place + known : min(self._place + self._most, self._end)]
        # A line that goes on behind these must not be taken for the last one of the text.
        is_all = self.finished and known + len(octets) == self.left
        stops = scan_reads(octets, line_ends(octets) if is_all else np.flatnonzero(octets == LINE_FEED))[3]
        self.stops = np.concatenate((self.stops, known + stops))

    def take(self, size: int) -> bytes:
        """So many bytes."""
        taken = int(np.searchsorted(self.stops, size, "right"))
        whole = taken and self.stops[taken - 1] == size
        self.stops = self.stops[taken:] - size if whole else self.stops[:0]
        self._place += size
        return self._octets[self._place - size : self._place].tobytes()

    def take_most(self, size: int, least: int) -> bytes:
        """As much as there is, up to a size: to the last read that ends at ``least`` there, else to the last line."""
        if self.left <= size:
            return self.take(self.left)
        count = int(np.searchsorted(self.stops, size, "right"))
        cut = int(self.stops[count - 1]) if count else 0
        if cut < least:
            start = max(0, least - 1)
            line = self._octets[self._place + start : self._place + size].tobytes().rfind(b"\n")
            cut = start + line + 1 if line >= 0 else size
        return self.take(cut)
