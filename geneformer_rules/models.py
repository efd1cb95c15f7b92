"""What the rules want to know of a model that lies in a file, from the start of the file alone."""

import functools
from pathlib import Path

from geneformer_codec.errors import GfzError
from geneformer_codec.model.file import ModelHeader, read_header


def has_network(model: str) -> bool | None:
    """Whether the model has a network, which a GPU is for; None where the file is not there, or is no model."""
    header = _header(model)
    return None if header is None else "network" in header.given


def panel_bases(model: str) -> int:
    """How many bases the panel of the model has; 0 without one, and where the file is not there, or is no model."""
    header = _header(model)
    return int(header.given.get("panel", {}).get("bases", 0)) if header else 0


def _header(model: str) -> ModelHeader | None:
    """What is wrong with a file is for the command to say that needs it."""
    path = Path(model)
    try:
        return _read(path, path.stat().st_mtime_ns)
    except (OSError, GfzError):
        return None


@functools.lru_cache(maxsize=4096)
def _read(path: Path, modified: int) -> ModelHeader:
    """Read a header once, however many jobs ask for it; ``modified`` tells a file that was replaced."""
    return read_header(path)
