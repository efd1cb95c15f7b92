"""Cut FASTQ, or a pair of texts, into parts at the start of reads; mates come into the same part."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.sequence.fastq import LINE_FEED, line_ends
from geneformer_codec.sequence.parts import Part, fill

_LOG = logging.getLogger("geneformer_codec")
_READ_BYTES = 1 << 22
QUALITY_BINS = {
    "illumina8": ((2, 9, 6), (10, 19, 15), (20, 24, 22), (25, 29, 27), (30, 34, 33), (35, 39, 37), (40, 93, 40)),
    "illumina4": ((0, 2, 2), (3, 17, 12), (18, 29, 23), (30, 93, 37)),
}
"""Phred scores from, to, and what they become; those of no bin stay."""
BYTES_A_BASE = 2
"""A part has at most so many bytes of text for each base it may have: those of the base and of its quality."""


def split_reads(streams: Sequence[BinaryIO], part_bases: int, bins: str | None = None) -> Iterator[Part]:
    """The parts of a stream of FASTQ, or of a pair; the qualities of their reads binned, if ``bins`` are named.

    A part has at most ``BYTES_A_BASE * part_bases`` bytes of text, the last a quarter more, in whole reads where they
    are regular. Of a pair, a part has as many reads of both while both last.
    """
    if part_bases < 1:
        raise ValueError("part_bases must be at least 1")
    texts = [_Text(stream, max(1, BYTES_A_BASE * part_bases // len(streams))) for stream in streams]
    number = 0
    while number == 0 or any(text.left for text in texts):
        for text in texts:
            text.look()
        # Where a text is at its end, or has no reads at hand, there is nothing to keep together.
        together = min(text.fitting for text in texts)
        pieces = [_binned(text.take(together), bins) for text in texts]
        for text in texts:
            text.fill()
        yield Part(number, pieces[0], b"", True, True, True, *pieces[1:])
        number += 1
    counts = [text.reads for text in texts]
    if len(set(counts)) > 1:
        _LOG.warning("the files hold %d and %d reads, so that not all can be mates; archived as they are", *counts)


def _binned(text: bytes, bins: str | None) -> bytes:
    from geneformer_codec.sequence._read_kernels import map_ranges, scan_reads

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
    """One text: what of it was read and not taken yet, and the reads in it."""

    def __init__(self, stream: BinaryIO, limit: int) -> None:
        self._stream, self._limit = stream, limit
        self._most = limit + limit // 4
        self._buffer, self._place, self._finished = b"", 0, False
        self._stops: NDArray[np.int64] = np.zeros(0, np.int64)
        self._head = b""
        self.reads = 0
        self.fill()

    @property
    def left(self) -> int:
        """Bytes at hand; none when it is at its end."""
        return len(self._buffer) - self._place

    @property
    def fitting(self) -> int:
        """How many reads fit into a part."""
        return len(self._stops)

    @property
    def _whole(self) -> bool:
        """Whether all that is left may go into one part."""
        return self._finished and self.left <= self._most

    def fill(self) -> None:
        """Have enough at hand for a part."""
        if not self._finished and self.left <= self._most:
            pieces = [self._buffer[self._place :]]
            self._finished = fill(self._stream, pieces, max(self._most + 1, _READ_BYTES))
            self._buffer, self._place = b"".join(pieces), 0

    def look(self) -> None:
        """Find the reads that fit into a part."""
        from geneformer_codec.sequence._read_kernels import scan_reads

        self._head = self._buffer[self._place : self._place + (self._most if self._whole else self._limit)]
        octets = np.frombuffer(self._head, np.uint8)
        # A line that goes on behind the limit must not be taken for the last one of the text.
        self._stops = scan_reads(octets, line_ends(octets) if self._whole else np.flatnonzero(octets == LINE_FEED))[3]

    def take(self, reads: int) -> bytes:
        """The text of so many reads; of as many as fit, or of lines alone, for 0."""
        taken = reads or self.fitting
        if self._whole and taken == self.fitting:
            cut = len(self._head)
        elif taken:
            cut = int(self._stops[taken - 1])
        else:
            cut = self._head.rfind(b"\n") + 1 or len(self._head)
        self._place += cut
        self.reads += taken
        return self._head[:cut]
