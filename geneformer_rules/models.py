"""Facts about a model file, from its header alone. A file that is missing or not a model has none."""

import functools
from pathlib import Path

from geneformer_codec.errors import FormatError, GfzError
from geneformer_codec.model.file import ModelHeader, read_header
from geneformer_codec.predict.settings import ExpertSettings, with_level


def has_network(model: str) -> bool | None:
    """Whether the model has a network; None if unknown."""
    header = _header(model)
    return None if header is None else "network" in header.given


def runs_network(model: str, level: str) -> bool | None:
    """Whether the model runs a network at this level, None if unknown; experts use theirs at one level only."""
    header = _header(model)
    if header is None or "experts" not in header.given:
        return has_network(model)
    try:
        experts = ExpertSettings.from_dict(header.given["experts"])
    except FormatError:
        return None
    return "network" in header.given and with_level(experts, level).network


def identity(model: str) -> str | None:
    """The id of the model; None if unknown."""
    header = _header(model)
    return header.id if header else None


def panel_bases(model: str) -> int:
    """How many bases the panel of the model has; 0 without one, or if unknown."""
    header = _header(model)
    return int(header.given.get("panel", {}).get("bases", 0)) if header else 0


def _header(model: str) -> ModelHeader | None:
    """The command that needs the file reports what is wrong with it."""
    path = Path(model)
    try:
        return _read(path, path.stat().st_mtime_ns)
    except (OSError, GfzError):
        return None


@functools.lru_cache(maxsize=4096)
def _read(path: Path, modified: int) -> ModelHeader:
    """Read a header once, however many jobs ask for it; ``modified`` detects a file that was replaced."""
    return read_header(path)
