"""On what a network is computed."""

from geneformer_codec.errors import UsageError, option

DEVICES = ("auto", "cpu", "cuda", "torch")
"""``torch``: the tensor operations of the GPU on the CPU, for tests."""


def check_device(device: str) -> str:
    """``auto`` to ``cuda`` where torch sees a CUDA device, else ``cpu``; ``UsageError`` for one that is not there."""
    if device not in DEVICES:
        raise UsageError(f"there is no device {device!r}; choose auto, cpu or cuda")
    if device not in ("auto", "cuda"):
        return device
    import torch

    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise UsageError(f"torch sees no CUDA device here; give {option('device', 'cpu')}, or leave it out")
    return "cuda" if there else "cpu"
