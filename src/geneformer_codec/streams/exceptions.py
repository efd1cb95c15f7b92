"""The stream ``exceptions``: residues that are no bases."""

from __future__ import annotations

import numpy as np

from geneformer_codec.errors import FormatError
from geneformer_codec.sequence.fasta import Exceptions
from geneformer_codec.streams.interface import Coding, PartContent, Stream
from geneformer_codec.streams.packing import ByteReader, add_up, frame, pack, pack_integers, unpack, unpack_integers

_RUNS, _LITERAL = 0, 1


def pack_exceptions(exceptions: Exceptions) -> bytes:
    """To bytes: kind, then framed columns of gaps, lengths and bytes; or the packed literal residues."""
    if exceptions.literal is not None:
        return bytes((_LITERAL,)) + pack(exceptions.literal)
    if not len(exceptions.places):
        return b""
    gaps = exceptions.places.copy()
    gaps[1:] -= exceptions.places[:-1] + exceptions.lengths[:-1]
    columns = pack_integers(gaps), pack_integers(exceptions.lengths - 1), pack(exceptions.octets.tobytes())
    return bytes((_RUNS,)) + frame(columns)


def unpack_exceptions(data: bytes, residues: int) -> Exceptions:
    """Inverse of :func:`pack_exceptions` for a text of that many residues; FormatError if runs overlap or leave it."""
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
    edges = add_up(steps, residues + 1, "exceptions")
    return Exceptions(edges[0::2].copy(), lengths + 1, octets)


class ExceptionsStream(Stream):
    """Residues that are no bases."""

    id = "exceptions"

    def encode(self, part: PartContent, coding: Coding) -> bytes:
        """See `pack_exceptions`."""
        return pack_exceptions(part.exceptions)

    def decode(self, data: bytes, part: PartContent, coding: Coding) -> None:
        """Sets ``exceptions``."""
        part.exceptions = unpack_exceptions(data, part.residue_count)
