"""The settings that an archive depends on, besides the sample and the model; light, for the command's parser."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geneformer_codec.predict.settings import ExpertSettings

LEVELS = ("fast", "balanced", "max")
"""How much time the experts take."""
DEFAULT_LEVEL = "balanced"
FINE, COARSE = "fine", "coarse"
ACCESS = (FINE, COARSE)
FINE_SLICE_LENGTH = 1 << 16
"""The most bases in a slice where regions are read often, and where a network predicts, which takes many at a time."""
WHOLE_PART = 0
"""The slice length of an archive each of whose parts is one slice."""
MAX_SLICE_LENGTH = 1 << 30
READ_SLICE_BITS = 20
"""Of the most residues in a slice of reads, their qualities and differences; smaller ones have much to learn again."""
DEFAULT_PART_BASES = 1 << 24
MAX_PART_BYTES = 1 << 30
"""The most bytes of text that a part may have."""
SELF_PANEL = "self panel"
"""The name of a model that is a sample's own panel."""
SELF_PANEL_BASES = 1 << 25
"""The most bases in a sample's own panel: one thread codes it, and decodes it before any part."""

READ_PANEL_BASES = 1 << 27
"""The most bases in the panel of a sample of reads, which is coded in one go."""

AUTO, ALWAYS = "auto", "always"
DIGESTS = (AUTO, ALWAYS)
"""When blocks have the digests of their records: where they are less than `DIGEST_SHARE` of it, or always."""
DIGEST_SHARE = 0.01


@dataclass(frozen=True)
class Settings:
    """What decides an archive's bytes beside the sample and the model.

    ``experts`` is None where none are at work: for a model that is a network alone, and for two bits per base.
    ``without_model`` is how parts are predicted that a model of experts does not help; None without such a model.
    """

    level: str = DEFAULT_LEVEL
    slice_length: int = FINE_SLICE_LENGTH
    part_bases: int = DEFAULT_PART_BASES
    experts: "ExpertSettings | None" = None
    without_model: "ExpertSettings | None" = None
    digests: str = AUTO

    @property
    def slice_bits(self) -> int:
        """Reads are cut into slices of at most two to the power of it residues; 0: those of a part are not cut."""
        return READ_SLICE_BITS if self.are_experts and self.slice_length != WHOLE_PART else 0

    @property
    def are_experts(self) -> bool:
        """Whether experts predict, and no network."""
        return self.experts is not None and not self.experts.network

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        experts = {"experts": self.experts, "without_model": self.without_model}
        return vars(self) | {name: held.as_dict() if held else None for name, held in experts.items()}
