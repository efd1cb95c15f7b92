"""The ``.fai`` index of an archive's text, as ``samtools faidx`` or ``fqidx`` writes it for the decompressed file.

Nothing is decoded: the text is rendered with arbitrary bases and qualities, and its lines are measured.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.archive.read import Archive
from geneformer_codec.archive.record_index import name_of
from geneformer_codec.errors import FormatError, UsageError, option
from geneformer_codec.sequence.fasta import line_ends

Integers = NDArray[np.int64]

_LF, _CR, _HEADER = b"\n\r>"


@dataclass
class FaiEntry:
    """A line of the index: where the first residue of a record is, and residues and bytes of its full lines.

    Of a read, ``qualities`` is where its first quality is.
    """

    name: bytes
    length: int
    offset: int
    line_bases: int = 0
    line_width: int = 0
    qualities: int | None = None

    def line(self) -> bytes:
        """As in the file."""
        numbers = [self.length, self.offset, self.line_bases, self.line_width]
        if self.qualities is not None:
            numbers.append(self.qualities)
        return b"\t".join((self.name, *(b"%d" % number for number in numbers))) + b"\n"


def index_text(archive: Archive, mate: bool = False) -> Iterator[FaiEntry]:
    """The index, of a pair that of the first text, or with ``mate`` of the second.

    ``FormatError`` for a record whose lines, but for the last, differ in length, and for text that is no read.
    """
    archive.check_complete()
    lines, place = _Lines(archive.label), 0
    for block in archive.blocks:
        texts = archive.layout_texts(block)
        if len(texts) <= mate:
            raise UsageError(f"{archive.label}: holds one text and no mates; leave {option('mate')} out")
        text = texts[mate]
        yield from _reads(text, place, archive.label) if block.is_reads else lines.take(text)
        place += len(text)
    yield from lines.finish()


def _reads(text: bytes, place: int, label: str) -> Iterator[FaiEntry]:
    """The reads of a text with ``place`` bytes before it."""
    from geneformer_codec.sequence.read_kernels import scan_reads

    octets = np.frombuffer(text, np.uint8)
    ends = line_ends(octets)
    starts, pluses, bodies, stops, counts, _ = scan_reads(octets, ends)
    _check_unparsed(text, starts, stops, place, label)
    headers = np.searchsorted(ends, starts)
    firsts = ends[headers] + 1  # where residues begin
    crlf = (octets[firsts - 2] == _CR).astype(np.int64)
    widths = np.where(counts > 0, ends[np.minimum(headers + 1, len(ends) - 1)] + 1 - firsts, 0)
    residues = pluses - firsts - counts * (1 + crlf)
    # All lines are full but the last, which has at least one residue, if these are as many as such lines can hold.
    full = np.maximum(widths - 1 - crlf, 0)
    uneven = (counts > 1) & ((full == 0) | (-(-residues // np.maximum(full, 1)) != counts))
    for read in np.flatnonzero(counts > 1).tolist():
        lines = ends[headers[read] + 1 : headers[read] + counts[read]]
        uneven[read] |= bool(np.any(np.diff(lines) != widths[read]))
    columns = (starts, firsts, residues, full, widths, bodies, uneven)
    for start, first, length, bases, width, body, bad in zip(*(column.tolist() for column in columns), strict=True):
        name = name_of(text[start + 1 : first])
        if bad:
            raise _uneven(label, name)
        yield FaiEntry(name, length, place + first, bases, width, place + body)


def _check_unparsed(text: bytes, starts: Integers, stops: Integers, place: int, label: str) -> None:
    """Refuse text between reads, except empty lines."""
    begins, ends = np.append(0, stops), np.append(starts, len(text))
    for gap in np.flatnonzero(begins < ends).tolist():
        begin, end = int(begins[gap]), int(ends[gap])
        if text[begin:end].strip(b"\r\n"):
            raise FormatError(
                f"{label}: unparsed text {place + begin:,} bytes after the beginning, "
                "which no .fai can describe; decompress, and repair it"
            )


def _uneven(label: str, name: bytes) -> FormatError:
    return FormatError(
        f"{label}: record {name.decode(errors='replace')!r} has lines of different lengths, "
        "which no .fai can describe; decompress, and wrap the lines again ('seqkit seq -w 60')"
    )


class _Lines:
    """Measures the lines of a text that comes in pieces."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._place = 0
        """Bytes before the piece."""
        self._begun = 0
        """Bytes of a sequence line that began in a piece before."""
        self._open: FaiEntry | None = None
        self._ended = False
        """Whether the open record had its last, shorter line."""

    def take(self, text: bytes) -> Iterator[FaiEntry]:
        """The records that end in ``text``."""
        octets = np.frombuffer(text, np.uint8)
        stops = np.flatnonzero(octets == _LF)
        starts = np.concatenate((np.zeros(1, np.int64), stops + 1))[: len(stops)]
        widths = stops - starts + 1
        bases = widths - 1 - ((stops > starts) & (octets[np.maximum(stops - 1, 0)] == _CR))
        headers = octets[starts] == _HEADER if len(starts) else np.zeros(0, bool)
        if self._begun and len(stops):
            widths[0] += self._begun
            bases[0] += self._begun
            headers[0], self._begun = False, 0
        alike = (np.diff(bases) == 0) & (np.diff(widths) == 0) & ~headers[1:] & ~headers[:-1]
        firsts = np.flatnonzero(np.concatenate((np.ones(min(len(stops), 1), bool), ~alike)))
        counts = np.diff(np.append(firsts, len(stops)))
        for first, count in zip(firsts.tolist(), counts.tolist(), strict=True):
            if headers[first]:
                yield from self.finish()
                name = name_of(text[int(starts[first]) + 1 : int(stops[first])])
                self._open = FaiEntry(name, 0, self._place + int(stops[first]) + 1)
            else:
                self._add(int(bases[first]), int(widths[first]), count)
        rest = len(text) - (int(stops[-1]) + 1 if len(stops) else 0)
        if rest and not self._begun and text[len(text) - rest] == _HEADER:  # the last header, without a line end
            yield from self.finish()
            self._open, rest = FaiEntry(name_of(text[len(text) - rest + 1 :]), 0, self._place + len(text)), 0
        self._begun += rest
        self._place += len(text)

    def finish(self) -> Iterator[FaiEntry]:
        """The record that was open, if one was."""
        if self._begun:
            self._add(self._begun, self._begun + 1, 1)  # as if its line end were there
        record, self._open, self._ended, self._begun = self._open, None, False, 0
        if record is not None:
            yield record

    def _add(self, bases: int, width: int, count: int) -> None:
        """Add lines to the open record."""
        record = self._open
        if record is None:
            return
        if record.line_width == 0:
            record.line_bases, record.line_width = bases, width
            self._ended = bases == 0
        elif bases:
            full = bases == record.line_bases and width == record.line_width
            if self._ended or bases > record.line_bases or (not full and count > 1):
                raise _uneven(self._label, record.name)
            self._ended = not full
        else:
            self._ended = True
        record.length += bases * count
