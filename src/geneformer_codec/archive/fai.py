"""The ``.fai`` index of an archive's text, as ``samtools faidx`` writes it for the decompressed file.

Nothing is decoded: the text is laid out with bases of no meaning, and its lines are measured.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import FormatError
from .catalogue import name_of

if TYPE_CHECKING:
    from .read import Archive

_LF, _CR, _HEADER = b"\n\r>"


@dataclass
class FaiEntry:
    """A line of the index: bytes of the record before its first residue, and residues and bytes of its full lines."""

    name: bytes
    length: int
    offset: int
    line_bases: int = 0
    line_width: int = 0

    def line(self) -> bytes:
        """As it stands in the file."""
        numbers = (self.length, self.offset, self.line_bases, self.line_width)
        return b"\t".join((self.name, *(b"%d" % number for number in numbers))) + b"\n"


def index_text(archive: "Archive") -> Iterator[FaiEntry]:
    """The index; ``FormatError`` for a record whose lines, but for the last, differ in length."""
    archive.check_complete()
    lines = _Lines(archive.label)
    for block in archive.blocks:
        if block.is_reads:
            raise FormatError(f"{archive.label}: is FASTQ; decompress it, and use 'samtools fqidx'")
        sides = archive.sides(block)
        yield from lines.take(sides.render(np.zeros(sides.bases, np.uint8)))
    yield from lines.finish()


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
                raise FormatError(
                    f"{self._label}: record {record.name.decode(errors='replace')!r} has lines of different lengths, "
                    "which no .fai can describe; decompress, and lay the lines out anew ('seqkit seq -w 60')"
                )
            self._ended = not full
        else:
            self._ended = True
        record.length += bases * count
