"""Reads of a part mapped to a panel, and coded by `places` and `differences`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.align.differences import MOST_QUALITY, code_differences, new_difference_model
from geneformer_codec.align.mapping import Seeds, map_reads
from geneformer_codec.align.places import NEAR_BITS, Alignments, Reads, code_places, new_place_model, predict_bases
from geneformer_codec.align.reference import OVERHANG, Reference
from geneformer_codec.coding.mixing import PLACE, coder_state, finish
from geneformer_codec.errors import FormatError
from geneformer_codec.predict.state import PanelTables
from geneformer_codec.streams.packing import ByteReader, encode_varint

LEAST_MAPPED = 0.25
"""The share of a part's bases that must be in mapped reads: below, all are coded by themselves."""
BASES_AN_EVENT = 12
"""A part may have one event for so many bases, and `MORE_EVENTS`."""
MORE_EVENTS = 16
ALONE, NEIGHBOURS, TEXTS = range(3)
"""Which reads are mates: none, each two that follow one another, those of the same number in two texts."""
PAIRS_TRIED = 256
"""Pairs of neighbours that tell whether these are mates."""
_HEADS = 10, 22
"""log2 of the hash table of the seeds of reads that are coded by themselves, at least and at most."""

Bases = NDArray[np.uint8]


@dataclass(eq=False)
class Alignment:
    """How the reads of a part are coded: ``own`` are the bases of those coded by themselves, which ``is_own`` tells.

    ``lengths`` are the bases of each read. ``own`` is empty until it is decoded.
    """

    lengths: NDArray[np.int64]
    mode: int
    """Which reads are mates."""
    reads: Reads
    found: Alignments
    events: int
    own_count: int
    own: Bases
    inserted: Bases
    """[bases] those that are inserted, at their places."""

    @property
    def own_lengths(self) -> NDArray[np.int64]:
        """Bases of each read that is coded by itself."""
        own: NDArray[np.int64] = self.lengths[self.found.steps == 0]
        return own


class Aligner:
    """Maps reads to the panel with these ``tables``, by its seeds of ``seed_length``, one in ``sampling``."""

    def __init__(self, tables: PanelTables, seed_length: int, sampling: int) -> None:
        self._tables, self._seed_length, self._sampling = tables, seed_length, sampling

    def align(self, bases: Bases, lengths: NDArray[np.int64], texts: Sequence[int]) -> Alignment | None:
        """Where reads lie; None if most are not on the panel.

        ``bases`` uint8 [n] of 0..3 are those of reads of so many ``lengths``; ``texts`` is how many reads each text of
        the part has.
        """
        if sum(texts) != len(lengths):
            return None  # sequence lines that look like headers
        bases = np.require(bases, requirements=["C", "W"])
        bits = min(max(len(bases).bit_length(), _HEADS[0]), _HEADS[1])
        seeds = Seeds(np.zeros(1 << bits, np.int32), self._seed_length, self._sampling)
        found = _alignments(len(lengths), _most_events(len(bases)))
        reference = Reference(self._tables, np.zeros(len(bases), np.uint8))
        ends = np.cumsum(lengths, dtype=np.int64)
        done, events = map_reads(reference, seeds, bases, ends - lengths, ends, found, self._tables.length.bit_length())
        if len(bases) - done < LEAST_MAPPED * len(bases):
            return None
        mode = TEXTS if len(texts) == 2 else _neighbours(found)
        reads = _reads(lengths, texts, mode)
        return Alignment(lengths, mode, reads, found, int(events), int(done), reference.bases[:done].copy(), bases)

    def encode_places(self, alignment: Alignment) -> bytes:
        """Where the reads lie."""
        reads, found = alignment.reads, alignment.found
        header = bytes((alignment.mode,)) + encode_varint(alignment.events)
        state = coder_state()
        # a bit takes 10 at most; a read has about 50, an event 80
        room = 64 + 64 * len(alignment.lengths) + 128 * alignment.events + 4 * len(alignment.inserted)
        data = np.empty(room, np.uint8)
        place_bits = self._place_bits(alignment.own_count)
        model = new_place_model(place_bits)
        code_places(reads, found, model, place_bits, alignment.inserted, state, data, False)
        return header + finish(state, data)

    def decode_places(
        self, coded: bytes, lengths: NDArray[np.int64], texts: Sequence[int], own_count: int
    ) -> Alignment:
        """The inverse of `encode_places`; ``FormatError`` for what it has not written."""
        reader, bases = ByteReader(coded, "alignments"), int(lengths.sum())
        mode = reader.take(1)[0]
        if mode > TEXTS or sum(texts) != len(lengths) or (mode == TEXTS and len(texts) != 2):
            raise FormatError("damaged alignments: mates of an unknown kind")
        events = reader.varint(_most_events(bases))
        data = np.frombuffer(reader.rest(), np.uint8).copy()
        reads, found = _reads(lengths, texts, mode), _alignments(len(lengths), events)
        inserted, state = np.zeros(bases, np.uint8), coder_state()
        place_bits = self._place_bits(own_count)
        sound = code_places(reads, found, new_place_model(place_bits), place_bits, inserted, state, data, True)
        alignment = Alignment(lengths, mode, reads, found, events, own_count, np.zeros(0, np.uint8), inserted)
        _check_end(state, data, "alignments")
        if not sound or int(found.event_count.sum()) != events or int(alignment.own_lengths.sum()) != own_count:
            raise FormatError("damaged alignments: they are not those of the part's reads")
        return alignment

    def expected(self, alignment: Alignment) -> Bases:
        """All bases, as far as they are known without the differences."""
        bases = alignment.inserted.copy()
        predict_bases(self._reference(alignment), alignment.reads, alignment.found, alignment.own, bases)
        return bases

    def encode_differences(self, alignment: Alignment, bases: Bases, qualities: Bases) -> bytes:
        """Where ``bases`` differ from what is expected, given the ``qualities`` of each, as they stand in the text."""
        state, data = coder_state(), np.empty(64 + 4 * len(bases), np.uint8)
        self._code_differences(alignment, bases, qualities, state, data, False)
        return finish(state, data)

    def decode_differences(self, coded: bytes, alignment: Alignment, qualities: Bases) -> Bases:
        """All bases."""
        bases, state, data = self.expected(alignment), coder_state(), np.frombuffer(coded, np.uint8).copy()
        self._code_differences(alignment, bases, qualities, state, data, True)
        _check_end(state, data, "differences")
        return bases

    def _code_differences(
        self, alignment: Alignment, bases: Bases, qualities: Bases, state: NDArray[np.uint64], data: Bases, decode: bool
    ) -> None:
        reference = self._reference(alignment)
        model = new_difference_model(self._tables.length + alignment.own_count)
        quality = np.minimum(qualities - np.uint8(33), np.uint8(MOST_QUALITY))
        code_differences(reference, alignment.reads, alignment.found, model, quality, bases, state, data, decode)

    def _reference(self, alignment: Alignment) -> Reference:
        return Reference(self._tables, alignment.own)

    def _place_bits(self, own_count: int) -> int:
        return (self._tables.length + own_count + 2 * OVERHANG - 1).bit_length()


