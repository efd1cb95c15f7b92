"""FASTA text to streams and back, byte for byte, whatever the text is.

A text is a sequence of lines ended by LF or CR LF, of which the last may lack its end. A line that starts with ``>`` is
a header and begins a record; all other lines are sequence lines and their bytes are residues. Residues that are not
A, C, G, T or U are exceptions, the rest is bases 0..3; letter case and U are kept apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.errors import FormatError
from geneformer_codec.streams.layout import Exceptions, Layout, pack_case, unpack_case
from geneformer_codec.streams.names import pack_names, unpack_names

_DENSE = 4  # with more than one run of exceptions in so many residues, the residues are kept as they are

_NONE = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Streams:
    """Everything about the text of a part; ``render`` needs the first five fields only.

    ``bases`` is uint8, 1-D, of values 0..3 = A C G T (U is T); the other streams are packed bytes. A fragment is a
    record, or the rest of one at the start of a part, or text before the first header (``has_preamble``: fragment 0 has
    no header in this part). ``record_residues`` and ``record_bases``: int64, per fragment, in order.
    """

    bases: NDArray[np.uint8]
    names: bytes
    layout: bytes
    case: bytes
    exceptions: bytes
    record_residues: NDArray[np.int64] = field(default_factory=_NONE.copy)
    record_bases: NDArray[np.int64] = field(default_factory=_NONE.copy)
    has_preamble: bool = False


class Sides:
    """The unpacked and checked side streams of a part: what is known of its text without its bases."""

    def __init__(
        self,
        names: bytes,
        layout: bytes,
        case: bytes,
        exceptions: bytes,
        max_text: int,
        unpack: Callable[[bytes, int, int], bytes] = unpack_names,
    ) -> None:
        """Unpack for a text of at most ``max_text`` bytes; FormatError on anything that cannot be.

        ``unpack`` gives the names, from ``names``, their number and ``max_text``.
        """
        from geneformer_codec.sequence.render_kernels import measure_layout

        shape, self._names = Layout.unpack(layout, max_text, lambda count: unpack(names, count, max_text))
        self.layout = shape
        self._widths, self._blanks = shape.per_fragment()
        lines, residues = measure_layout(
            shape.residues, self._widths, self._blanks, shape.listed, shape.lengths, shape.counts, max_text
        )
        if lines < 0:
            raise FormatError("damaged layout: its lines do not hold its residues, or more than the text can")
        self.residues = int(residues)
        self._lines = int(lines) + shape.records
        self._cases, self._uracils = unpack_case(case, self.residues)
        self._exceptions = Exceptions.unpack(exceptions, self.residues)
        self._edges = np.concatenate((np.zeros(1, np.int64), np.cumsum(shape.residues)))
        self._base_edges = self._exceptions.bases_before(self._edges)
        if shape.unfinished and not self._lines:
            raise FormatError("damaged layout: the last of no lines")
        self.text_bytes = self._measure_text()
        if self.text_bytes > max_text:
            raise FormatError(f"damaged layout: {self.text_bytes} bytes of text where at most {max_text} can be")

    def _measure_text(self) -> int:
        """Bytes of the text; leaves the lines where the line end changes in ``_toggles``."""
        self._toggles = np.cumsum(self.layout.toggles)
        if len(self._toggles) and int(self._toggles[-1]) >= self._lines:
            raise FormatError("damaged layout: a line end changes after the last line")
        edges = np.append(self._toggles, self._lines)
        crlf_lines = int((edges[1::2] - edges[0::2][: len(edges[1::2])]).sum())
        self._last_end = len(self._toggles) % 2 + 1 if self.layout.unfinished else 0
        # _names has a line feed after each name, in place of the '>' before it.
        return self.residues + len(self._names) + self._lines + crlf_lines - self._last_end

    @property
    def has_preamble(self) -> bool:
        """Whether fragment 0 has no header in this part."""
        return self.layout.has_preamble

    @property
    def record_residues(self) -> NDArray[np.int64]:
        """Residues of every fragment, int64."""
        return self.layout.residues

    @property
    def record_bases(self) -> NDArray[np.int64]:
        """Bases of every fragment, int64."""
        return np.diff(self._base_edges)

    @property
    def bases(self) -> int:
        """Number of bases of the part."""
        return int(self._base_edges[-1])

    def names(self) -> list[bytes]:
        """Header lines in order, without ``>`` and line end; fragment 0 has none if ``has_preamble``."""
        return self._names.split(b"\n")[:-1]

    def bases_before(self, residue: int) -> int:
        """How many bases stand before a residue of the part: turns a range of residues into one of bases."""
        return int(self._exceptions.bases_before(np.array([residue], np.int64))[0])

    def render_residues(self, bases: NDArray[np.uint8], start: int, stop: int) -> bytes:
        """Residues start..stop of the part as they stand in the text, without line ends.

        ``bases`` are those of this range alone: ``bases_before(start)`` to ``bases_before(stop)`` of the part.
        """
        return self._write_residues(bases, start, stop).tobytes()

    def _write_residues(self, bases: NDArray[np.uint8], start: int, stop: int) -> NDArray[np.uint8]:
        from geneformer_codec.sequence.render_kernels import write_residues

        if not 0 <= start <= stop <= self.residues:
            raise ValueError(f"residues {start} to {stop} of {self.residues}")
        sides = self._exceptions
        if sides.literal is not None:
            if len(bases):
                raise FormatError("damaged part: bases where the residues are kept as they are")
            return np.frombuffer(sides.literal, np.uint8)[start:stop]
        out = np.empty(stop - start, np.uint8)
        codes = np.ascontiguousarray(bases, np.uint8)
        taken = write_residues(codes, sides.places, sides.lengths, sides.octets, self._cases, self._uracils, start, out)
        if taken != len(codes):
            raise FormatError("damaged part: its bases do not match its exceptions")
        return out

    def all_residues(self, bases: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The residues of the part, given all its bases."""
        return self._write_residues(bases, 0, self.residues)

    def render(self, bases: NDArray[np.uint8]) -> bytes:
        """The text of the part, given all its bases."""
        return self.lay_out(self.all_residues(bases))

    def lay_out(self, residues: NDArray[np.uint8]) -> bytes:
        """The text of the part, given all its residues."""
        from geneformer_codec.sequence.render_kernels import write_text

        residues = residues.view()
        residues.flags.writeable = False  # one compiled form for literal and other residues
        shape = self.layout
        out = np.empty(self.text_bytes + self._last_end, np.uint8)
        names = np.frombuffer(self._names, np.uint8)
        listed = (shape.listed, shape.lengths, shape.counts)
        filled = write_text(
            residues, names, shape.residues, self._widths, self._blanks, *listed, self._toggles, shape.has_preamble, out
        )
        if filled != len(out):
            raise FormatError("damaged layout: it adds up to another length of text")
        return out[: self.text_bytes].tobytes()


