"""FASTA text to arrays and back, byte for byte, whatever the text is.

A text is a sequence of lines ended by LF or CR LF, of which the last may lack its end. A line that starts with ``>`` is
a header and begins a record; all other lines are sequence lines and their bytes are residues. Residues that are not
A, C, G, T or U are exceptions, the rest is bases 0..3; letter case and U are kept apart. Positions count the residues
of a text, of all fragments one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.errors import FormatError

Integers = NDArray[np.int64]

_DENSE = 4
"""With more than one run of exceptions in so many residues, the residues are kept as they are."""
_NONE = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Layout:
    """How residues and names are laid out as text; 1-D int64 arrays.

    A fragment is a record, the rest of one at the start of a part, or the text before the first header
    (``has_preamble``: fragment 0 has no header). ``residues`` has one value per fragment. The lines of fragments are
    described in runs of ``runs`` fragments: lines of ``widths`` residues (0: one line) but for a shorter last one, then
    ``blanks - 1`` empty lines; or, where ``blanks`` is 0, listed lines: ``listed`` pairs each, of ``lengths`` and
    ``counts``. ``toggles`` are distances in lines between changes of the line end, from LF on. ``unfinished``: the last
    line has no end.
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

    @property
    def records(self) -> int:
        """Number of headers."""
        return len(self.residues) - self.has_preamble

    def per_fragment(self) -> tuple[Integers, Integers]:
        """Line width and number of blank lines (-1: listed) of every fragment."""
        return np.repeat(self.widths, self.runs), np.repeat(self.blanks - 1, self.runs)

    def first_widths(self) -> Integers:
        """Residues in the first line of each fragment, 0 if it has one line."""
        widths, blanks = self.per_fragment()
        listed = np.flatnonzero(blanks < 0)
        if len(listed):
            firsts = np.cumsum(self.listed) - self.listed
            some = self.listed > 0
            if len(firsts) != len(listed) or int(firsts.max()) > len(self.lengths):
                raise FormatError("damaged layout: its lines are not those of its fragments")
            widths[listed[some]] = self.lengths[firsts[some]]
        return widths

    def measure(self, max_text: int) -> tuple[int, int]:
        """Lines, headers included, and residues; ``FormatError`` unless a text of so many bytes can hold them."""
        from geneformer_codec.sequence.render_kernels import measure_layout

        widths, blanks = self.per_fragment()
        lines, residues = measure_layout(
            self.residues, widths, blanks, self.listed, self.lengths, self.counts, max_text
        )
        if lines < 0:
            raise FormatError("damaged layout: its lines do not hold its residues, or more than the text can")
        return int(lines) + self.records, int(residues)


class Case(NamedTuple):
    """Residues where the case changes (first: to lower), and where T and U change (first: to U), both ascending."""

    lower: Integers
    uracil: Integers


