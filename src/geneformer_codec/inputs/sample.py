"""The description of the archived text in a manifest or a plan."""

from dataclasses import dataclass
from typing import Any, Self

from geneformer_codec.json_fields import HEX64, Fields

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
class OddMates:
    """``odd`` of the first ``pairs`` of reads have names that do not match, as those of pair ``first`` (from 1)."""

    pairs: int
    odd: int
    first: int
    names: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**vars(self), "names": list(self.names)}

    @classmethod
    def take(cls, fields: Fields) -> Self:
        """From JSON, checked."""
        pairs = fields.number("pairs", 1, MAX_SAMPLE_BYTES)
        odd, first = (fields.number(name, 1, pairs) for name in ("odd", "first"))
        names = fields.items("names", 2)
        if len(names) != 2 or not all(isinstance(name, str) and len(name) <= 4096 for name in names):
            raise ValueError("odd_mates: its names are not two names")
        fields.done()
        return cls(pairs, odd, first, tuple(names))


@dataclass(frozen=True)
class Reordering:
    """Reads were sorted by name: what the first ``reads`` of them take without their bases, in bytes.

    ``before`` in the order of the file, ``after`` sorted.
    """

    reads: int
    before: int
    after: int

    @classmethod
    def take(cls, fields: Fields) -> Self:
        """From JSON, checked."""
        reordering = cls(*(fields.number(name, 1, MAX_SAMPLE_BYTES) for name in ("reads", "before", "after")))
        fields.done()
        return reordering


@dataclass(frozen=True)
class Sample:
    """The text that was archived, decompressed; ``parts`` is how many parts it was cut into.

    With a ``mate`` there are two texts, and parts hold a piece of both. With an ``origin`` the text is not the
    file that was given; ``quality_bins`` names how its qualities were binned, which lost something. After the
    compressed data of the source there were ``trailing_bytes``, which are not kept. With a ``reordering``, the order of
    the reads is not that of the source.
    """

    name: str
    bytes: int
    sha256: str
    parts: int
    mate: Mate | None = None
    origin: Origin | None = None
    quality_bins: str | None = None
    trailing_bytes: int = 0
    odd_mates: OddMates | None = None
    reordering: Reordering | None = None

    @property
    def all_bytes(self) -> int:
        """Of the text, or of both."""
        return self.bytes + (self.mate.bytes if self.mate else 0)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; the last three fields are left out where they are empty."""
        inner = {name: vars(value) if value else None for name, value in (("mate", self.mate), ("origin", self.origin))}
        seldom = {
            "trailing_bytes": self.trailing_bytes,
            "odd_mates": self.odd_mates and self.odd_mates.as_dict(),
            "reordering": self.reordering and vars(self.reordering),
        }
        common = {name: value for name, value in vars(self).items() if name not in seldom}
        return {**common, **inner, **{name: value for name, value in seldom.items() if value}}

    @classmethod
    def take(cls, fields: Fields, name: str = "name", parts: int | None = None) -> Self:
        """From JSON, checked: all that is left of ``fields``. A plan calls the name otherwise, and counts its parts."""
        text = fields.text(name), fields.number("bytes", 0, MAX_SAMPLE_BYTES), fields.text("sha256", HEX64)
        count = fields.number("parts", 1, MAX_PARTS) if parts is None else parts
        mate, origin = fields.optional("mate"), fields.optional("origin")
        sample = cls(
            *text,
            count,
            Mate.take(mate) if mate else None,
            Origin.take(origin) if origin else None,
            fields.text_or_none("quality_bins", "[a-z0-9]{1,32}"),
            fields.number("trailing_bytes", 1, MAX_SAMPLE_BYTES) if "trailing_bytes" in fields else 0,
            OddMates.take(fields.inner("odd_mates")) if "odd_mates" in fields else None,
            Reordering.take(fields.inner("reordering")) if "reordering" in fields else None,
        )
        fields.done()
        return sample
