"""The side streams of a part: layout, case and exceptions, packed to bytes and back.

``docs/format/container.md`` describes every byte. Positions count the residues of a part: all bytes of its
sequence lines but the line ends, of all fragments one after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.errors import FormatError
from geneformer_codec.streams.name_model import pack_lengths, unpack_lengths
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

HAS_PREAMBLE, _UNFINISHED, _BESIDE_NAMES = 1, 2, 4
"""Flags of a layout."""
_LEAST_BESIDE, _MOST_BESIDE = 64, 1 << 14
"""Lengths are coded beside names where they take so many bytes otherwise; never more lengths, as that is slow."""
_RUNS, _LITERAL = 0, 1


@dataclass(frozen=True)
class Layout:
    """How residues and names are laid out as text; 1-D int64 arrays.

    ``residues`` has one value per fragment: a record, the rest of one, or the text before the first header. The lines
    of fragments are described in runs of ``runs`` fragments: lines of ``widths`` residues (0: one line) but for a
    shorter last one, then ``blanks - 1`` empty lines; or, where ``blanks`` is 0, listed lines: ``listed`` pairs each,
    of ``lengths`` and ``counts``. ``toggles`` are distances in lines between changes of the line end, from LF on.
    ``unfinished``: the last line has no end.
    """

    has_preamble: bool
    unfinished: bool
    residues: Integers
    widths: Integers
    blanks: Integers
    runs: Integers
    listed: Integers
    lengths: Integers
    counts: Integers
    toggles: Integers

    def pack(self, names: bytes) -> bytes:
        """To bytes: flags, then the framed integer columns in the order of the fields.

        Of an even layout the lengths are coded beside the ``names``, each with its line feed, if that is smaller.
        """
        flags = HAS_PREAMBLE * self.has_preamble | _UNFINISHED * self.unfinished
        columns = [pack_integers(column) for column in self._columns()]
        packed = bytes((flags,)) + frame(columns)
        if len(columns[0]) < _LEAST_BESIDE or len(self.residues) > _MOST_BESIDE or not self._is_even():
            return packed
        numbers = (len(self.residues), int(self.widths[0]), int(self.blanks[0]))
        head = bytes((flags | _BESIDE_NAMES,)) + b"".join(map(encode_varint, numbers))
        return min(packed, head + pack_lengths(self.residues, names), key=len)

    def _is_even(self) -> bool:
        """Whether all fragments are records with lines of the same form."""
        return not self.has_preamble and len(self.runs) == 1 and int(self.blanks[0]) > 0 and not len(self.toggles)

    def _columns(self) -> tuple[Integers, ...]:
        shapes = (self.residues, self.widths, self.blanks, self.runs)
        return (*shapes, self.listed, self.lengths, self.counts, self.toggles)

    @staticmethod
    def unpack(data: bytes, max_bytes: int, names: Callable[[int], bytes]) -> tuple[Layout, bytes]:
        """Inverse of :meth:`pack` for a text of at most ``max_bytes``, and the names.

        ``names`` gives them, each with its line feed, by their number. Every array is checked, FormatError if wrong.
        """
        reader = ByteReader(data, "layout")
        flags = reader.take(1)[0]
        if flags in (_BESIDE_NAMES, _BESIDE_NAMES | _UNFINISHED):
            known, columns = _beside_names(reader, max_bytes, names)
        elif flags <= HAS_PREAMBLE | _UNFINISHED:
            known, columns = None, _packed_columns(reader, max_bytes)
        else:
            raise FormatError("damaged layout: unknown flags")
        layout = Layout(bool(flags & HAS_PREAMBLE), bool(flags & _UNFINISHED), *columns)
        layout._check(max_bytes)
        return layout, names(layout.records) if known is None else known

    def _check(self, max_bytes: int) -> None:
        fragments = len(self.residues)
        if not (len(self.widths) == len(self.blanks) == len(self.runs)) or len(self.lengths) != len(self.counts):
            raise FormatError("damaged layout: columns of different length")
        if any(len(column) and int(column.max()) > max_bytes + 1 for column in self._columns()):
            raise FormatError("damaged layout: a number is larger than the text")
        # Float sums cannot overflow, and are exact as far as it matters here.
        if np.sum(self.runs, dtype=np.float64) != fragments:
            raise FormatError("damaged layout: its runs do not cover its fragments")
        too_far = np.sum(self.toggles, dtype=np.float64) > max_bytes + 1
        if too_far or ((self.has_preamble or self.unfinished) and not fragments):
            raise FormatError("damaged layout: lines that cannot be")

    @property
    def records(self) -> int:
        """Number of headers in the part."""
        return len(self.residues) - self.has_preamble

    def per_fragment(self) -> tuple[Integers, Integers]:
        """Line width and number of blank lines (-1: listed) of every fragment."""
        return np.repeat(self.widths, self.runs), np.repeat(self.blanks - 1, self.runs)


def _packed_columns(reader: ByteReader, max_bytes: int) -> list[Integers]:
    """The columns of a layout, each packed by itself."""
    # A fragment is at least '>', a pair at least one line; only the last of each may lack its line feed.
    most = max_bytes + 1
    residues = unpack_integers(reader.framed(), most)
    shapes = [unpack_integers(reader.framed(), len(residues)) for _ in range(4)]
    lengths = unpack_integers(reader.framed(), most)
    counts = unpack_integers(reader.framed(), len(lengths))
    toggles = unpack_integers(reader.framed(), most)
    reader.finish()
    return [residues, *shapes, lengths, counts, toggles]


def _beside_names(reader: ByteReader, max_bytes: int, names: Callable[[int], bytes]) -> tuple[bytes, list[Integers]]:
    """The names, and the columns of an even layout."""
    count, width, blanks = reader.varint(_MOST_BESIDE), reader.varint(max_bytes), reader.varint(max_bytes + 1)
    if not count or not blanks:
        raise FormatError("damaged layout: no records, or lines of no form")
    known = names(count)
    residues = unpack_lengths(reader.rest(), known)
    even = [np.array([number], np.int64) for number in (width, blanks, count)]
    return known, [residues, *even, *(np.zeros(0, np.int64) for _ in range(4))]


def pack_case(cases: Integers, uracils: Integers) -> bytes:
    """Residues where the case changes (first: to lower), and where T and U change (first: to U), both ascending.

    Stored as distances in two columns each: the 1st, 3rd, ... (upper-case stretches) and the 2nd, 4th, ... (lower).
    Nothing to nothing.
    """
    if not len(cases) and not len(uracils):
        return b""
    steps = [np.diff(places, prepend=0) for places in (cases, uracils)]
    return frame(pack_integers(step[half::2]) for step in steps for half in (0, 1))


def unpack_case(data: bytes, residues: int) -> tuple[Integers, Integers]:
    """Inverse of :func:`pack_case` for a part of that many residues."""
    if not data:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    reader = ByteReader(data, "case stream")
    halves = [unpack_integers(reader.framed(), residues) for _ in range(4)]
    reader.finish()
    places = []
    for ons, offs in (halves[:2], halves[2:]):
        if len(ons) - len(offs) not in (0, 1):
            raise FormatError("damaged case stream: columns that do not match")
        steps = np.empty(len(ons) + len(offs), np.int64)
        steps[0::2], steps[1::2] = ons, offs
        places.append(_add_up(steps, residues, "case stream"))
        if len(steps) > 1 and int(steps[1:].min()) == 0:
            raise FormatError("damaged case stream: an empty run")
    return places[0], places[1]


@dataclass(frozen=True)
class Exceptions:
    """Residues that are no bases: ``places`` (ascending), ``lengths`` (int64), ``octets`` (uint8) of runs of a byte.

    ``literal`` instead holds all residues of a part with hardly any bases (a protein, or no sequence at all); then no
    residue is coded as a base and the case stream is empty.
    """

    places: Integers
    lengths: Integers
    octets: NDArray[np.uint8]
    literal: bytes | None = None

    def pack(self) -> bytes:
        """To bytes: kind, then framed columns of gaps, lengths and bytes; or the packed literal residues."""
        if self.literal is not None:
            return bytes((_LITERAL,)) + pack(self.literal)
        if not len(self.places):
            return b""
        gaps = self.places.copy()
        gaps[1:] -= self.places[:-1] + self.lengths[:-1]
        return bytes((_RUNS,)) + frame(
            (pack_integers(gaps), pack_integers(self.lengths - 1), pack(self.octets.tobytes()))
        )

    @staticmethod
    def unpack(data: bytes, residues: int) -> Exceptions:
        """Inverse of :meth:`pack` for a part of that many residues; FormatError if runs overlap or leave the part."""
        nothing, no_octets = np.zeros(0, np.int64), np.zeros(0, np.uint8)
        if not data:
            return Exceptions(nothing, nothing, no_octets)
        reader = ByteReader(data, "exceptions")
        kind = reader.take(1)[0]
        if kind == _LITERAL:
            literal = unpack(data[1:], residues)
            if len(literal) != residues:
                raise FormatError("damaged exceptions: literal residues of another length than the layout's")
            return Exceptions(nothing, nothing, no_octets, literal)
        if kind != _RUNS:
            raise FormatError(f"damaged exceptions: unknown kind {kind}")
        gaps = unpack_integers(reader.framed(), residues)
        lengths = unpack_integers(reader.framed(), residues)
        octets = np.frombuffer(unpack(reader.framed(), residues), np.uint8).copy()  # one compiled form of its users
        reader.finish()
        if not len(gaps) == len(lengths) == len(octets):
            raise FormatError("damaged exceptions: columns of different length")
        if len(lengths) and int(lengths.max()) >= residues:
            raise FormatError("damaged exceptions: a run is longer than the part")
        steps = np.empty(2 * len(gaps), np.int64)
        steps[0::2], steps[1::2] = gaps, lengths + 1
        edges = _add_up(steps, residues + 1, "exceptions")
        return Exceptions(edges[0::2].copy(), lengths + 1, octets)

    def bases_before(self, places: Integers) -> Integers:
        """How many of the residues before each place (ascending or not, int64) are bases."""
        if self.literal is not None:
            return np.zeros_like(places)
        run = np.searchsorted(self.places, places, "right")
        before = np.concatenate((np.zeros(1, np.int64), np.cumsum(self.lengths)))
        # The last run that began before a place may reach beyond it.
        ends = np.concatenate((np.zeros(1, np.int64), self.places + self.lengths))
        return places - (before[run] - np.maximum(ends[run] - places, 0))


def _add_up(steps: Integers, limit: int, what: str) -> Integers:
    """Running sum of steps >= 0, all below ``limit``; the check comes first, for the sum might overflow."""
    if len(steps) and (int(steps.max()) > limit or float(np.sum(steps, dtype=np.float64)) > 2.0**62):
        raise FormatError(f"damaged {what}: a run leaves the part")
    places = np.cumsum(steps)
    if len(places) and int(places[-1]) >= limit:
        raise FormatError(f"damaged {what}: a run leaves the part")
    return places
