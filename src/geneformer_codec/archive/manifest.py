"""What an archive says of itself: settings, model, sample and the sizes of every stream, as compact JSON.

Everything read is checked for type and range before it is used; ``Manifest.parse`` gives only values that are safe to
size, index or loop by.
"""

import json
from dataclasses import dataclass
from typing import Any, Self

from ..errors import FormatError
from .fields import HEX64, Fields, unique_fields

FORMAT = "gfz"
FORMAT_VERSION = 1

MAX_MANIFEST_BYTES = 1 << 26
MAX_PARTS = 1 << 20
MAX_PART_BYTES = 1 << 30
"""The most bytes of text that a part may have."""
MAX_SAMPLE_BYTES = 1 << 50
MAX_LANE_LENGTH = 1 << 30

LEVELS = {"fast": 1 << 14, "balanced": 1 << 16, "max": 1 << 18}
"""Bases in a lane for each level: longer lanes learn more before they end, shorter ones decode more in parallel."""
DEFAULT_LEVEL = "balanced"
DEFAULT_PART_BASES = 1 << 24

STREAMS = ("lanes", "payload", "names", "layout", "case", "exceptions", "index")
"""The streams of a block, in the order of the file."""
SIDE_STREAMS = ("names", "layout", "case", "exceptions")
INDEX_STREAMS = ("lanes", "index")

UNIFORM = "uniform"
"""The model id of an archive whose bases are stored at two bits each."""


@dataclass(frozen=True)
class Settings:
    """What decides an archive's bytes beside the sample and the model."""

    level: str = DEFAULT_LEVEL
    lane_length: int = LEVELS[DEFAULT_LEVEL]
    part_bases: int = DEFAULT_PART_BASES


@dataclass(frozen=True)
class ModelReference:
    """The model that the archive needs. ``bytes`` is the size of its file, 0 for none; ``embedded``: it is inside."""

    id: str = UNIFORM
    name: str = ""
    bytes: int = 0
    embedded: bool = False

    @property
    def entry(self) -> str:
        """The name of the entry that holds the model when it is embedded."""
        return f"models/{self.id}.gfmodel"


@dataclass(frozen=True)
class Sample:
    """The text that was archived, decompressed; ``parts`` is how many parts it was cut into."""

    name: str
    bytes: int
    sha256: str
    parts: int


@dataclass(frozen=True)
class Block:
    """One compressed part. ``lanes`` lists runs of (bases in a lane, number of such lanes)."""

    part: int
    text_bytes: int
    sha256: str
    records: int
    residues: int
    bases: int
    lanes: tuple[tuple[int, int], ...]
    streams: dict[str, int]
    starts_record: bool
    ends_record: bool

    @property
    def entry(self) -> str:
        """The name of the entry that holds the block."""
        return f"blocks/{self.part:08d}"

    @property
    def stored_bytes(self) -> int:
        """The bytes of the entry."""
        return sum(self.streams.values())

    def lane_lengths(self) -> list[int]:
        """Bases in each lane."""
        return [length for length, count in self.lanes for _ in range(count)]


