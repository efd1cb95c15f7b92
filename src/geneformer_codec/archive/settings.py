"""The settings that decide an archive's bytes beside the sample and the model; light, for the command's parser."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geneformer_codec.predict.settings import ExpertSettings

LEVELS = ("fast", "balanced", "max")
"""How much time the experts take."""
DEFAULT_LEVEL = "balanced"
DEFAULT_SLICE_LENGTH = 1 << 16
"""The most bases in a slice that is coded with a model. Without one, a part is one slice: it learns all itself."""
WHOLE_PART = 0
"""The slice length of an archive each of whose parts is one slice."""
MAX_SLICE_LENGTH = 1 << 30
DEFAULT_PART_BASES = 1 << 24
MAX_PART_BYTES = 1 << 30
"""The most bytes of text that a part may have."""


@dataclass(frozen=True)
class Settings:
    """What decides an archive's bytes beside the sample and the model.

    ``experts`` is None where none are at work: for a model that is a network alone, and for two bits a base.
    """

    level: str = DEFAULT_LEVEL
    slice_length: int = DEFAULT_SLICE_LENGTH
    part_bases: int = DEFAULT_PART_BASES
    experts: "ExpertSettings | None" = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**vars(self), "experts": self.experts.as_dict() if self.experts else None}
