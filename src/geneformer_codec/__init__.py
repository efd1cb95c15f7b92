"""Lossless archives of nucleotide sequence, predicted by a learned model.

>>> import geneformer_codec as gfz  # doctest: +SKIP
>>> gfz.compress("fish.fa.gz", "fish.gfz", model="fish.gfmodel", verify=True)  # doctest: +SKIP
>>> gfz.decompress("fish.gfz", "fish.fa", model="fish.gfmodel")  # doctest: +SKIP
>>> with gfz.open("fish.gfz", model="fish.gfmodel") as archive:  # doctest: +SKIP
...     archive["NC_001606.1"][1000:2000]

Names are imported when they are first used, so that importing the package is fast.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geneformer_codec.api import (
        cat,
        compress,
        compress_parts,
        decompress,
        gather,
        info,
        merge,
        read_index,
        split,
        verify,
    )
    from geneformer_codec.archive.info import ArchiveInfo
    from geneformer_codec.archive.models import Execution
    from geneformer_codec.archive.read import Archive
    from geneformer_codec.archive.record_index import RecordEntry
    from geneformer_codec.archive.regions import Region
    from geneformer_codec.errors import FormatError, GfzError, InputError, ModelMissingError, OutputError, UsageError
    from geneformer_codec.model.file import Model, load_model, read_model
    from geneformer_codec.reader import Reader, Record, open
    from geneformer_codec.training.train import train

__version__ = "0.1.0"

__all__ = [
    "Archive",
    "ArchiveInfo",
    "Execution",
    "FormatError",
    "GfzError",
    "InputError",
    "Model",
    "ModelMissingError",
    "OutputError",
    "Reader",
    "Record",
    "RecordEntry",
    "Region",
    "UsageError",
    "__version__",
    "cat",
    "compress",
    "compress_parts",
    "decompress",
    "gather",
    "info",
    "load_model",
    "merge",
    "open",
    "read_index",
    "read_model",
    "split",
    "train",
    "verify",
]

_MODULES = {
    "archive.record_index": ("RecordEntry",),
    "archive.info": ("ArchiveInfo",),
    "archive.models": ("Execution",),
    "archive.read": ("Archive",),
    "archive.regions": ("Region",),
    "errors": ("FormatError", "GfzError", "InputError", "ModelMissingError", "OutputError", "UsageError"),
    "model.file": ("Model", "load_model", "read_model"),
    "reader": ("Reader", "Record", "open"),
    "training.train": ("train",),
}
"""Where names are that are not functions of ``api``."""


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = next((module for module, names in _MODULES.items() if name in names), "api")
    value = globals()[name] = getattr(import_module(f".{module}", __name__), name)
    return value


def __dir__() -> list[str]:
    return __all__
