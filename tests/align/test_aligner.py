"""Mapped reads come back; the description suffices to decode them; damage is an error, never a crash."""

import functools
from collections.abc import Sequence

import numpy as np
import pytest
import reference_alignments
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from geneformer_codec.align.aligner import Aligner, Alignment
from geneformer_codec.coding.slices import code_slices, read_edges
from geneformer_codec.errors import FormatError
from geneformer_codec.predict.panel_tables import PackedPanel
from geneformer_codec.predict.predictor import Predictor
from geneformer_codec.predict.settings import with_panel_alone
from geneformer_codec.streams.alignments import CodedDifferences
from geneformer_codec.streams.packing import frame_slices

Bases = NDArray[np.uint8]

PANEL: Bases = np.random.default_rng(1).integers(0, 4, 4000).astype(np.uint8)
PANEL[3000:3300] = PANEL[500:800]  # a repeat
PANEL[3500:3600] = 3 - PANEL[900:1000][::-1]  # one of the other strand


def aligner(panel: Bases = PANEL) -> Aligner:
    tables = Predictor(with_panel_alone("fast"), PackedPanel.of(panel)).tables
    assert tables is not None
    return Aligner(tables, 16, 2)


ALIGNER = aligner()


def revcomp(bases: Bases) -> Bases:
    return np.ascontiguousarray(3 - bases[::-1])


def coded(
    reads: Sequence[Bases], texts: Sequence[int], qualities: Bases, bits: int = 0
) -> tuple[bytes, bytes, Alignment, NDArray[np.int64]] | None:
    """What is stored of reads, if they are mapped; in slices, if ``bits`` are given."""
    lengths = np.array([len(read) for read in reads], np.int64)
    bases = np.concatenate([np.zeros(0, np.uint8), *reads])
    alignment = ALIGNER.align(bases, lengths, texts)
    if alignment is None:
        return None
    places = ALIGNER.encode_places(alignment)
    edges = read_edges(lengths, bits) if bits else None
    differences = ALIGNER.code_differences(alignment, bases.copy(), qualities, edges)
    return places, bytes((bits,)) + frame_slices(differences), alignment, lengths


def decoded(
    places: bytes, differences: bytes, lengths: NDArray[np.int64], texts: Sequence[int], own: Bases, qualities: Bases
) -> Bases:
    alignment = ALIGNER.decode_places(places, lengths, texts, len(own))
    alignment.own = own
    coded, bases = CodedDifferences.read(differences, lengths), ALIGNER.expected(alignment)
    run = functools.partial(code_slices, threads=2)
    ALIGNER.code_differences(alignment, bases, qualities, coded.reads, coded.streams, run)
    return bases


def simulated(count: int, seed: int, pairs: bool = False) -> tuple[list[Bases], list[int]]:
    """Reads with errors, insertions and deletions, overhang, jumps, some of them of nothing; or pairs of such."""
    random = np.random.default_rng(seed)
    reads: list[Bases] = []
    for number in range(count):
        length = int(random.integers(0, 160))
        start = int(random.integers(-30, len(PANEL) - 60))
        read = PANEL[max(start, 0) : start + length].copy()
        if start < 0:
            read = np.concatenate((random.integers(0, 4, -start).astype(np.uint8), read))
        kind = number % 8
        if kind == 1 and len(read) > 80:
            read = np.delete(read, slice(40, 40 + int(random.integers(1, 30))))
        elif kind == 2 and len(read) > 80:
            read = np.insert(read, 40, random.integers(0, 4, int(random.integers(1, 6)))).astype(np.uint8)
        elif kind == 3:
            other = int(random.integers(0, 3000))
            read = np.concatenate((read, revcomp(PANEL[other : other + 70]), PANEL[other + 100 : other + 170]))
        elif kind == 4:
            read = random.integers(0, 4, length).astype(np.uint8)
        elif kind == 5 and reads:
            read = reads[int(random.integers(len(reads)))].copy()
        wrong = random.random(len(read)) < 0.01
        read[wrong] = random.integers(0, 4, int(wrong.sum()))
        reads.append(revcomp(read) if random.integers(2) else read)
    if not pairs:
        return reads, [count]
    for number in range(count - 3):  # a few have no mate
        start = int(random.integers(0, 3600))
        if number % 2:
            reads[number] = PANEL[start : start + 100].copy()
        reads.append(revcomp(PANEL[start + 250 : start + 350]))
    return reads, [count, count - 3]


def qualities_of(reads: Sequence[Bases], seed: int) -> Bases:
    return np.random.default_rng(seed).integers(33, 127, sum(map(len, reads))).astype(np.uint8)


@pytest.mark.parametrize("bits", [0, 13])
@pytest.mark.parametrize("pairs", [False, True])
def test_mapped_reads_come_back_and_take_little(pairs: bool, bits: int) -> None:
    reads, texts = simulated(800, 2, pairs)
    qualities = qualities_of(reads, 3)
    found = coded(reads, texts, qualities, bits)
    assert found is not None
    places, differences, alignment, lengths = found
    assert alignment.events > 30
    assert 0 < alignment.own_count < lengths.sum() / 2
    bases = decoded(places, differences, lengths, texts, alignment.own, qualities)
    assert np.array_equal(bases, np.concatenate(reads))
    assert len(places) + len(differences) < lengths.sum() / (14 if bits else 16)  # half a bit a base