@dataclass(frozen=True)
class Manifest:
    """All that an archive says of itself. ``blocks`` are fewer than ``sample.parts`` in a part archive."""

    tool_version: str
    settings: Settings
    model: ModelReference
    sample: Sample
    blocks: tuple[Block, ...]

    @property
    def complete(self) -> bool:
        """Whether all parts of the sample are here."""
        return len(self.blocks) == self.sample.parts

    def dump(self) -> bytes:
        """The JSON, the same bytes for the same manifest."""
        fields = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "tool_version": self.tool_version,
            "settings": vars(self.settings),
            "model": vars(self.model),
            "sample": vars(self.sample),
            "blocks": [vars(block) for block in self.blocks],
        }
        return json.dumps(fields, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def parse(cls, data: bytes, label: str) -> Self:
        """Read and check the JSON of the archive called ``label`` in messages."""
        try:
            fields = json.loads(data.decode("ascii"), object_pairs_hook=unique_fields)
            check_version(fields, label)
            manifest = cls._from(Fields(fields, "manifest"))
        except (ValueError, RecursionError) as error:
            raise FormatError(f"{label}: its manifest is not sound ({error}); the archive is damaged") from error
        return manifest

    @classmethod
    def _from(cls, fields: Fields) -> Self:
        fields.text("format")
        fields.number("format_version", 1, 1 << 16)
        manifest = cls(
            tool_version=fields.text("tool_version"),
            settings=_settings(fields.inner("settings")),
            model=_model(fields.inner("model")),
            sample=_sample(fields.inner("sample")),
            blocks=tuple(_block(Fields(item, "a block")) for item in fields.items("blocks", MAX_PARTS)),
        )
        fields.done()
        numbers = [block.part for block in manifest.blocks]
        if numbers != sorted(set(numbers)) or not numbers or numbers[-1] >= manifest.sample.parts:
            raise ValueError("the numbers of the parts do not ascend, or pass the number of parts")
        if manifest.complete and sum(block.text_bytes for block in manifest.blocks) != manifest.sample.bytes:
            raise ValueError("the sizes of the parts do not sum to the size of the sample")
        return manifest


def check_version(fields: Any, label: str) -> None:
    """Refuse what is not ours, and say which tool reads an archive of a later format."""
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        raise FormatError(f"{label}: its manifest is not that of a .gfz archive; give a file made by 'gfz compress'")
    version = fields.get("format_version")
    if type(version) is not int or version != FORMAT_VERSION:
        raise FormatError(
            f"{label}: the archive has format version {version!r} and was written by geneformer-rules "
            f"{fields.get('tool_version')!r}; this tool reads format version {FORMAT_VERSION}. "
            "Install that version of geneformer-rules or a later one (pip install -U geneformer-rules)"
        )


def _settings(fields: Fields) -> Settings:
    settings = Settings(
        level=fields.text("level", "|".join(LEVELS)),
        lane_length=fields.number("lane_length", 1, MAX_LANE_LENGTH),
        part_bases=fields.number("part_bases", 1, MAX_PART_BYTES),
    )
    fields.done()
    return settings


def _model(fields: Fields) -> ModelReference:
    model = ModelReference(
        id=fields.text("id", f"{UNIFORM}|{HEX64}"),
        name=fields.text("name"),
        bytes=fields.number("bytes", 0, 1 << 40),
        embedded=fields.flag("embedded"),
    )
    fields.done()
    return model


def _sample(fields: Fields) -> Sample:
    sample = Sample(
        name=fields.text("name"),
        bytes=fields.number("bytes", 0, MAX_SAMPLE_BYTES),
        sha256=fields.text("sha256", HEX64),
        parts=fields.number("parts", 1, MAX_PARTS),
    )
    fields.done()
    return sample


def _block(fields: Fields) -> Block:
    part = fields.number("part", 0, MAX_PARTS - 1)
    text_bytes = fields.number("text_bytes", 0, MAX_PART_BYTES)
    digest = fields.text("sha256", HEX64)
    records = fields.number("records", 0, text_bytes)
    residues = fields.number("residues", 0, text_bytes)
    bases = fields.number("bases", 0, residues)
    lanes = tuple(_lane_run(item, bases) for item in fields.items("lanes", MAX_PARTS))
    if sum(length * count for length, count in lanes) != bases:
        raise ValueError(f"part {part}: its lanes do not hold its bases")
    streams = fields.inner("streams")
    sizes = {name: streams.number(name, 0, 1 << 31) for name in STREAMS}
    streams.done()
    block = Block(
        part, text_bytes, digest, records, residues, bases, lanes, sizes,
        fields.flag("starts_record"), fields.flag("ends_record"),
    )  # fmt: skip
    fields.done()
    return block


def _lane_run(item: Any, bases: int) -> tuple[int, int]:
    if not (isinstance(item, list) and len(item) == 2 and all(type(x) is int and 1 <= x <= bases for x in item)):
        raise ValueError(f"a run of lanes is {str(item)[:60]!r}")
    return item[0], item[1]
