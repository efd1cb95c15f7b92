import numpy as np
import pytest
from networks import SMALL, likely_bases, random_model

from geneformer_codec.errors import FormatError, UsageError
from geneformer_codec.network import coder

FORMS = ["stream", "stream without segment cut", "paper", "paper without latent array"]


def sequence(form: str, seed: int = 1) -> tuple[np.ndarray, list[int]]:
    lengths = (
        [300, 1, 65, 0, 300, 128, 64, 300, 300, 77] if SMALL[form].causal else [90, 1, 70, 0, 64, 65, 90, 3, 90, 80]
    )
    bases = np.random.default_rng(seed).integers(0, 4, sum(lengths)).astype(np.uint8)
    likely = likely_bases(form, 300)  # in every other slice
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


def test_paper_slices_begin_with_64_bases_of_2_bits() -> None:
    network = random_model("paper").coder(None, "cpu")
    bases = np.random.default_rng(1).integers(0, 4, 64).astype(np.uint8)
    assert [len(slice_) for slice_ in network.encode(bases, [64])] == [16]
    longer = np.tile(bases, 5)
    with pytest.raises(FormatError, match="first bases"):
        network.decode([b"abc"], [len(longer)])


def test_an_unknown_device_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="auto, cpu or cuda"):
        random_model("stream").coder(None, "tpu")
