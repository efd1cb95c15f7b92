import threading

import numpy as np
import pytest
from networks import SMALL, random_model

from geneformer_codec.errors import FormatError, UsageError
from geneformer_codec.network import coder
from geneformer_codec.network.backends import make_backend
from geneformer_codec.network.integer_network import IntegerNetwork

FORMS = ["stream", "stream without segment cut", "paper", "paper without latent array"]


def sequence(form: str, seed: int = 1) -> tuple[np.ndarray, list[int]]:
    lengths = (
        [300, 1, 65, 0, 300, 128, 64, 300, 300, 77] if SMALL[form].causal else [90, 1, 70, 0, 64, 65, 90, 3, 90, 80]
    )
    bases = np.random.default_rng(seed).integers(0, 4, sum(lengths)).astype(np.uint8)
    likely = predictable(form, 300)  # in every other slice
    for slice_, end in enumerate(np.cumsum(lengths)):
        if slice_ % 2 == 0:
            bases[end - lengths[slice_] : end] = likely[: lengths[slice_]]
    return bases, lengths


@pytest.mark.parametrize("form", FORMS)
def test_the_bytes_depend_on_nothing_but_model_and_bases(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model(form)
    bases, lengths = sequence(form)
    wanted = model.coder(None, "cpu", 1).encode(bases, lengths)
    assert (
        2 <= sum(len(slice_) < -(-length // 4) for slice_, length in zip(wanted, lengths, strict=True)) < len(lengths)
    )
    for device, threads, batch in (("cpu", 1, 1), ("cpu", 2, 7), ("cpu", 2, 64), ("torch", 1, 3), ("torch", 1, 64)):
        monkeypatch.setattr(coder, "CPU_BATCH", batch)
        monkeypatch.setattr(coder, "GPU_BATCH", batch)
        other = model.coder(None, device, threads)
        assert other.encode(bases, lengths) == wanted, (device, threads, batch)
        assert (other.decode(wanted, lengths) == bases).all(), (device, threads, batch)


@pytest.mark.cuda
@pytest.mark.parametrize("form", FORMS)
def test_a_gpu_writes_and_reads_the_same(form: str) -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    model = random_model(form)
    bases, lengths = sequence(form)
    wanted = model.coder(None, "cpu").encode(bases, lengths)
    gpu = model.coder(None, "cuda")
    assert gpu.encode(bases, lengths) == wanted
    assert (gpu.decode(wanted, lengths) == bases).all()


@pytest.mark.parametrize("form", FORMS)
def test_slices_decode_alone(form: str) -> None:
    network = random_model(form).coder(None, "cpu")
    bases, lengths = sequence(form)
    coded = network.encode(bases, lengths)
    ends = np.cumsum(lengths)
    for slice_ in (0, 2, 9):
        assert (
            network.decode([coded[slice_]], [lengths[slice_]]) == bases[ends[slice_] - lengths[slice_] : ends[slice_]]
        ).all()
    assert (network.decode(coded[4:6], lengths[4:6]) == bases[ends[3] : ends[5]]).all()


def test_paper_slices_begin_with_64_bases_of_2_bits() -> None:
    network = random_model("paper").coder(None, "cpu")
    bases = np.random.default_rng(1).integers(0, 4, 64).astype(np.uint8)
    assert [len(slice_) for slice_ in network.encode(bases, [64])] == [16]
    longer = np.tile(bases, 5)
    with pytest.raises(FormatError, match="first bases"):
        network.decode([b"abc"], [len(longer)])


@pytest.mark.parametrize("form", FORMS)
def test_no_slice_takes_more_than_2_bits_a_base(form: str) -> None:
    network = random_model(form).coder(None, "cpu", 1)
    bases, lengths = sequence(form)
    coded = network.encode(bases, lengths)
    assert all(len(slice_) <= -(-length // 4) for slice_, length in zip(coded, lengths, strict=True))
    with pytest.raises(FormatError, match="more than its 5 bases"):
        network.decode([b"abc"], [5])


def predictable(form: str, length: int) -> np.ndarray:
    """Bases that the model itself finds likely, so that its slices are smaller than plain ones."""
    model = random_model(form)
    net = IntegerNetwork(model.config, model.tensors, make_backend("cpu"))
    decoder, bases = net.decoder(1), np.zeros(length, np.uint8)
    for position in range(length):
        bases[position] = decoder.predict()[0].argmax()
        decoder.push(bases[position : position + 1])
    return bases


def test_nothing_to_code() -> None:
    network = random_model("stream").coder(None, "cpu")
    assert network.encode(np.zeros(0, np.uint8), []) == []
    assert network.encode(np.zeros(0, np.uint8), [0]) == [b""]
    assert network.decode([], []).tolist() == []
    assert network.decode([b""], [0]).tolist() == []


@pytest.mark.parametrize("threads", [1, 2])
def test_progress_counts_every_base(threads: int) -> None:
    network = random_model("stream").coder(None, "cpu", threads)
    bases, lengths = sequence("stream")
    seen: list[int] = []
    coded = network.encode(bases, lengths, seen.append)
    assert sum(seen) == len(bases)
    seen.clear()
    network.decode(coded, lengths, seen.append)
    assert sum(seen) == len(bases)


@pytest.mark.parametrize("threads", [1, 2])
def test_an_interruption_stops_every_thread(threads: int) -> None:
    network = random_model("stream").coder(None, "cpu", threads)
    bases = np.zeros(40_000, np.uint8)

    def interrupt(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        network.encode(bases, [10_000] * 4, interrupt)
    with pytest.raises(KeyboardInterrupt):
        network.decode([b""] * 4, [10_000] * 4, interrupt)
    assert threading.active_count() < 20


def test_an_unknown_device_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="auto, cpu or cuda"):
        random_model("stream").coder(None, "tpu")


@pytest.mark.parametrize("form", FORMS)
def test_the_start_of_a_slice(form: str) -> None:
    """What is decoded does not depend on where decoding stops."""
    network = random_model(form).coder(None, "cpu", 1)
    bases, lengths = sequence(form)
    slices, starts = network.encode(bases, lengths), np.cumsum([0, *lengths])
    for share in (0, 0.02, 0.5, 0.99):
        stops = [round(length * share) for length in lengths]
        wanted = [bases[start : start + stop] for start, stop in zip(starts, stops, strict=False)]
        assert (network.decode(slices, lengths, stops=stops) == np.concatenate(wanted)).all()
