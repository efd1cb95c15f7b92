"""The stream ``layout``: records, lines and line ends."""

from __future__ import annotations

import numpy as np

from geneformer_codec.errors import FormatError
from geneformer_codec.sequence.fasta import Integers, Layout
from geneformer_codec.streams.interface import Coding, PartContent, Stream
from geneformer_codec.streams.packing import ByteReader, frame, pack_integers, unpack_integers

HAS_PREAMBLE, _UNFINISHED = 1, 2
"""Flags."""


def pack_layout(layout: Layout) -> bytes:
    """To bytes: flags, then the framed integer columns in the order of the fields."""
    flags = HAS_PREAMBLE * layout.has_preamble | _UNFINISHED * layout.unfinished
    return bytes((flags,)) + frame(map(pack_integers, _columns(layout)))


def unpack_layout(data: bytes, max_text: int) -> Layout:
    """Inverse of :func:`pack_layout` for a text of at most ``max_text`` bytes. FormatError unless every array fits."""
    reader = ByteReader(data, "layout")
    flags = reader.take(1)[0]
    if flags > HAS_PREAMBLE | _UNFINISHED:
        raise FormatError("damaged layout: unknown flags")
    # A fragment is at least '>', a pair at least one line; only the last of each may lack its line feed.
    most = max_text + 1
    residues = unpack_integers(reader.framed(), most)
    runs = [unpack_integers(reader.framed(), len(residues)) for _ in range(4)]
    lengths = unpack_integers(reader.framed(), most)
    counts = unpack_integers(reader.framed(), len(lengths))
    toggles = unpack_integers(reader.framed(), most)
    reader.finish()
    columns = [residues, *runs, lengths, counts, toggles]
    layout = Layout(bool(flags & HAS_PREAMBLE), bool(flags & _UNFINISHED), *columns)
    _check(layout, max_text)
    return layout


def _columns(layout: Layout) -> tuple[Integers, ...]:
    runs = (layout.residues, layout.widths, layout.blanks, layout.runs)
    return (*runs, layout.listed, layout.lengths, layout.counts, layout.toggles)


def _check(layout: Layout, max_text: int) -> None:
    fragments, runs = len(layout.residues), len(layout.runs)
    if not len(layout.widths) == len(layout.blanks) == runs or len(layout.lengths) != len(layout.counts):
        raise FormatError("damaged layout: columns of different length")
    if any(len(column) and int(column.max()) > max_text + 1 for column in _columns(layout)):
        raise FormatError("damaged layout: a number is larger than the text")
    # Float sums cannot overflow, and are exact as far as it matters here.
    if np.sum(layout.runs, dtype=np.float64) != fragments:
        raise FormatError("damaged layout: its runs do not cover its fragments")
    if np.sum(layout.toggles, dtype=np.float64) > max_text + 1:
        raise FormatError("damaged layout: a line end changes beyond the text")
    if (layout.has_preamble or layout.unfinished) and not fragments:
        raise FormatError("damaged layout: flags of no fragments")


class LayoutStream(Stream):
    """The layout of records and lines in the text."""

    id = "layout"

    def encode(self, part: PartContent, coding: Coding) -> bytes:
        """See `pack_layout`."""
        return pack_layout(part.layout)

    def decode(self, data: bytes, part: PartContent, coding: Coding) -> None:
        """Sets ``layout``."""
        layout = unpack_layout(data, part.text_bytes)
        if layout.records != part.record_count or int(layout.residues.sum()) != part.residue_count:
            raise FormatError("its layout is not that of the manifest; the archive is damaged")
        part.layout = layout
