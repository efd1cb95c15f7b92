import numpy as np
import pytest
from networks import SMALL, random_model, random_tensors
from numpy.typing import NDArray
from reference import A, B, RangeDecoder, ReferenceModel

from geneformer_codec.model.file import Model
from geneformer_codec.network.backends import make_backend
from geneformer_codec.network.integer_network import ExactNetwork
from geneformer_codec.network.slice_coder import SliceEncoder
from geneformer_codec.network.tables import attention_table, logit_table

FORMS = [form for form in SMALL if form != "stream, wide"]


def likely_slices(model: Model, lengths: list[int]) -> list[NDArray[np.uint8]]:
    """Slices that a random model predicts well enough to be coded with it: mostly its likeliest base."""
    random = np.random.default_rng(7)
    decoder = ExactNetwork(model.config, model.tensors, make_backend("cpu", "float32")).decoder(len(lengths))
    columns = []
    for _ in range(max(lengths)):
        likeliest, other = decoder.predict().argmax(1), random.integers(0, 4, len(lengths))
        columns.append(np.where(random.random(len(lengths)) < 0.9, likeliest, other).astype(np.uint8))
        decoder.push(columns[-1])
    return [slice_[:length] for slice_, length in zip(np.stack(columns, 1), lengths, strict=True)]


@pytest.mark.parametrize("form", FORMS)
def test_the_description_suffices_to_decode(form: str) -> None:
    model = random_model(form, 11)
    lengths = [150, 37, 97] if model.config.causal else [100]
    slices = likely_slices(model, lengths)
    coded = model.coder(None, "cpu", 1).encode(np.concatenate(slices), lengths)
    assert all(len(data) < -(-len(slice_) // 4) for slice_, data in zip(slices, coded, strict=True))  # none is plain
    reference = ReferenceModel(model.data)
    for slice_, data in zip(slices, coded, strict=True):
        assert reference.decode(data, len(slice_)) == slice_.tolist()


@pytest.mark.parametrize("form", [form for form in FORMS if SMALL[form].causal])
def test_small_networks_do_not_leave_32_bits_where_tensors_are_at_their_bounds(form: str) -> None:
    model = Model.make(SMALL[form], random_tensors(SMALL[form], 1, extreme=True), {}, {})
    slice_ = np.random.default_rng(9).integers(0, 4, (1, 90)).astype(np.uint8)
    net = ExactNetwork(model.config, model.tensors, make_backend("cpu", "float32"))
    frequencies = np.concatenate(list(net.encode(slice_)), 1)[:, :90]
    encoder = SliceEncoder(np.array([90]))
    encoder.encode(slice_, np.ascontiguousarray(frequencies), np.array([90]))
    assert ReferenceModel(model.data).decode_stream(encoder.finish()[0], 90) == slice_[0].tolist()


def test_slices_that_no_network_predicts_are_plain() -> None:
    model = random_model("stream")
    bases = np.random.default_rng(8).integers(0, 4, 41).astype(np.uint8)
    (coded,) = model.coder(None, "cpu", 1).encode(bases, [41])
    assert len(coded) == 11
    assert ReferenceModel(model.data).decode(coded, 41) == bases.tolist()


@pytest.mark.parametrize("form", FORMS)
def test_the_id_is_the_one_described(form: str) -> None:
    config = SMALL[form]
    model = Model.make(config, random_tensors(config), {"head.bias": np.ones(4, np.float32)}, {"name": "fish"})
    for file in (model.data, model.to_bytes()):
        reference = ReferenceModel(file)
        assert reference.id == reference.stated_id == model.id


def test_the_tables_are_the_ones_described() -> None:
    assert attention_table().tolist() == A
    assert logit_table().tolist() == B


@pytest.mark.parametrize("top", [1, 30_000, 65_533])
def test_the_range_coder_is_the_one_described(top: int) -> None:
    random = np.random.default_rng(top)
    for length in (0, 1, 2, 5, 400, 2000):
        frequencies = np.ones((1, length, 4), np.uint16)
        frequencies[..., 2] = top
        frequencies[..., 3] = 65_534 - top
        sizes = frequencies[0].tolist()
        symbols = random.choice(4, (1, length), p=[0.1, 0.1, 0.4, 0.4]).astype(np.uint8)
        encoder = SliceEncoder(np.array([length]))
        encoder.encode(symbols, frequencies, np.array([length]))
        decoder = RangeDecoder(encoder.finish()[0])
        assert [decoder.symbol(row) for row in sizes] == symbols[0].tolist()
