"""The only import of PyTorch: other modules of this package import it from here."""

from geneformer_codec.errors import UsageError

try:
    import torch as torch
except ModuleNotFoundError as error:
    raise UsageError(
        "networks and CUDA devices need PyTorch, which is not installed: pip install 'geneformer-rules[network]'"
    ) from error