@dataclass(frozen=True)
class Exceptions:
    """Residues that are no bases: ``places`` (ascending), ``lengths`` (int64), ``octets`` (uint8) of runs of a byte.

    Some runs may be ``filled`` (uint8, 1): they have bases as well, in place of what is not known, so that copies go on
    through them. ``literal`` instead holds all residues of a text with hardly any bases (a protein, or no sequence at
    all); then no residue is coded as a base and there are no changes of case.
    """

    places: Integers
    lengths: Integers
    octets: NDArray[np.uint8]
    filled: NDArray[np.uint8]
    literal: bytes | None = None

    @classmethod
    def of(cls, places: Integers, lengths: Integers, octets: NDArray[np.uint8]) -> Exceptions:
        """Runs that are not filled."""
        return cls(places, lengths, octets, np.zeros(len(places), np.uint8))

    @classmethod
    def of_literal(cls, literal: bytes | None = None) -> Exceptions:
        """Residues as they are; none."""
        return cls(_NONE, _NONE, np.zeros(0, np.uint8), np.zeros(0, np.uint8), literal)

    def bases_before(self, places: Integers) -> Integers:
        """How many of the residues before each place (ascending or not, int64) have bases, as those of filled runs."""
        return self._without(self.filled == 0, places)

    def real_bases_before(self, places: Integers) -> Integers:
        """How many of the residues before each place are bases."""
        return self._without(np.ones(len(self.places), np.bool_), places)

    def _without(self, left_out: NDArray[np.bool_], places: Integers) -> Integers:
        """Residues before each place but for runs that are ``left_out``."""
        if self.literal is not None:
            return np.zeros_like(places)
        starts, lengths = self.places[left_out], self.lengths[left_out]
        run = np.searchsorted(starts, places, "right")
        before = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
        # The last run that began before a place may reach beyond it.
        ends = np.concatenate((np.zeros(1, np.int64), starts + lengths))
        return places - (before[run] - np.maximum(ends[run] - places, 0))

    def cut(self, edges: Integers) -> Exceptions:
        """The same with runs that go on beyond one of ``edges`` cut there."""
        ends = self.places + self.lengths
        inside = np.unique(edges[1:-1])
        inside = inside[self.real_bases_before(inside + 1) == self.real_bases_before(inside)]
        run = np.searchsorted(self.places, inside, "right") - 1
        inside, run = inside[self.places[run] < inside], run[self.places[run] < inside]
        if not len(inside):
            return self
        places = np.sort(np.concatenate((self.places, inside)))
        stops = np.sort(np.concatenate((ends, inside)))
        return Exceptions.of(places, stops - places, np.insert(self.octets, run + 1, self.octets[run]))

    @property
    def fill_count(self) -> int:
        """Bases in filled runs."""
        return int(self.lengths[self.filled != 0].sum())

    def are_bases(self, residues: int) -> NDArray[np.bool_]:
        """Which of so many residues are bases."""
        if self.literal is not None:
            return np.zeros(residues, np.bool_)
        steps = np.zeros(residues + 1, np.int8)
        steps[self.places] = -1
        steps[self.places + self.lengths] += 1
        bases: NDArray[np.bool_] = np.cumsum(steps[:-1], dtype=np.int8) == 0
        return bases


