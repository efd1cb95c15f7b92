import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from networks import SMALL, random_tensors

from geneformer_codec.errors import FormatError, UsageError
from geneformer_codec.network import kernels
from geneformer_codec.network.backends import make_backend
from geneformer_codec.network.config import tensor_shapes
from geneformer_codec.network.integer_network import CompiledDecoder, IntegerNetwork
from geneformer_codec.network.slice_coder import SliceEncoder

DEVICES = ["cpu", "torch"] + (["cuda"] if torch.cuda.is_available() else [])


def all_frequencies(net: IntegerNetwork, slices: np.ndarray) -> np.ndarray:
    return np.concatenate(list(net.encode(slices)), 1)[:, : slices.shape[1]]


@pytest.mark.parametrize("extreme", [False, True], ids=["lively", "extreme"])
@pytest.mark.parametrize("form", SMALL)
def test_every_execution_gives_the_same_frequencies(form: str, extreme: bool) -> None:
    config = SMALL[form]
    tensors = random_tensors(config, 1, extreme)
    slices = np.random.default_rng(2).integers(0, 4, (3, 150 if config.causal else 20)).astype(np.uint8)
    wanted = all_frequencies(IntegerNetwork(config, tensors, make_backend("cpu")), slices)
    assert (wanted.astype(np.int64).sum(-1) == 65536).all()
    assert (wanted > 0).all()
    if not extreme:
        assert len(np.unique(wanted.reshape(-1, 4), axis=0)) > wanted.shape[1]  # it does predict different things
    for device in DEVICES:
        net = IntegerNetwork(config, tensors, make_backend(device))
        assert (all_frequencies(net, slices) == wanted).all(), device
        decoder = net.decoder(len(slices))
        for position in range(0, min(40, slices.shape[1])):
            assert (decoder.predict() == wanted[:, position]).all(), (device, position)
            decoder.push(slices[:, position])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("inputs", [8, 1024, 1025, 3072])
def test_products_are_exact_at_their_bounds(device: str, inputs: int) -> None:
    random, backend = np.random.default_rng(inputs), make_backend(device)
    rows, matrix = (random.choice([-127, 127], (16, inputs)).astype(np.int8) for _ in range(2))
    rows[0] = matrix[0] = 127
    given = backend.empty(*rows.shape)
    given[:] = backend.load(rows)
    sums = backend.product(given, backend.weights(matrix))
    wanted = rows.astype(np.int64) @ matrix.T.astype(np.int64)
    assert (np.asarray(sums if device == "cpu" else sums.cpu()) == wanted).all()


@pytest.mark.parametrize("form", [form for form in SMALL if SMALL[form].causal])
@pytest.mark.parametrize("slices", [1, 5])
def test_the_compiled_loop_decodes_the_same(form: str, slices: int) -> None:
    config, length, seen = SMALL[form], 1100, list[int]()
    tensors = random_tensors(config, 3)
    symbols = np.random.default_rng(4).integers(0, 4, (slices, length)).astype(np.uint8)
    net = IntegerNetwork(config, tensors, make_backend("torch"))
    lengths = np.full(slices, length)
    encoder = SliceEncoder(lengths)
    encoder.encode(symbols, np.ascontiguousarray(all_frequencies(net, symbols)), lengths)
    decoded = CompiledDecoder(config, tensors).decode(encoder.finish(), length, seen.append)
    assert (decoded == symbols).all()
    assert seen == [512, 1024, 1100]


def test_slices_do_not_see_each_other() -> None:
    config = SMALL["stream"]
    net = IntegerNetwork(config, random_tensors(config), make_backend("cpu"))
    slices = np.random.default_rng(5).integers(0, 4, (4, 90)).astype(np.uint8)
    together = all_frequencies(net, slices)
    for slice_ in range(4):
        assert (all_frequencies(net, slices[slice_ : slice_ + 1])[0] == together[slice_]).all()


def test_a_prediction_depends_on_the_past_only() -> None:
    config = SMALL["stream"]
    net = IntegerNetwork(config, random_tensors(config), make_backend("cpu"))
    slice_ = np.random.default_rng(6).integers(0, 4, (1, 120)).astype(np.uint8)
    changed = slice_.copy()
    changed[0, 70:] ^= 1
    before, after = all_frequencies(net, slice_)[0], all_frequencies(net, changed)[0]
    assert (before[:71] == after[:71]).all()
    assert (before[71:] != after[71:]).any()


@given(st.integers(0, (1 << 52) - 1))
def test_square_roots_are_exact(value: int) -> None:
    root = kernels.square_root(value)
    assert root * root <= value < (root + 1) * (root + 1)


@pytest.mark.parametrize("shift", range(9))
def test_frequencies_sum_and_are_never_zero(shift: int) -> None:
    rng = np.random.default_rng(shift)
    rows = rng.integers(-(1 << 23), 1 << 23, (20_000, 4), endpoint=True) >> rng.integers(0, 24, (20_000, 1))
    rows[rng.random(rows.shape) < 0.1] = 1 << 23
    found = []
    for device in ("cpu", "torch"):
        backend = make_backend(device)
        bias, shifts = backend.load(np.zeros(4, np.int32)), backend.load(np.full(4, shift, np.int32))
        found.append(backend.frequencies(backend.load(rows.astype(np.int32)), bias, shifts))
    assert (found[0].astype(np.int64).sum(1) == 65536).all()
    assert found[0].min() > 0
    assert (found[0] == found[1]).all()
    assert (found[0][range(len(rows)), (rows >> shift).argmax(1)] == found[0].max(1)).all()


@pytest.mark.parametrize("name", tensor_shapes(SMALL["stream"]))
def test_tensors_out_of_bounds_are_refused(name: str) -> None:
    config = SMALL["stream"]
    backend = make_backend("cpu")
    tensors = random_tensors(config)
    with pytest.raises(FormatError, match="tensor"):
        IntegerNetwork(config, {**tensors, name: tensors[name].astype(np.float32)}, backend)
    with pytest.raises(FormatError):
        IntegerNetwork(config, {key: value for key, value in tensors.items() if key != name}, backend)
    beyond = tensors[name].copy()
    beyond.flat[0] = np.iinfo(beyond.dtype).min
    with pytest.raises(FormatError):
        IntegerNetwork(config, {**tensors, name: beyond}, backend)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_no_cuda_device() -> None:
    with pytest.raises(UsageError, match="device='cpu'"):
        make_backend("cuda")
