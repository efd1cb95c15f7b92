import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import SMALL, random_tensors

from geneformer_codec.errors import FormatError, UsageError
from geneformer_codec.network import kernels
from geneformer_codec.network.backends import ARITHMETICS, make_backend
from geneformer_codec.network.fused import FusedDecoder
from geneformer_codec.network.integer_network import ExactNetwork, tensor_shapes
from geneformer_codec.network.slice_coder import SliceEncoder
from geneformer_codec.network.tables import attention_table, logit_table

DEVICES = ["cpu", "torch"] + (["cuda"] if torch.cuda.is_available() else [])


def all_frequencies(net: ExactNetwork, slices: np.ndarray) -> np.ndarray:
    return np.concatenate(list(net.encode(slices)), 1)[:, : slices.shape[1]]


@pytest.mark.parametrize("extreme", [False, True], ids=["lively", "extreme"])
@pytest.mark.parametrize("form", SMALL)
def test_every_execution_gives_the_same_frequencies(form: str, extreme: bool) -> None:
    config = SMALL[form]
    tensors = random_tensors(config, 1, extreme)
    slices = np.random.default_rng(2).integers(0, 4, (3, 150 if config.causal else 20)).astype(np.uint8)
    wanted = all_frequencies(ExactNetwork(config, tensors, make_backend("cpu", "float64")), slices)
    assert (wanted.astype(np.int64).sum(-1) == 65536).all()
    assert (wanted > 0).all()
    if not extreme:
        assert len(np.unique(wanted.reshape(-1, 4), axis=0)) > wanted.shape[1]  # it does predict different things
    for device in DEVICES:
        for arithmetic in ARITHMETICS:
            net = ExactNetwork(config, tensors, make_backend(device, arithmetic))
            assert (all_frequencies(net, slices) == wanted).all(), (device, arithmetic)
            decoder = net.decoder(len(slices))
            for position in range(0, min(40, slices.shape[1])):
                assert (decoder.predict() == wanted[:, position]).all(), (device, arithmetic, position)
                decoder.push(slices[:, position])


@pytest.mark.parametrize("form", [form for form in SMALL if SMALL[form].causal])
@pytest.mark.parametrize("slices", [1, 5])
def test_the_compiled_loop_decodes_the_same(form: str, slices: int) -> None:
    config, length, seen = SMALL[form], 1100, list[int]()
    tensors = random_tensors(config, 3)
    symbols = np.random.default_rng(4).integers(0, 4, (slices, length)).astype(np.uint8)
    net = ExactNetwork(config, tensors, make_backend("torch", "float64"))
    lengths = np.full(slices, length)
    encoder = SliceEncoder(lengths)
    encoder.encode(symbols, np.ascontiguousarray(all_frequencies(net, symbols)), lengths)
    decoded = FusedDecoder(config, tensors).decode(encoder.finish(), length, seen.append)
    assert (decoded == symbols).all()
    assert seen == [512, 1024, 1100]


def test_slices_do_not_see_each_other() -> None:
    config = SMALL["stream"]
    net = ExactNetwork(config, random_tensors(config), make_backend("cpu", "auto"))
    slices = np.random.default_rng(5).integers(0, 4, (4, 90)).astype(np.uint8)
    together = all_frequencies(net, slices)
    for slice_ in range(4):
        assert (all_frequencies(net, slices[slice_ : slice_ + 1])[0] == together[slice_]).all()


def test_a_prediction_depends_on_the_past_only() -> None:
    config = SMALL["stream"]
    net = ExactNetwork(config, random_tensors(config), make_backend("cpu", "auto"))
    slice_ = np.random.default_rng(6).integers(0, 4, (1, 120)).astype(np.uint8)
    changed = slice_.copy()
    changed[0, 70:] ^= 1
    before, after = all_frequencies(net, slice_)[0], all_frequencies(net, changed)[0]
    assert (before[:71] == after[:71]).all()
    assert (before[71:] != after[71:]).any()


def test_tables_are_what_the_format_says() -> None:
    assert attention_table()[[0, 64, 65, 511]].tolist() == [255, 128, 126, 1]
    assert logit_table()[[0, 64, 127]].tolist() == [1 << 24, 11863283, round((1 << 24) * 2 ** (-127 / 128))]


@settings(max_examples=300)
@given(st.integers(0, (1 << 52) - 1))
def test_square_roots_are_exact(value: int) -> None:
    root = kernels.square_root(value)
    assert root * root <= value < (root + 1) * (root + 1)


@settings(max_examples=200)
@given(st.lists(st.integers(-(1 << 23), 1 << 23), min_size=4, max_size=4), st.integers(0, 8))
def test_frequencies_sum_and_are_never_zero(sums: list[int], shift: int) -> None:
    rows = np.array([sums], np.int32)
    found = []
    for device in ("cpu", "torch"):
        backend = make_backend(device, "int32")
        bias, shifts = backend.load(np.zeros(4, np.int32)), backend.load(np.full(4, shift, np.int32))
        found.append(backend.frequencies(backend.load(rows), bias, shifts)[0])
    assert found[0].astype(np.int64).sum() == 65536
    assert found[0].min() > 0
    assert (found[0] == found[1]).all()
    assert found[0][int(np.argmax(rows[0] >> shift))] == found[0].max()


@pytest.mark.parametrize("name", tensor_shapes(SMALL["stream"]))
def test_tensors_out_of_bounds_are_refused(name: str) -> None:
    config = SMALL["stream"]
    backend = make_backend("cpu", "auto")
    tensors = random_tensors(config)
    with pytest.raises(FormatError, match="tensor"):
        ExactNetwork(config, {**tensors, name: tensors[name].astype(np.float32)}, backend)
    with pytest.raises(FormatError):
        ExactNetwork(config, {key: value for key, value in tensors.items() if key != name}, backend)
    beyond = tensors[name].copy()
    beyond.flat[0] = np.iinfo(beyond.dtype).min
    with pytest.raises(FormatError):
        ExactNetwork(config, {**tensors, name: beyond}, backend)


def test_devices_and_arithmetics_that_are_not_there() -> None:
    with pytest.raises(UsageError, match="float32"):
        make_backend("cpu", "float16")
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="device='cpu'"):
            make_backend("cuda", "auto")