class FastaText:
    """A FASTA text without its bases: names, layout, case and exceptions, checked against each other.

    ``names`` are the header lines without ``>`` and line end, each followed by a line feed.
    """

    def __init__(self, names: bytes, layout: Layout, case: Case, exceptions: Exceptions, max_text: int) -> None:
        """``FormatError`` unless they describe a text of at most ``max_text`` bytes."""
        self.names, self.layout, self.case, self.exceptions = names, layout, case, exceptions
        self._lines, self.residue_count = layout.measure(max_text)
        if layout.unfinished and not self._lines:
            raise FormatError("damaged layout: the last of no lines")
        self.residue_edges = np.concatenate((np.zeros(1, np.int64), np.cumsum(layout.residues)))
        """Residues before each fragment, and in the end all."""
        self.base_edges = exceptions.bases_before(self.residue_edges)
        """Bases, those of filled runs included, before each fragment, and in the end all."""
        self._toggles = np.cumsum(layout.toggles)
        if len(self._toggles) and int(self._toggles[-1]) >= self._lines:
            raise FormatError("damaged layout: a line end changes after the last line")
        edges = np.append(self._toggles, self._lines)
        crlf_lines = int((edges[1::2] - edges[0::2][: len(edges[1::2])]).sum())
        self._last_end = len(self._toggles) % 2 + 1 if layout.unfinished else 0
        # names have a line feed after each, in place of the '>' before it
        self.text_bytes = self.residue_count + len(names) + self._lines + crlf_lines - self._last_end
        if self.text_bytes > max_text:
            raise FormatError(f"damaged layout: {self.text_bytes} bytes of text, limit {max_text}")

    @property
    def fragment_residues(self) -> Integers:
        """Residues of every fragment."""
        return self.layout.residues

    @property
    def fragment_bases(self) -> Integers:
        """Bases of every fragment, those of filled runs included."""
        return np.diff(self.base_edges)

    @property
    def real_fragment_bases(self) -> Integers:
        """Residues of every fragment that are bases."""
        return np.diff(self.exceptions.real_bases_before(self.residue_edges))

    @property
    def base_count(self) -> int:
        """Number of bases, those of filled runs included."""
        return int(self.base_edges[-1])

    def headers(self) -> list[bytes]:
        """Header lines in order, without ``>`` and line end."""
        return self.names.split(b"\n")[:-1]

    def bases_before(self, residue: int) -> int:
        """The number of bases before a residue, which maps a range of residues to one of bases."""
        return int(self.exceptions.bases_before(np.array([residue], np.int64))[0])

    def render_residues(self, bases: NDArray[np.uint8], start: int, stop: int) -> NDArray[np.uint8]:
        """Residues start..stop as they are in the text, without line ends.

        ``bases`` are those of this range alone: from ``bases_before(start)`` to ``bases_before(stop)``.
        """
        from geneformer_codec.sequence.render_kernels import write_residues

        if not 0 <= start <= stop <= self.residue_count:
            raise ValueError(f"residues {start} to {stop} of {self.residue_count}")
        runs = self.exceptions
        if runs.literal is not None:
            if len(bases):
                raise FormatError("damaged part: bases where the residues are kept as they are")
            return np.frombuffer(runs.literal, np.uint8)[start:stop]
        out = np.empty(stop - start, np.uint8)
        codes = np.ascontiguousarray(bases, np.uint8)
        taken = write_residues(codes, runs.places, runs.lengths, runs.octets, runs.filled, *self.case, start, out)
        if taken != len(codes):
            raise FormatError("damaged part: its bases do not match its exceptions")
        return out

    def all_residues(self, bases: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """All residues, given all bases."""
        return self.render_residues(bases, 0, self.residue_count)

    def render(self, bases: NDArray[np.uint8]) -> bytes:
        """The text, given all its bases."""
        return self.render_lines(self.all_residues(bases))

    def render_lines(self, residues: NDArray[np.uint8]) -> bytes:
        """The text, given all its residues."""
        from geneformer_codec.sequence.render_kernels import write_text

        residues = residues.view()
        residues.flags.writeable = False  # one compiled form for literal and other residues
        layout = self.layout
        out = np.empty(self.text_bytes + self._last_end, np.uint8)
        names = np.frombuffer(self.names, np.uint8)
        lines = (*layout.per_fragment(), layout.listed, layout.lengths, layout.counts, self._toggles)
        filled = write_text(residues, names, layout.residues, *lines, layout.has_preamble, out)
        if filled != len(out):
            raise FormatError("damaged layout: it adds up to another length of text")
        return out[: self.text_bytes].tobytes()


def parse(text: bytes) -> tuple[FastaText, NDArray[np.uint8]]:
    """Split any bytes at all into a `FastaText` and its bases, 0..3 = A C G T (U is T), uint8.

    Memory is a small multiple of the text.
    """
    from geneformer_codec.sequence import kernels

    octets = np.frombuffer(text, np.uint8)
    ends = line_ends(octets)
    *columns, starts, stops = kernels.scan_layout(octets, ends)
    has_preamble = bool(text) and not text.startswith(b">")
    layout = Layout(has_preamble, bool(text) and not text.endswith(b"\n"), *columns)
    names = kernels.gather_spans(octets, starts, stops, True).tobytes()
    total = int(layout.residues.sum())
    bases, lower, uracil, places, lengths, bytes_ = kernels.scan_residues(octets, ends, kernels.STATES, total)
    exceptions = Exceptions.of(places, lengths, bytes_.astype(np.uint8))
    if len(places) * _DENSE > total:
        literal = kernels.gather_residues(octets, ends, total).tobytes()
        exceptions = Exceptions.of_literal(literal)
        bases, lower, uracil = bases[:0], lower[:0], uracil[:0]
    return FastaText(names, layout, Case(lower, uracil), exceptions, len(text)), bases


def line_ends(octets: NDArray[np.uint8]) -> Integers:
    """Where the lines of a text end: its line feeds, and its own end if the last line has none."""
    ends = np.flatnonzero(octets == 10)
    if len(octets) and octets[-1] != 10:
        ends = np.append(ends, len(octets))
    return ends
