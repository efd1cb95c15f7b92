"""FASTQ text, or a pair of texts, to FASTA text, qualities and a shape; and back, byte for byte, whatever the text is.

A regular read is a header that begins with ``@``, sequence lines, a ``+`` line that repeats the name or is empty, and
quality lines as long as the sequence lines, all with the same line end. Its header and sequence lines are the FASTA
text, which is then treated as any other. Lines that belong to no regular read are *strays*, and are kept as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.errors import FormatError
from geneformer_codec.streams.packing import (
    ByteReader,
    encode_varint,
    frame,
    pack,
    pack_integers,
    unpack,
    unpack_integers,
)

Integers = NDArray[np.int64]
Octets = NDArray[np.uint8]

HEAD_BYTES = 1 << 16
"""So much of a text tells whether it is FASTQ."""
LINE_FEED, _HEADER = 10, 62


def is_fastq(head: bytes) -> bool:
    """Whether a text that begins so is to be taken for FASTQ: by its first byte that is not blank."""
    return head.lstrip()[:1] == b"@"


@dataclass(frozen=True)
class TextShape:
    """How the reads of one text stand in it.

    ``changes``: reads from change to change of whether the ``+`` line repeats the name, at first not. Strays are
    ``gaps`` reads apart and ``lengths`` bytes long. ``unfinished``: the last read's last line has no end.
    """

    reads: int
    unfinished: bool
    changes: Integers
    gaps: Integers
    lengths: Integers
    strays: bytes

    def pack(self) -> bytes:
        """To bytes."""
        columns = (pack_integers(column) for column in (self.changes, self.gaps, self.lengths))
        return encode_varint(self.reads) + bytes((self.unfinished,)) + frame((*columns, pack(self.strays)))

    @staticmethod
    def take(reader: ByteReader, max_text: int) -> TextShape:
        """Inverse of :meth:`pack`, checked for a text of at most ``max_text`` bytes."""
        reads, flags = reader.varint(max_text), reader.take(1)[0]
        changes = unpack_integers(reader.framed(), reads)
        gaps, lengths = (unpack_integers(reader.framed(), min(reads + 1, max_text)) for _ in range(2))
        strays = unpack(reader.framed(), max_text)
        if flags > 1 or flags > reads or len(gaps) != len(lengths):
            raise FormatError("damaged reads: columns that do not match")
        if any(len(column) and int(column.max()) > max_text for column in (changes, gaps, lengths)):
            raise FormatError("damaged reads: a number is larger than the text")
        if int(lengths.sum()) != len(strays):
            raise FormatError("damaged reads: strays of another length than said")
        return TextShape(reads, bool(flags), changes, gaps, lengths, strays)


@dataclass(frozen=True)
class ReadsShape:
    """The shapes of the texts of a part: one, or those of a pair."""

    texts: tuple[TextShape, ...]

    def pack(self) -> bytes:
        """To bytes: number of texts, then their shapes."""
        return bytes((len(self.texts),)) + b"".join(text.pack() for text in self.texts)

    @staticmethod
    def unpack(data: bytes, max_text: int) -> ReadsShape:
        """Inverse of :meth:`pack`, for texts of at most ``max_text`` bytes in all; FormatError if damaged."""
        reader = ByteReader(data, "reads")
        count = reader.take(1)[0]
        if count not in (1, 2):
            raise FormatError("damaged reads: neither one text nor a pair")
        shape = ReadsShape(tuple(TextShape.take(reader, max_text) for _ in range(count)))
        reader.finish()
        return shape

    def pack_names(self, names: bytes, quick: bool = False) -> bytes:
        """Pack the names of all reads, each followed by a line feed; ``quick`` as for other names."""
        if len(self.texts) == 1:
            from geneformer_codec.streams.names import pack_names

            return pack_names(names, quick)
        from geneformer_codec.sequence.mates import pack_pair

        return pack_pair(names, self.texts[0].reads, quick)

    def unpack_names(self, data: bytes, count: int, max_text: int) -> bytes:
        """Inverse of :meth:`pack_names`, which were ``count`` names of at most ``max_text`` bytes."""
        reads = [text.reads for text in self.texts]
        if sum(reads) != count:
            raise FormatError("damaged reads: not as many as the layout has headers")
        if len(reads) == 1:
            from geneformer_codec.streams.names import unpack_names

            return unpack_names(data, count, max_text)
        from geneformer_codec.sequence.mates import unpack_pair

        return unpack_pair(data, reads[0], reads[1], max_text)


class Reads(NamedTuple):
    """Texts taken apart: FASTA text of all reads, their qualities as they stand in the text, and what else there is."""

    fasta: bytes
    qualities: Octets
    shape: ReadsShape


def take_apart(texts: Sequence[bytes]) -> Reads:
    """Take a text or a pair of texts apart; any bytes at all will do."""
    fastas, qualities, shapes = zip(*map(_take_apart, texts), strict=True)
    return Reads(b"".join(fastas), np.concatenate(qualities), ReadsShape(shapes))


def line_ends(octets: Octets) -> Integers:
    """Where the lines of a text end: its line feeds, and its own end if the last line has none."""
    ends = np.flatnonzero(octets == LINE_FEED)
    if len(octets) and octets[-1] != LINE_FEED:
        ends = np.append(ends, len(octets))
    return ends


def _take_apart(text: bytes) -> tuple[bytes, Octets, TextShape]:
    from geneformer_codec.sequence.read_kernels import gather_qualities, gather_ranges, scan_reads

    octets = np.frombuffer(text, np.uint8)
    starts, pluses, bodies, stops, _, repeats = scan_reads(octets, line_ends(octets))
    fasta = gather_ranges(octets, starts, pluses)
    fasta[np.cumsum(pluses - starts) - (pluses - starts)] = _HEADER
    before, after = np.append(0, stops), np.append(starts, len(text))
    places = np.flatnonzero(after > before)
    shape = TextShape(
        reads=len(starts),
        unfinished=bool(len(stops) and stops[-1] == len(text) and octets[-1] != LINE_FEED),
        changes=_steps(np.flatnonzero(np.diff(repeats, prepend=0))),
        gaps=_steps(places),
        lengths=(after - before)[places],
        strays=gather_ranges(octets, before[places], after[places]).tobytes(),
    )
    return fasta.tobytes(), gather_qualities(octets, pluses, bodies, stops), shape


def _steps(places: Integers) -> Integers:
    return np.diff(places, prepend=0)


def put_together(shape: ReadsShape, fasta: bytes, qualities: Octets, max_text: int) -> list[bytes]:
    """Inverse of :func:`take_apart`: the texts, of at most ``max_text`` bytes in all."""
    from geneformer_codec.sequence.read_kernels import write_reads

    if fasta and fasta[-1] != LINE_FEED:
        raise FormatError("damaged reads: the last line has no end")
    octets = np.frombuffer(fasta, np.uint8)
    place = used = left = 0
    texts = []
    for text in shape.texts:
        out = np.empty(2 * (len(octets) - place) + len(text.strays), np.uint8)
        filled, place, used, end = write_reads(
            octets,
            place,
            qualities,
            used,
            text.reads,
            np.cumsum(text.changes),
            text.gaps,
            text.lengths,
            np.frombuffer(text.strays, np.uint8),
            out,
        )
        if filled < 0:
            raise FormatError("damaged reads: the layout has fewer records")
        texts.append(out[: filled - (end if text.unfinished else 0)].tobytes())
        left += len(texts[-1])
    if left > max_text or place != len(octets) or used != len(qualities):
        raise FormatError("damaged reads: they are not those of the layout")
    return texts
