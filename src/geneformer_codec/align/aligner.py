"""Reads of a part mapped to a panel, and coded by `places` and `differences`."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.align.difference_slices import DifferenceCodec, ReadSlice
from geneformer_codec.align.differences import MOST_QUALITY
from geneformer_codec.align.mapping import Seeds, map_reads
from geneformer_codec.align.places import NEAR_BITS, Alignments, Reads, code_places, new_place_model, predict_bases
from geneformer_codec.align.reference import OVERHANG, Reference
from geneformer_codec.coding.mixing import PLACE, coder_state, finish
from geneformer_codec.coding.slices import Run, check_end, code_slices
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
        check_end(int(state[PLACE]), data, "alignments")
        if not sound or int(found.event_count.sum()) != events or int(alignment.own_lengths.sum()) != own_count:
            raise FormatError("damaged alignments: they are not those of the part's reads")
        return alignment

    def expected(self, alignment: Alignment) -> Bases:
        """All bases, as far as they are known without the differences."""
        bases = alignment.inserted.copy()
        predict_bases(self._reference(alignment), alignment.reads, alignment.found, alignment.own, bases)
        return bases

    def code_differences(
        self,
        alignment: Alignment,
        bases: Bases,
        qualities: Bases,
        edges: Sequence[int] | None = None,
        streams: Sequence[bytes] | None = None,
        run: Run = code_slices,
    ) -> list[bytes]:
        """Where ``bases`` differ from what is expected, given the ``qualities`` of each, as they stand in the text.

        Given ``streams``, these are decoded into ``bases``, which are what is `expected`. All reads are one slice if
        ``edges`` is None. Else a slice begins at each read of ``edges`` but the last, at which it ends; ``bases`` and
        ``qualities`` are those of the reads from the first of these to the last.
        """
        quality = np.minimum(qualities - np.uint8(33), np.uint8(MOST_QUALITY))
        if edges is None:
            slices = [ReadSlice(alignment.reads, alignment.found, quality, bases)]
        else:
            starts = np.concatenate(([0], alignment.reads.ends))
            places = pairwise((starts[edges] - starts[edges[0]]).tolist())
            slices = [
                ReadSlice(*_cut(alignment, first, stop, int(starts[first])), quality[begin:end], bases[begin:end])
                for (first, stop), (begin, end) in zip(pairwise(edges), places, strict=True)
            ]
        return run(DifferenceCodec(self._reference(alignment)), slices, streams)

    def _reference(self, alignment: Alignment) -> Reference:
        return Reference(self._tables, alignment.own)

    def _place_bits(self, own_count: int) -> int:
        return (self._tables.length + own_count + 2 * OVERHANG - 1).bit_length()


def _cut(alignment: Alignment, first: int, stop: int, start: int) -> tuple[Reads, Alignments]:
    """Some reads by themselves, whose first base is the part's number ``start``."""
    lengths, found = alignment.lengths[first:stop], alignment.found
    ends, counts = np.cumsum(lengths, dtype=np.int64), found.event_count[first:stop]
    first_event = np.cumsum(counts, dtype=np.int64) - counts
    # those of mates may lie between them
    events = np.repeat(found.first_event[first:stop] - first_event, counts) + np.arange(int(counts.sum()))
    return (
        Reads(np.arange(len(lengths)), ends - lengths, ends, 0, alignment.reads.seconds[first:stop]),
        Alignments(
            places=found.places[first:stop],
            steps=found.steps[first:stop],
            first_event=first_event,
            event_count=counts,
            at=found.at[events] - start,
            kinds=found.kinds[events],
            values=found.values[events],
            directions=found.directions[events],
        ),
    )


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
    seconds = np.zeros(len(lengths), np.uint8)
    seconds[order[1:paired:2]] = 1
    return Reads(order, ends - lengths, ends, paired, seconds)


def _neighbours(found: Alignments) -> int:
    """Whether reads that follow one another are mates: most lie close together, on both strands."""
    pairs = len(found.places) // 2
    chosen = 2 * np.unique(np.linspace(0, pairs - 1, min(pairs, PAIRS_TRIED)).astype(np.int64))
    steps, distances = found.steps.astype(np.int64), np.abs(found.places[chosen] - found.places[chosen + 1])
    near = (steps[chosen] * steps[chosen + 1] == -1) & (distances < 1 << NEAR_BITS)
    return NEIGHBOURS if 2 * int(near.sum()) > len(chosen) else ALONE
