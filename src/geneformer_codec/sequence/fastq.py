"""FASTQ text, or a pair of texts, to FASTA text, qualities and the layout of reads; and back, byte for byte.

A regular read is a header that begins with ``@``, sequence lines, a ``+`` line that repeats the name or is empty, and
quality lines as long as the sequence lines, all with the same line end. Its header and sequence lines are the FASTA
text, which is then treated as any other. Lines that belong to no regular read are *unparsed*, and kept as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.errors import FormatError
from geneformer_codec.sequence.fasta import line_ends

Integers = NDArray[np.int64]
Octets = NDArray[np.uint8]

HEAD_BYTES = 1 << 16
"""So much of a text decides whether it is FASTQ."""
SHORT_LINE = 512
"""Bytes in a line of short reads, at most."""
LINE_FEED, _HEADER = 10, 62


def is_fastq(head: bytes) -> bool:
    """Whether a text that begins so is taken for FASTQ: by its first byte that is not blank."""
    return head.lstrip()[:1] == b"@"


def has_short_lines(head: bytes) -> bool:
    """Whether all lines of a text that begins so are as short as those of short reads."""
    return max(map(len, head.split(b"\n"))) <= SHORT_LINE


@dataclass(frozen=True)
class ReadLayout:
    """The layout of the reads of one text.

    ``changes``: reads from change to change of whether the ``+`` line repeats the name, at first not. Stretches of
    unparsed text are ``gaps`` reads apart and ``lengths`` bytes long. ``unfinished``: the last read's last line has no
    end.
    """

    reads: int
    unfinished: bool
    changes: Integers
    gaps: Integers
    lengths: Integers
    unparsed: bytes


class ParsedReads(NamedTuple):
    """FASTA text of all reads, their qualities as they are in the text, and the layout of each text."""

    fasta: bytes
    qualities: Octets
    layouts: tuple[ReadLayout, ...]


def parse_reads(texts: Sequence[bytes]) -> ParsedReads:
    """Parse a text or a pair of texts; any bytes at all will do."""
    fastas, qualities, layouts = zip(*map(_parse_text, texts), strict=True)
    return ParsedReads(b"".join(fastas), np.concatenate(qualities), layouts)


def _parse_text(text: bytes) -> tuple[bytes, Octets, ReadLayout]:
    from geneformer_codec.sequence.kernels import gather_spans
    from geneformer_codec.sequence.read_kernels import gather_qualities, scan_reads

    octets = np.frombuffer(text, np.uint8)
    starts, pluses, bodies, stops, _, repeats = scan_reads(octets, line_ends(octets))
    fasta = gather_spans(octets, starts, pluses, False)
    fasta[np.cumsum(pluses - starts) - (pluses - starts)] = _HEADER
    before, after = np.append(0, stops), np.append(starts, len(text))
    places = np.flatnonzero(after > before)
    layout = ReadLayout(
        reads=len(starts),
        unfinished=bool(len(stops) and stops[-1] == len(text) and octets[-1] != LINE_FEED),
        changes=_steps(np.flatnonzero(np.diff(repeats, prepend=0))),
        gaps=_steps(places),
        lengths=(after - before)[places],
        unparsed=gather_spans(octets, before[places], after[places], False).tobytes(),
    )
    return fasta.tobytes(), gather_qualities(octets, pluses, bodies, stops), layout


def _steps(places: Integers) -> Integers:
    return np.diff(places, prepend=0)


def render_reads(layouts: Sequence[ReadLayout], fasta: bytes, qualities: Octets, max_text: int) -> tuple[bytes, ...]:
    """Inverse of :func:`parse_reads`: the texts, of at most ``max_text`` bytes in all."""
    from geneformer_codec.sequence.read_kernels import write_reads

    if fasta and fasta[-1] != LINE_FEED:
        raise FormatError("damaged reads: the last line has no end")
    octets = np.frombuffer(fasta, np.uint8)
    place = used = size = 0
    texts = []
    for layout in layouts:
        out = np.empty(2 * (len(octets) - place) + len(layout.unparsed), np.uint8)
        filled, place, used, end = write_reads(
            octets,
            place,
            qualities,
            used,
            layout.reads,
            np.cumsum(layout.changes),
            layout.gaps,
            layout.lengths,
            np.frombuffer(layout.unparsed, np.uint8),
            out,
        )
        if filled < 0:
            raise FormatError("damaged reads: the layout has fewer records")
        texts.append(out[: filled - (end if layout.unfinished else 0)].tobytes())
        size += len(texts[-1])
    if size > max_text or place != len(octets) or used != len(qualities):
        raise FormatError("damaged reads: they are not those of the layout")
    return tuple(texts)