def test_neighbours_are_found_to_be_mates() -> None:
    reads: list[Bases] = []
    for start in np.random.default_rng(4).integers(0, 3500, 300).tolist():
        reads += [PANEL[start : start + 100].copy(), revcomp(PANEL[start + 200 : start + 300])]
    apart = reads[::2] + reads[1::2]
    sizes = []
    for order, texts in ((reads, [600]), (apart, [300, 300]), (apart, [600])):
        found = coded(order, texts, qualities_of(order, 5))
        assert found is not None
        sizes.append(len(found[0]))
        bases = decoded(*found[:2], found[3], texts, found[2].own, qualities_of(order, 5))
        assert np.array_equal(bases, np.concatenate(order))
    assert sizes[0] == sizes[1] < sizes[2]


@pytest.mark.parametrize("bits", [0, 10])
@pytest.mark.parametrize(("count", "seed", "pairs"), [(60, 6, False), (40, 7, True)])
def test_the_description_suffices(count: int, seed: int, pairs: bool, bits: int) -> None:
    reads, texts = simulated(count, seed, pairs)
    qualities = qualities_of(reads, seed)
    found = coded(reads, texts, qualities, bits)
    assert found is not None
    places, differences, alignment, lengths = found
    ends = np.cumsum(lengths)
    each = [qualities[end - length : end].tolist() for end, length in zip(ends, lengths, strict=True)]
    bases = reference_alignments.decode_reads(
        places, differences, lengths.tolist(), texts, PANEL.tolist(), alignment.own.tolist(), each
    )
    assert bases == [read.tolist() for read in reads]


def test_one_read_and_three_mates_come_back() -> None:
    reads = [PANEL[:0], PANEL[:40], PANEL[100:140], PANEL[100:140]]
    qualities = qualities_of(reads, 8)
    found = coded(reads, [1, 3], qualities)
    assert found is not None
    assert np.array_equal(decoded(*found[:2], found[3], [1, 3], found[2].own, qualities), np.concatenate(reads))


@st.composite
def any_reads(draw: st.DrawFn) -> tuple[list[Bases], list[int]]:
    """Pieces of the panel and of each other, of either strand, joined with anything."""
    reads: list[Bases] = []
    for _ in range(draw(st.integers(0, 12))):
        pieces = [np.zeros(0, np.uint8)]
        for _ in range(draw(st.integers(0, 4))):
            source = PANEL if not reads or draw(st.booleans()) else reads[draw(st.integers(0, len(reads) - 1))]
            start = draw(st.integers(0, max(len(source) - 1, 0)))
            piece = source[start : start + draw(st.integers(0, 120))]
            pieces.append(revcomp(piece) if draw(st.booleans()) else piece)
            pieces.append(np.array(draw(st.lists(st.integers(0, 3), max_size=12)), np.uint8))
        reads.append(np.concatenate(pieces).astype(np.uint8))
    first = draw(st.integers(0, len(reads)))
    return reads, draw(st.sampled_from([[len(reads)], [first, len(reads) - first]]))


@given(any_reads(), st.integers(33, 126), st.sampled_from([0, 10]))
def test_any_reads_come_back(given_reads: tuple[list[Bases], list[int]], quality: int, bits: int) -> None:
    reads, texts = given_reads
    qualities = np.full(sum(map(len, reads)), quality, np.uint8)
    found = coded(reads, texts, qualities, bits)
    if found is not None:
        bases = decoded(*found[:2], found[3], texts, found[2].own, qualities)
        assert np.array_equal(bases, np.concatenate([np.zeros(0, np.uint8), *reads]))


READS, TEXTS = simulated(200, 8, True)
QUALITIES = qualities_of(READS, 9)


@given(st.data(), st.sampled_from([0, 12]))
@settings(max_examples=60)
def test_damage_is_an_error_or_decodes_to_something(data: st.DataObject, bits: int) -> None:
    found = coded(READS, TEXTS, QUALITIES, bits)
    assert found is not None
    streams = [bytearray(found[0]), bytearray(found[1])]
    for _ in range(data.draw(st.integers(1, 3))):
        damaged = streams[data.draw(st.integers(0, 1))]
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.sampled_from([0, 0, 1, 7, len(streams[0]) - 3]))
    try:
        bases = decoded(
            bytes(streams[0][: len(streams[0]) - cut]), bytes(streams[1]), found[3], TEXTS, found[2].own, QUALITIES
        )
    except FormatError:
        return
    assert len(bases) == found[3].sum()


def test_what_does_not_fit_is_refused() -> None:
    found = coded(READS, TEXTS, QUALITIES)
    assert found is not None
    lengths = found[3]
    with pytest.raises(FormatError, match="unknown kind"):
        ALIGNER.decode_places(b"\x03" + found[0][1:], lengths, TEXTS, found[2].own_count)
    with pytest.raises(FormatError, match="unknown kind"):
        ALIGNER.decode_places(found[0], lengths, [len(READS)], found[2].own_count)
    with pytest.raises(FormatError, match="limit"):
        ALIGNER.decode_places(b"\x02\xff\xff\x7f" + found[0][3:], lengths, TEXTS, found[2].own_count)
    with pytest.raises(FormatError, match=r"not those|left over"):
        ALIGNER.decode_places(found[0], lengths, TEXTS, found[2].own_count + 1)


def test_reads_of_something_else_are_not_mapped() -> None:
    random = np.random.default_rng(10).integers(0, 4, 20_000).astype(np.uint8)
    assert ALIGNER.align(random, np.full(200, 100, np.int64), [200]) is None
    assert ALIGNER.align(PANEL[:3000], np.full(30, 100, np.int64), [29]) is None  # lines that look like headers
