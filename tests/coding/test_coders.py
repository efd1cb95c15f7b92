"""What all coders of bases have in common, experts and networks of each form."""

import threading

import numpy as np
import pytest
from networks import likely_bases, random_model

from geneformer_codec.coding.interface import BaseCoder
from geneformer_codec.errors import FormatError
from geneformer_codec.predict.coder import ExpertCoder
from geneformer_codec.predict.predictor import Predictor
from geneformer_codec.predict.settings import without_panel

KINDS = ["experts", "stream", "stream without segment cut", "paper", "paper without latent array"]
LENGTHS = [90, 1, 70, 0, 64, 65, 90, 3, 90, 80]
LONG = [100, 4095, 4096, 9000, 9000]
"""Of experts, whose tables follow from a slice's length."""


def coder(kind: str, threads: int = 1) -> BaseCoder:
    if kind == "experts":
        return ExpertCoder(Predictor(without_panel("fast")), "experts", threads)
    return random_model(kind).coder(None, "cpu", threads)


def sequence(kind: str, lengths: list[int]) -> np.ndarray:
    """Every other slice is predicted well, and the others are stored plain."""
    random, most = np.random.default_rng(1), max(lengths)
    likely = np.resize(random.integers(0, 4, 10), most) if kind == "experts" else likely_bases(kind, most)
    slices = [random.integers(0, 4, n) if number % 2 else likely[:n] for number, n in enumerate(lengths)]
    return np.concatenate(slices).astype(np.uint8)


@pytest.mark.parametrize("kind", KINDS)
def test_slices_decode_alone_and_take_no_more_than_2_bits_a_base(kind: str) -> None:
    bases, ends = sequence(kind, LENGTHS), np.cumsum(LENGTHS)
    coded = coder(kind).encode(bases, LENGTHS)
    plain = [-(-length // 4) for length in LENGTHS]
    assert all(len(slice_) <= most for slice_, most in zip(coded, plain, strict=True))
    assert sum(len(slice_) < most for slice_, most in zip(coded, plain, strict=True)) >= 2
    for slice_, length, end in zip(coded, LENGTHS, ends.tolist(), strict=True):
        assert (coder(kind).decode([slice_], [length]) == bases[end - length : end]).all()
    with pytest.raises(FormatError, match="more than its 5 bases"):
        coder(kind).decode([b"abc"], [5])


@pytest.mark.parametrize("kind", KINDS)
def test_the_start_of_a_slice(kind: str) -> None:
    """What is decoded does not depend on where decoding stops."""
    lengths = LONG if kind == "experts" else LENGTHS
    bases, starts = sequence(kind, lengths), np.cumsum([0, *lengths])
    slices = coder(kind).encode(bases, lengths)
    for share in (0, 0.02, 0.5, 0.99, 1):
        stops = [round(length * share) for length in lengths]
        wanted = [bases[start : start + stop] for start, stop in zip(starts, stops, strict=False)]
        assert (coder(kind, 2).decode(slices, lengths, stops=stops) == np.concatenate(wanted)).all()


@pytest.mark.parametrize("kind", ["experts", "stream"])
def test_nothing_to_code(kind: str) -> None:
    made = coder(kind)
    assert made.encode(np.zeros(0, np.uint8), []) == []
    assert made.encode(np.zeros(0, np.uint8), [0]) == [b""]
    assert made.decode([], []).tolist() == made.decode([b""], [0]).tolist() == []


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", ["experts", "stream"])
def test_progress_counts_every_base_and_an_interruption_stops_every_thread(kind: str, threads: int) -> None:
    made, bases, seen = coder(kind, threads), sequence(kind, LENGTHS), list[int]()
    coded = made.encode(bases, LENGTHS, seen.append)
    made.decode(coded, LENGTHS, seen.append)
    assert sum(seen) == 2 * len(bases)

    def interrupt(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made.encode(np.zeros(40_000, np.uint8), [10_000] * 4, interrupt)
    with pytest.raises(KeyboardInterrupt):
        made.decode([b""] * 4, [10_000] * 4, interrupt)
    assert threading.active_count() < 20