def _most_events(bases: int) -> int:
    return bases // BASES_AN_EVENT + MORE_EVENTS


def _alignments(reads: int, events: int) -> Alignments:
    return Alignments(
        places=np.zeros(reads, np.int64),
        steps=np.zeros(reads, np.int8),
        first_event=np.zeros(reads, np.int64),
        event_count=np.zeros(reads, np.int64),
        at=np.zeros(events, np.int64),
        kinds=np.zeros(events, np.uint8),
        values=np.zeros(events, np.int64),
        directions=np.zeros(events, np.int8),
    )


def _reads(lengths: NDArray[np.int64], texts: Sequence[int], mode: int) -> Reads:
    """The reads in the order in which they are coded: mates one after the other."""
    ends, order, paired = np.cumsum(lengths, dtype=np.int64), np.arange(len(lengths)), 0
    if mode == NEIGHBOURS:
        paired = len(lengths) // 2 * 2
    elif mode == TEXTS:
        first, pairs = texts[0], min(texts)
        both = np.stack((order[:pairs], order[first : first + pairs]), axis=1).reshape(-1)
        order, paired = np.concatenate((both, order[pairs:first], order[first + pairs :])), 2 * pairs
    return Reads(order, ends - lengths, ends, paired)


def _neighbours(found: Alignments) -> int:
    """Whether reads that follow one another are mates: most lie close together, on both strands."""
    pairs = len(found.places) // 2
    chosen = 2 * np.unique(np.linspace(0, pairs - 1, min(pairs, PAIRS_TRIED)).astype(np.int64))
    steps, distances = found.steps.astype(np.int64), np.abs(found.places[chosen] - found.places[chosen + 1])
    near = (steps[chosen] * steps[chosen + 1] == -1) & (distances < 1 << NEAR_BITS)
    return NEIGHBOURS if 2 * int(near.sum()) > len(chosen) else ALONE


def _check_end(state: NDArray[np.uint64], data: Bases, what: str) -> None:
    if int(state[PLACE]) < len(data):
        raise FormatError(f"damaged {what}: bytes are left over")
