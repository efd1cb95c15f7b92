"""The stream ``case``: where letter case, and T against U, change."""

from __future__ import annotations

import numpy as np

from geneformer_codec.errors import FormatError
from geneformer_codec.sequence.fasta import Case
from geneformer_codec.streams.interface import Coding, PartContent, Stream
from geneformer_codec.streams.packing import ByteReader, add_up, frame, pack_integers, unpack_integers


def pack_case(case: Case) -> bytes:
    """To bytes; nothing to nothing.

    Stored as distances in two columns each: the 1st, 3rd, ... (upper-case stretches) and the 2nd, 4th, ... (lower).
    """
    if not any(map(len, case)):
        return b""
    steps = [np.diff(places, prepend=0) for places in case]
    return frame(pack_integers(step[half::2]) for step in steps for half in (0, 1))


def unpack_case(data: bytes, residues: int) -> Case:
    """Inverse of :func:`pack_case` for a text of that many residues."""
    if not data:
        return Case(np.zeros(0, np.int64), np.zeros(0, np.int64))
    reader = ByteReader(data, "case stream")
    halves = [unpack_integers(reader.framed(), residues) for _ in range(4)]
    reader.finish()
    places = []
    for ons, offs in (halves[:2], halves[2:]):
        if len(ons) - len(offs) not in (0, 1):
            raise FormatError("damaged case stream: columns that do not match")
        steps = np.empty(len(ons) + len(offs), np.int64)
        steps[0::2], steps[1::2] = ons, offs
        places.append(add_up(steps, residues, "case stream"))
        if len(steps) > 1 and int(steps[1:].min()) == 0:
            raise FormatError("damaged case stream: an empty run")
    return Case(*places)


class CaseStream(Stream):
    """Changes of letter case."""

    id = "case"

    def encode(self, part: PartContent, coding: Coding) -> bytes:
        """See `pack_case`."""
        return pack_case(part.case)

    def decode(self, data: bytes, part: PartContent, coding: Coding) -> None:
        """Sets ``case``."""
        part.case = unpack_case(data, part.residue_count)
