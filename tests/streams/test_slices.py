"""Where slices are cut, and how a block says so."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geneformer_codec.archive.manifest import most_slices
from geneformer_codec.errors import FormatError
from geneformer_codec.streams.slice_table import SliceTable, cut_slices

FRAGMENTS = st.lists(st.integers(0, 300), max_size=40)
LENGTH = st.integers(1, 200)


def greedily(fragments: list[int], slice_length: int) -> list[int]:
    """The rule, fragment by fragment."""
    slices, held = [], 0
    for fragment in fragments:
        if fragment > slice_length - held:
            slices += [held] if held else []
            pieces, held = divmod(fragment, slice_length)
            slices += [slice_length] * pieces
        else:
            held += fragment
    return slices + ([held] if held else [])


@given(FRAGMENTS, LENGTH)
def test_cuts(fragments: list[int], slice_length: int) -> None:
    slices = cut_slices(np.array(fragments, np.int64), slice_length)
    assert sum(slices) == sum(fragments)
    assert all(1 <= slice_ <= slice_length for slice_ in slices)
    assert all(a + b > slice_length for a, b in itertools.pairwise(slices))
    assert len(slices) <= most_slices(sum(fragments), slice_length)
    edges = set(itertools.accumulate(fragments, initial=0))
    for start, slice_ in zip(itertools.accumulate(slices, initial=0), slices, strict=False):
        inside = {start + slice_} & edges
        assert inside or slice_ == slice_length, "a slice ends where a record does, or is full"


@given(FRAGMENTS, LENGTH)
def test_full_slices_end_by_the_rule(fragments: list[int], slice_length: int) -> None:
    wanted = greedily(fragments, slice_length)
    found = cut_slices(np.array(fragments, np.int64), slice_length)
    assert found == [slice_ for slice_ in wanted if slice_]


@given(FRAGMENTS)
def test_whole_part(fragments: list[int]) -> None:
    assert cut_slices(np.array(fragments, np.int64), 0) == ([sum(fragments)] if sum(fragments) else [])


def test_many_short_records() -> None:
    slices = cut_slices(np.full(2_000_000, 150, np.int64), 65536)
    assert set(slices[:-1]) == {436 * 150}


@given(st.lists(st.tuples(st.integers(1, 1 << 30), st.integers(0, 1 << 30)), max_size=30))
def test_table(slices: list[tuple[int, int]]) -> None:
    table = SliceTable([length for length, _ in slices], [size for _, size in slices])
    packed = table.pack()
    numbers = len(slices), sum(table.lengths), sum(table.sizes)
    assert SliceTable.unpack(packed, *numbers, 1 << 30) == table
    assert len(slices) > 1 or packed == b""


def test_table_is_small() -> None:
    """34 slices, as 100 human mitochondrial genomes make."""
    rng = np.random.default_rng(1)
    lengths = (49_707 + rng.integers(-6, 7, 34)).tolist()
    assert len(SliceTable(lengths, rng.integers(20, 120, 34).tolist()).pack()) < 3 * 34
    assert len(SliceTable([65536] * 250 + [1], rng.integers(3000, 5000, 251).tolist()).pack()) < 2.5 * 251


SOUND = SliceTable([100, 50, 7], [20, 10, 2])


@pytest.mark.parametrize(
    ("slices", "bases", "payload", "longest"),
    [(2, 157, 32, 100), (4, 157, 32, 100), (3, 140, 32, 100), (3, 157, 25, 100), (3, 150, 32, 100), (3, 157, 32, 99),
     (3, 300, 32, 100), (1, 157, 32, 200), (0, 0, 0, 100)],
)  # fmt: skip
def test_tables_that_lie(slices: int, bases: int, payload: int, longest: int) -> None:
    with pytest.raises(FormatError):
        SliceTable.unpack(SOUND.pack(), slices, bases, payload, longest)


@given(st.binary(max_size=40), st.integers(0, 5))
def test_random_tables(table: bytes, slices: int) -> None:
    try:
        found = SliceTable.unpack(table, slices, 1000, 500, 400)
    except FormatError:
        return
    assert (len(found.lengths), len(found.sizes)) == (slices, slices)
    if slices:
        assert (sum(found.lengths), sum(found.sizes)) == (1000, 500)
        assert min(found.sizes) >= 0


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20))
def test_places(lengths: list[int]) -> None:
    table, total = SliceTable(lengths, []), sum(lengths)
    starts = list(itertools.accumulate(lengths, initial=0))
    slices, offsets = (column.tolist() for column in table.places(np.arange(total + 1)))
    for base, slice_, offset in zip(range(total), slices, offsets, strict=False):
        assert (starts[slice_] + offset, offset < lengths[slice_]) == (base, True)
    assert (slices[-1], offsets[-1]) == (len(lengths) - 1, lengths[-1])
    nowhere = SliceTable([], []).places(np.zeros(1, np.int64))
    assert [column.tolist() for column in nowhere] == [[0], [0]]
