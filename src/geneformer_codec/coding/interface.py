"""The interface of a coder of bases: bases in, one byte string per slice out, and back."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Progress = Callable[[int], None]
"""Called now and then with the number of bases done since the last call.

If it has a method ``phase``, this is called when another kind of work on the bases begins (`begin_phase`).
"""


def begin_phase(progress: Progress | None, name: str, bases: int | None = None) -> None:
    """Tell a progress that work called ``name`` begins, on so many bases, or on all if None."""
    if (phase := getattr(progress, "phase", None)) is not None:
        phase(name, bases)


class BaseCoder(Protocol):
    """Codes bases slice by slice; a slice depends on the model and its own history only."""

    @property
    def model_id(self) -> str:
        """``uniform``, or the 64 hex digits of the model's digest."""
        ...

    def encode(
        self, bases: NDArray[np.uint8], slice_lengths: Sequence[int], progress: Progress | None = None
    ) -> list[bytes]:
        """Code ``bases`` (1-D, values 0..3) cut into slices of ``slice_lengths`` bases, which sum to ``len(bases)``."""
        ...

    def decode(
        self,
        slices: Sequence[bytes],
        slice_lengths: Sequence[int],
        progress: Progress | None = None,
        stops: Sequence[int] | None = None,
    ) -> NDArray[np.uint8]:
        """The bases of the given slices, concatenated; with ``stops`` only so many of each, from its start.

        Raises ``FormatError`` when a slice cannot have been encoded.
        """
        ...
