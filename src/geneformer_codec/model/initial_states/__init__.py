"""The start states that are shipped: what slices without a model start from. Archives name them by digest.

They hold how experts are mixed and trusted, and nothing of any sequence: short contexts start empty.
"""

import hashlib
from importlib import resources

from geneformer_codec.errors import FormatError
from geneformer_codec.model.initial_state import Start
from geneformer_codec.predict.settings import ExpertSettings

DIGEST_LETTERS = 16


def digest(data: bytes) -> str:
    """What a start state is called."""
    return hashlib.sha256(data).hexdigest()[:DIGEST_LETTERS]


def general_start(settings: ExpertSettings) -> Start:
    """The start state that settings name. ``FormatError`` when this version does not have it."""
    if not settings.start:
        return Start.untrained(settings)
    file = resources.files(__package__) / f"{settings.start}.bin"
    try:
        data = file.read_bytes()
    except OSError:
        raise FormatError(
            f"its slices start from state {settings.start}, which this version does not have; use a newer version"
        ) from None
    if digest(data) != settings.start:
        raise FormatError(f"{file}: the start state is damaged; install geneformer-rules again")
    return Start.from_bytes(settings, data)
