"""What a manifest, or a plan, says of the text that was archived."""

from dataclasses import dataclass
from typing import Any, Self

from .fields import HEX64, Fields

MAX_PARTS = 1 << 20
MAX_SAMPLE_BYTES = 1 << 50


@dataclass(frozen=True)
class Mate:
    """The second text of a pair."""

    name: str
    bytes: int
    sha256: str

    @classmethod
    def take(cls, fields: Fields) -> Self:
        """From JSON, checked."""
        mate = cls(fields.text("name"), fields.number("bytes", 0, MAX_SAMPLE_BYTES), fields.text("sha256", HEX64))
        fields.done()
        return mate


@dataclass(frozen=True)
class Origin:
    """What the text was derived from: the ``format`` of the file, and what of it is ``not_kept``, in words."""

    format: str
    not_kept: str

    @classmethod
    def take(cls, fields: Fields) -> Self:
        """From JSON, checked."""
        origin = cls(fields.text("format", ".{1,64}"), fields.text("not_kept"))
        fields.done()
        return origin


@dataclass(frozen=True)
class Sample:
    """The text that was archived, decompressed; ``parts`` is how many parts it was cut into.

    With a ``mate`` there are two texts, and parts hold a piece of both. An ``origin`` tells that the text is not the
    file that was given; ``quality_bins`` names how its qualities were binned, which lost something.
    """

    name: str
    bytes: int
    sha256: str
    parts: int
    mate: Mate | None = None
    origin: Origin | None = None
    quality_bins: str | None = None

    @property
    def all_bytes(self) -> int:
        """Of the text, or of both."""
        return self.bytes + (self.mate.bytes if self.mate else 0)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        inner = {name: vars(value) if value else None for name, value in (("mate", self.mate), ("origin", self.origin))}
        return {**vars(self), **inner}

    @classmethod
    def take(cls, fields: Fields, name: str = "name", parts: int | None = None) -> Self:
        """From JSON, checked: all that is left of ``fields``. A plan calls the name otherwise, and counts its parts."""
        called, size, digest, count = cls._text(fields, name, parts)
        mate, origin = fields.optional("mate"), fields.optional("origin")
        sample = cls(
            called,
            size,
            digest,
            count,
            Mate.take(mate) if mate else None,
            Origin.take(origin) if origin else None,
            fields.text_or_none("quality_bins", "[a-z0-9]{1,32}"),
        )
        fields.done()
        return sample

    @classmethod
    def take_old(cls, fields: Fields) -> Self:
        """From JSON of the first version, which has FASTA alone."""
        sample = cls(*cls._text(fields))
        fields.done()
        return sample

    @staticmethod
    def _text(fields: Fields, name: str = "name", parts: int | None = None) -> tuple[str, int, str, int]:
        called, size = fields.text(name), fields.number("bytes", 0, MAX_SAMPLE_BYTES)
        digest = fields.text("sha256", HEX64)
        return called, size, digest, fields.number("parts", 1, MAX_PARTS) if parts is None else parts
