"""The initial states of slices without a model. Archives name them by digest.

They hold the mixer's weights and the trust in copies, and nothing of any sequence: short contexts start empty.
"""

import hashlib
from importlib import resources

from geneformer_codec.errors import FormatError
from geneformer_codec.model.initial_state import InitialState
from geneformer_codec.predict.settings import ExpertSettings

DIGEST_LETTERS = 16


def digest(data: bytes) -> str:
    """The name of an initial state."""
    return hashlib.sha256(data).hexdigest()[:DIGEST_LETTERS]


def shipped_initial_state(settings: ExpertSettings) -> InitialState:
    """The initial state that settings name. ``FormatError`` when this version does not have it."""
    if not settings.initial_state:
        return InitialState.untrained(settings)
    file = resources.files(__package__) / f"{settings.initial_state}.bin"
    try:
        data = file.read_bytes()
    except OSError:
        raise FormatError(
            f"its slices start from {settings.initial_state}, which this version does not have; use a newer version"
        ) from None
    if digest(data) != settings.initial_state:
        raise FormatError(f"{file}: the initial state is damaged; install geneformer-rules again")
    return InitialState.from_bytes(settings, data)
