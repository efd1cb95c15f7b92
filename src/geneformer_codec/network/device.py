"""Choose the device that a network runs on."""

import logging

from geneformer_codec.errors import UsageError, option

_LOG = logging.getLogger("geneformer_codec")

DEVICES = ("auto", "cpu", "cuda", "torch")
"""``torch`` runs the operations for CUDA on the CPU; tests use it."""


def check_device(device: str) -> str:
    """The device, for ``auto`` what PyTorch finds; ``UsageError`` for a device that is missing."""
    if device not in DEVICES:
        raise UsageError(f"there is no device {device!r}; choose auto, cpu or cuda")
    if device not in ("auto", "cuda"):
        return device
    from geneformer_codec.network.pytorch import torch

    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise UsageError(f"PyTorch finds no CUDA device; give {option('device', 'cpu')}, or leave it out")
    return "cuda" if available else "cpu"


def check_unused_device(device: str) -> None:
    """Check the device where no network is used. ``cuda`` needs PyTorch all the same; the log says it is idle."""
    if device == "cuda":
        from geneformer_codec.network import pytorch as pytorch

        _LOG.info("no network is used, so everything runs on the CPU")
    elif device != "auto":
        check_device(device)
