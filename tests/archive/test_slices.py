"""Where lanes are cut, and how a block says so."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geneformer_codec.archive.manifest import STREAMS, Block, most_lanes
from geneformer_codec.archive.slices import LanePlaces, LaneTable, cut_lanes
from geneformer_codec.errors import FormatError

FRAGMENTS = st.lists(st.integers(0, 300), max_size=40)
LENGTH = st.integers(1, 200)


def greedily(fragments: list[int], lane_length: int) -> list[int]:
    """The rule, fragment by fragment."""
    lanes, held = [], 0
    for fragment in fragments:
        if fragment > lane_length - held:
            lanes += [held] if held else []
            pieces, held = divmod(fragment, lane_length)
            lanes += [lane_length] * pieces
        else:
            held += fragment
    return lanes + ([held] if held else [])


@given(FRAGMENTS, LENGTH)
def test_cuts(fragments: list[int], lane_length: int) -> None:
    lanes = cut_lanes(np.array(fragments, np.int64), lane_length)
    assert sum(lanes) == sum(fragments)
    assert all(1 <= lane <= lane_length for lane in lanes)
    assert all(a + b > lane_length for a, b in itertools.pairwise(lanes))
    assert len(lanes) <= most_lanes(sum(fragments), lane_length)
    edges = set(itertools.accumulate(fragments, initial=0))
    for start, lane in zip(itertools.accumulate(lanes, initial=0), lanes, strict=False):
        inside = {start + lane} & edges
        assert inside or lane == lane_length, "a lane ends where a record does, or is full"


@given(FRAGMENTS, LENGTH)
def test_full_lanes_end_as_the_rule_says(fragments: list[int], lane_length: int) -> None:
    wanted = greedily(fragments, lane_length)
    found = cut_lanes(np.array(fragments, np.int64), lane_length)
    assert found == [lane for lane in wanted if lane]


@given(FRAGMENTS)
def test_whole_part(fragments: list[int]) -> None:
    assert cut_lanes(np.array(fragments, np.int64), 0) == ([sum(fragments)] if sum(fragments) else [])


def test_many_short_records() -> None:
    lanes = cut_lanes(np.full(2_000_000, 150, np.int64), 65536)
    assert set(lanes[:-1]) == {436 * 150}


def block(lengths: list[int], payload: int, **changes: int) -> Block:
    numbers = {"bases": sum(lengths), "lanes": len(lengths), **changes}
    streams = dict.fromkeys(STREAMS, 0) | {"payload": payload}
    return Block(0, 0, "", 0, 0, numbers["bases"], numbers["lanes"], 0, streams, True, True)


@given(st.lists(st.tuples(st.integers(1, 1 << 30), st.integers(0, 1 << 30)), max_size=30))
def test_table(lanes: list[tuple[int, int]]) -> None:
    table = LaneTable([length for length, _ in lanes], [size for _, size in lanes])
    packed = table.pack()
    assert LaneTable.of(block(table.lengths, sum(table.sizes)), packed, 1 << 30) == table
    assert len(lanes) > 1 or packed == b""


def test_table_is_small() -> None:
    """34 lanes, as 100 human mitochondrial genomes make."""
    chance = np.random.default_rng(1)
    lengths = (49_707 + chance.integers(-6, 7, 34)).tolist()
    assert len(LaneTable(lengths, chance.integers(20, 120, 34).tolist()).pack()) < 3 * 34
    assert len(LaneTable([65536] * 250 + [1], chance.integers(3000, 5000, 251).tolist()).pack()) < 2.5 * 251


SOUND = LaneTable([100, 50, 7], [20, 10, 2])


@pytest.mark.parametrize(
    ("lanes", "bases", "payload", "longest"),
    [(2, 157, 32, 100), (4, 157, 32, 100), (3, 140, 32, 100), (3, 157, 25, 100), (3, 150, 32, 100), (3, 157, 32, 99),
     (3, 300, 32, 100), (1, 157, 32, 200), (0, 0, 0, 100)],
)  # fmt: skip
def test_tables_that_lie(lanes: int, bases: int, payload: int, longest: int) -> None:
    with pytest.raises(FormatError):
        LaneTable.of(block([], payload, lanes=lanes, bases=bases), SOUND.pack(), longest)


@given(st.binary(max_size=40), st.integers(0, 5))
def test_tables_of_chance(table: bytes, lanes: int) -> None:
    try:
        found = LaneTable.of(block([], 500, lanes=lanes, bases=1000), table, 400)
    except FormatError:
        return
    assert (len(found.lengths), len(found.sizes)) == (lanes, lanes)
    if lanes:
        assert (sum(found.lengths), sum(found.sizes)) == (1000, 500)
        assert min(found.sizes) >= 0


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20))
def test_places(lengths: list[int]) -> None:
    places = LanePlaces(lengths)
    starts = list(itertools.accumulate(lengths, initial=0))
    for base in range(sum(lengths)):
        lane, offset = places.place(base)
        assert (starts[lane] + offset, offset < lengths[lane]) == (base, True)
    assert places.place(sum(lengths)) == (len(lengths) - 1, lengths[-1])
    assert LanePlaces([]).place(0) == (0, 0)
