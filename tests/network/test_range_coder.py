import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geneformer_codec.network.slice_coder import TOTAL, SliceDecoder, SliceEncoder


def random_frequencies(rng: np.random.Generator, shape: tuple[int, ...], sharpness: float) -> np.ndarray:
    weights = rng.dirichlet([sharpness] * 4, shape)
    frequencies = 1 + np.floor(weights * (TOTAL - 4)).astype(np.int64)
    np.put_along_axis(frequencies, frequencies.argmax(-1)[..., None], 0, -1)
    np.put_along_axis(frequencies, frequencies.argmin(-1)[..., None], TOTAL - frequencies.sum(-1, keepdims=True), -1)
    assert (frequencies.sum(-1) == TOTAL).all()
    assert (frequencies > 0).all()
    return frequencies.astype(np.uint16)


def decode(streams: list[bytes], frequencies: np.ndarray) -> np.ndarray:
    decoder = SliceDecoder(streams)
    symbols = np.zeros(frequencies.shape[:2], np.uint8)
    for position in range(frequencies.shape[1]):
        column = np.zeros(len(streams), np.uint8)
        decoder.decode(np.ascontiguousarray(frequencies[:, position]), column)
        symbols[:, position] = column
    return symbols


@pytest.mark.parametrize("sharpness", [0.005, 0.1, 10])
def test_many_symbols_take_their_entropy(sharpness: float) -> None:
    rng = np.random.default_rng(1)
    frequencies = random_frequencies(rng, (1, 200_000), sharpness)
    cumulative = frequencies[0].astype(np.int64).cumsum(-1)
    symbols = (rng.integers(0, TOTAL, 200_000)[:, None] >= cumulative).sum(-1).astype(np.uint8)[None]
    encoder = SliceEncoder(np.array([200_000]))
    encoder.encode(symbols, frequencies, np.array([200_000]))
    (stream,) = encoder.finish()
    chosen = np.take_along_axis(frequencies[0], symbols[0][:, None].astype(np.int64), -1).astype(np.float64)
    entropy_bytes = -np.log2(chosen / TOTAL).sum() / 8
    assert len(stream) <= entropy_bytes * 1.001 + 2
    assert (decode([stream], frequencies) == symbols).all()


@given(
    seed=st.integers(0, 2**32 - 1),
    slices=st.integers(1, 9),
    positions=st.integers(0, 60),
    sharpness=st.sampled_from([0.001, 0.02, 1.0]),
    likely=st.booleans(),
)
def test_slices_round_trip(seed: int, slices: int, positions: int, sharpness: float, likely: bool) -> None:
    rng = np.random.default_rng(seed)
    frequencies = random_frequencies(rng, (slices, positions), sharpness)
    symbols = (
        frequencies.argmax(-1).astype(np.uint8) if likely else rng.integers(0, 4, (slices, positions)).astype(np.uint8)
    )
    lengths = np.full(slices, positions, np.int64)
    encoder = SliceEncoder(lengths)
    cut = positions // 3
    encoder.encode(symbols[:, :cut], frequencies[:, :cut], np.full(slices, cut))
    encoder.encode(symbols[:, cut:], frequencies[:, cut:], lengths - cut)
    streams = encoder.finish()
    assert (decode(streams, frequencies) == symbols).all()
    for slice_ in range(slices):  # a slice stands alone
        assert (decode(streams[slice_ : slice_ + 1], frequencies[slice_ : slice_ + 1]) == symbols[slice_]).all()


def test_carries_run_through_bytes_of_255() -> None:
    # a symbol at the very top of the interval, again and again, then one that tips it over
    frequencies = np.tile(np.array([1, 1, 1, TOTAL - 3], np.uint16), (1, 4000, 1))
    for tail in range(4):
        symbols = np.full((1, 4000), 3, np.uint8)
        symbols[0, 1::7] = tail
        encoder = SliceEncoder(np.array([4000]))
        encoder.encode(symbols, frequencies, np.array([4000]))
        assert (decode(encoder.finish(), frequencies) == symbols).all()


def test_certain_symbols_cost_next_to_nothing() -> None:
    frequencies = np.tile(np.array([TOTAL - 3, 1, 1, 1], np.uint16), (1, 10_000, 1))
    encoder = SliceEncoder(np.array([10_000]))
    encoder.encode(np.zeros((1, 10_000), np.uint8), frequencies, np.array([10_000]))
    assert encoder.finish() == [b""]


def test_any_bytes_decode_without_reading_past_the_end() -> None:
    rng = np.random.default_rng(3)
    frequencies = random_frequencies(rng, (2, 500), 0.5)
    symbols = decode([rng.bytes(20), b""], frequencies)
    assert symbols.max() <= 3
