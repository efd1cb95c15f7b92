"""The stream ``exceptions``: residues that are no bases."""

from __future__ import annotations

import numpy as np

from geneformer_codec.errors import FormatError
from geneformer_codec.limits import reserve
from geneformer_codec.sequence.fasta import Exceptions, Integers
from geneformer_codec.streams.interface import Coding, PartContent, Stream
from geneformer_codec.streams.packing import ByteReader, add_up, frame, pack, pack_integers, unpack, unpack_integers

_RUNS, _LITERAL, _BY_FRAGMENT = 0, 1, 2


def pack_exceptions(exceptions: Exceptions, fragments: Integers) -> bytes:
    """To bytes: kind, then framed columns, by gaps or, where that is smaller, by fragment; or the literal residues.

    ``fragments`` are the residues of each.
    """
    if exceptions.literal is not None:
        return bytes((_LITERAL,)) + pack(exceptions.literal)
    if not len(exceptions.places):
        return b""
    gaps = exceptions.places.copy()
    gaps[1:] -= exceptions.places[:-1] + exceptions.lengths[:-1]
    columns = [pack_integers(gaps), pack_integers(exceptions.lengths - 1)]
    edges = np.append(0, np.cumsum(fragments))
    of = np.searchsorted(edges, exceptions.places, "right") - 1
    starts = exceptions.places - edges[of]
    kind = _RUNS
    if (starts + exceptions.lengths <= fragments[of]).all():
        rows = np.stack((starts, exceptions.lengths - 1), 1)
        width = (int(rows.max()).bit_length() + 7) // 8 or 1
        octets = rows.astype("<u8").view(np.uint8).reshape(-1, 8)[:, :width].tobytes()
        counts = np.bincount(of, minlength=len(fragments))
        by_fragment = [pack_integers(counts), bytes((width,)) + pack(octets)]
        if sum(map(len, by_fragment)) < sum(map(len, columns)):
            kind, columns = _BY_FRAGMENT, by_fragment
    filled = exceptions.filled.tobytes() if exceptions.filled.any() else b""
    return bytes((kind,)) + frame([*columns, pack(exceptions.octets.tobytes()), pack(filled)])


def unpack_exceptions(data: bytes, fragments: Integers) -> Exceptions:
    """Inverse of :func:`pack_exceptions`; FormatError if runs overlap or leave the ``fragments``."""
    if not data:
        return Exceptions.of_literal()
    residues = int(fragments.sum())
    reader = ByteReader(data, "exceptions")
    kind = reader.take(1)[0]
    if kind == _LITERAL:
        literal = unpack(data[1:], residues)
        if len(literal) != residues:
            raise FormatError("damaged exceptions: literal residues of another length than the layout's")
        return Exceptions.of_literal(literal)
    if kind not in (_RUNS, _BY_FRAGMENT):
        raise FormatError(f"damaged exceptions: unknown kind {kind}")
    places, lengths = (_by_gaps if kind == _RUNS else _by_fragment)(reader, fragments, residues)
    octets, filled = (
        np.frombuffer(unpack(reader.framed(), residues), np.uint8).copy()  # one compiled form of its users
        for _ in range(2)
    )
    reader.finish()
    filled = filled if len(filled) else np.zeros(len(places), np.uint8)
    if not len(places) == len(lengths) == len(octets) == len(filled):
        raise FormatError("damaged exceptions: columns of different length")
    if filled.max(initial=0) > 1:
        raise FormatError("damaged exceptions: a run is neither filled nor not")
    return Exceptions(places, lengths, octets, filled)


def _by_gaps(reader: ByteReader, _: Integers, residues: int) -> tuple[Integers, Integers]:
    """Places and lengths of runs."""
    gaps = unpack_integers(reader.framed(), residues)
    lengths = unpack_integers(reader.framed(), residues)
    if len(gaps) != len(lengths):
        raise FormatError("damaged exceptions: columns of different length")
    if len(lengths) and int(lengths.max()) >= residues:
        raise FormatError("damaged exceptions: a run is longer than the part")
    steps = np.empty(2 * len(gaps), np.int64)
    steps[0::2], steps[1::2] = gaps, lengths + 1
    edges = add_up(steps, residues + 1, "exceptions")
    return edges[0::2].copy(), lengths + 1


def _by_fragment(reader: ByteReader, fragments: Integers, residues: int) -> tuple[Integers, Integers]:
    """Places and lengths of runs."""
    counts = unpack_integers(reader.framed(), len(fragments))
    if len(counts) != len(fragments) or counts.max(initial=0) > residues or counts.sum() > residues:
        raise FormatError("damaged exceptions: not a count for each fragment")
    runs, framed = int(counts.sum()), reader.framed()
    width = framed[0] if framed else 0
    if not 1 <= width <= 4:
        raise FormatError(f"damaged exceptions: invalid width {width}")
    packed = unpack(framed[1:], 2 * width * runs)
    if len(packed) != 2 * width * runs:
        raise FormatError("damaged exceptions: rows of another number than their counts")
    reserve(64 * runs, 0)
    rows = np.zeros((2 * runs, 8), np.uint8)
    rows[:, :width] = np.frombuffer(packed, np.uint8).reshape(-1, width)
    starts, lengths = rows.view("<i8").reshape(-1, 2).T
    of = np.repeat(np.arange(len(fragments)), counts)
    places, lengths = starts + (np.cumsum(fragments) - fragments)[of], lengths + 1
    if (starts + lengths > fragments[of]).any() or (places[1:] < places[:-1] + lengths[:-1]).any():
        raise FormatError("damaged exceptions: a run leaves its fragment, or overlaps another")
    return places, lengths


class ExceptionsStream(Stream):
    """Residues that are no bases."""

    id = "exceptions"

    def encode(self, part: PartContent, coding: Coding) -> bytes:
        """See `pack_exceptions`."""
        return pack_exceptions(part.exceptions, part.layout.residues)

    def decode(self, data: bytes, part: PartContent, coding: Coding) -> None:
        """Sets ``exceptions``."""
        part.exceptions = unpack_exceptions(data, part.layout.residues)