def parse(text: bytes, pack: Callable[[bytes], bytes] = pack_names) -> Streams:
    """Take a text apart; any bytes at all will do. Memory is a small multiple of the text.

    ``pack`` packs the names, each followed by a line feed.
    """
    from geneformer_codec.sequence import kernels as _kernels

    octets = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(octets == _kernels.LF)
    unfinished = bool(text) and not text.endswith(b"\n")
    if unfinished:
        ends = np.append(ends, len(text))
    *columns, starts, stops = _kernels.scan_layout(octets, ends)
    has_preamble = bool(text) and not text.startswith(b">")
    layout = Layout(has_preamble, unfinished, *columns)
    names = _kernels.gather_spans(octets, starts, stops).tobytes()
    total = int(layout.residues.sum())
    bases, cases, uracils, places, lengths, bytes_ = _kernels.scan_residues(octets, ends, _kernels.STATES, total)
    exceptions = Exceptions(places, lengths, bytes_.astype(np.uint8))
    if len(places) * _DENSE > total:
        literal = _kernels.gather_residues(octets, ends, total).tobytes()
        exceptions = Exceptions(_NONE, _NONE, np.zeros(0, np.uint8), literal)
        bases, cases, uracils = bases[:0], cases[:0], uracils[:0]
    edges = np.concatenate((np.zeros(1, np.int64), np.cumsum(layout.residues)))
    return Streams(
        bases=bases,
        names=pack(names),
        layout=layout.pack(names),
        case=pack_case(cases, uracils),
        exceptions=exceptions.pack(),
        record_residues=layout.residues,
        record_bases=np.diff(exceptions.bases_before(edges)),
        has_preamble=has_preamble,
    )


def residues_of(text: bytes, total: int) -> NDArray[np.uint8]:
    """The residues of a text, of which there are ``total``, as they stand in it."""
    from geneformer_codec.sequence import kernels as _kernels

    octets = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(octets == _kernels.LF)
    return _kernels.gather_residues(octets, ends if text.endswith(b"\n") else np.append(ends, len(text)), total)


def render(streams: Streams, max_text: int) -> bytes:
    """Inverse of :func:`parse`: the exact text, of at most ``max_text`` bytes. FormatError on damaged streams."""
    sides = Sides(streams.names, streams.layout, streams.case, streams.exceptions, max_text)
    return sides.render(streams.bases)
