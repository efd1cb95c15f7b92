"""The stream ``reads``: the layout of reads in FASTQ text, or in a pair of texts."""

from __future__ import annotations

from collections.abc import Sequence

from geneformer_codec.errors import FormatError
from geneformer_codec.sequence.fastq import ReadLayout
from geneformer_codec.streams.interface import Coding, PartContent, Stream
from geneformer_codec.streams.packing import (
    ByteReader,
    encode_varint,
    frame,
    pack,
    pack_integers,
    unpack,
    unpack_integers,
)


def pack_reads(layouts: Sequence[ReadLayout]) -> bytes:
    """To bytes: number of texts, then the layout of the reads of each."""
    return bytes((len(layouts),)) + b"".join(map(_pack_text, layouts))


def unpack_reads(data: bytes, max_text: int) -> tuple[ReadLayout, ...]:
    """Inverse of :func:`pack_reads`, for texts of at most ``max_text`` bytes in all; FormatError if damaged."""
    reader = ByteReader(data, "reads")
    count = reader.take(1)[0]
    if count not in (1, 2):
        raise FormatError("damaged reads: neither one text nor a pair")
    layouts = tuple(_unpack_text(reader, max_text) for _ in range(count))
    reader.finish()
    return layouts


def _pack_text(layout: ReadLayout) -> bytes:
    columns = (pack_integers(column) for column in (layout.changes, layout.gaps, layout.lengths))
    return encode_varint(layout.reads) + bytes((layout.unfinished,)) + frame((*columns, pack(layout.unparsed)))


def _unpack_text(reader: ByteReader, max_text: int) -> ReadLayout:
    reads, flags = reader.varint(max_text), reader.take(1)[0]
    changes = unpack_integers(reader.framed(), reads)
    gaps, lengths = (unpack_integers(reader.framed(), min(reads + 1, max_text)) for _ in range(2))
    unparsed = unpack(reader.framed(), max_text)
    if flags > 1 or flags > reads or len(gaps) != len(lengths):
        raise FormatError("damaged reads: columns that do not match")
    if any(len(column) and int(column.max()) > max_text for column in (changes, gaps, lengths)):
        raise FormatError("damaged reads: a number is larger than the text")
    if int(lengths.sum()) != len(unparsed):
        raise FormatError("damaged reads: unparsed text of another length than stated")
    return ReadLayout(reads, bool(flags), changes, gaps, lengths, unparsed)


class ReadsStream(Stream):
    """Layout of reads; never empty for FASTQ, and always for FASTA."""

    id = "reads"
    of_reads = True

    def encode(self, part: PartContent, coding: Coding) -> bytes:
        """See `pack_reads`."""
        return pack_reads(part.read_layouts) if part.is_reads else b""

    def decode(self, data: bytes, part: PartContent, coding: Coding) -> None:
        """Sets ``read_layouts``."""
        if part.is_reads:
            part.read_layouts = unpack_reads(data, part.text_bytes)
