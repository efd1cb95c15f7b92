"""The manifest of an archive: settings, model, sample and the sizes of every stream, as compact JSON.

Everything read is checked for type and range before it is used; ``Manifest.parse`` gives only values that are safe to
size, index or loop by.
"""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from geneformer_codec.archive.settings import DIGESTS, LEVELS, MAX_PART_BYTES, MAX_SLICE_LENGTH, WHOLE_PART, Settings
from geneformer_codec.errors import FormatError
from geneformer_codec.inputs.sample import MAX_PARTS, Sample
from geneformer_codec.json_fields import HEX64, Fields, unique_fields
from geneformer_codec.streams.interface import Choice
from geneformer_codec.streams.table import STREAM_IDS

if TYPE_CHECKING:
    from geneformer_codec.predict.settings import ExpertSettings

FORMAT = "gfz"
FORMAT_VERSION = 1
MAX_MANIFEST_BYTES = 1 << 26

EXPERTS = "experts"
"""The model id of an archive whose parts are coded by experts that start untrained."""


@dataclass(frozen=True)
class ModelReference:
    """The model that the archive needs. ``bytes`` is the size of its file, 0 for none; ``embedded``: it is inside."""

    id: str = EXPERTS
    name: str = ""
    bytes: int = 0
    embedded: bool = False

    @property
    def entry(self) -> str:
        """The name of the entry that holds the model when it is embedded."""
        return f"models/{self.id}.gfmodel"


@dataclass(frozen=True)
class Block:
    """One compressed part, of ``slices`` slices with ``slice_bases``: all but those of mapped reads, and those of
    filled runs.

    ``strands`` and ``without_model`` are those of its `Choice`.
    """

    part: int
    text_bytes: int
    sha256: str
    records: int
    residues: int
    bases: int
    slice_bases: int
    slices: int
    strands: int
    without_model: bool
    streams: dict[str, int]
    starts_record: bool
    ends_record: bool

    @property
    def choice(self) -> Choice:
        """How its bases are predicted."""
        return Choice(self.strands, self.without_model)

    def slice_length(self, settings: Settings) -> int:
        """The most bases in a slice."""
        return WHOLE_PART if self.without_model else settings.slice_length

    @property
    def entry(self) -> str:
        """The name of the entry that holds the block."""
        return f"blocks/{self.part:08d}"

    @property
    def is_reads(self) -> bool:
        """Whether its text is FASTQ."""
        return self.streams["reads"] > 0

    @property
    def is_aligned(self) -> bool:
        """Whether some of its reads are mapped."""
        return self.streams["alignments"] > 0

    @property
    def stored_bytes(self) -> int:
        """The bytes of the entry."""
        return sum(self.streams.values())


@dataclass(frozen=True)
class Manifest:
    """The manifest. ``blocks`` are fewer than ``sample.parts`` in a part archive."""

    tool_version: str
    settings: Settings
    model: ModelReference
    sample: Sample
    blocks: tuple[Block, ...]

    @property
    def needs_model(self) -> bool:
        """Whether a model is needed to decode: not where it helps no part, and no read is mapped to its panel."""
        return self.model.id != EXPERTS and any(not block.without_model or block.is_aligned for block in self.blocks)

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
            "settings": self.settings.as_dict(),
            "model": vars(self.model),
            "sample": self.sample.as_dict(),
            "blocks": [vars(block) for block in self.blocks],
        }
        return json.dumps(fields, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def parse(cls, data: bytes, label: str) -> Self:
        """Read and check the JSON of the archive called ``label`` in messages."""
        try:
            fields = json.loads(data.decode("ascii"), object_pairs_hook=unique_fields)
            check_version(fields)
            manifest = cls._from(Fields(fields, "manifest"))
        except FormatError as error:
            raise FormatError(f"{label}: {error}") from error
        except (ValueError, RecursionError) as error:
            raise FormatError(f"{label}: its manifest is invalid ({error}); the archive is damaged") from error
        return manifest

    @classmethod
    def _from(cls, fields: Fields) -> Self:
        fields.text("format")
        fields.number("format_version", FORMAT_VERSION, FORMAT_VERSION)
        tool_version = fields.text("tool_version")
        settings, model = _settings(fields.inner("settings")), _model(fields.inner("model"))
        if model.id == EXPERTS and (settings.experts is None or settings.without_model):
            raise ValueError("its experts are not those of an archive without a model")
        sample = Sample.take(fields.inner("sample"))
        blocks = (_block(Fields(item, "a block"), settings) for item in fields.items("blocks", MAX_PARTS))
        manifest = cls(tool_version, settings, model, sample, tuple(blocks))
        fields.done()
        numbers = [block.part for block in manifest.blocks]
        if numbers != sorted(set(numbers)) or not numbers or numbers[-1] >= manifest.sample.parts:
            raise ValueError("the numbers of the parts do not ascend, or pass the number of parts")
        if manifest.complete and sum(block.text_bytes for block in manifest.blocks) != manifest.sample.all_bytes:
            raise ValueError("the sizes of the parts do not sum to the size of the sample")
        return manifest


def check_version(fields: Any) -> None:
    """Refuse other files, and name the version that reads an archive of a later format."""
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        raise FormatError("its manifest is not that of a .gfz archive; give a file made by 'gfz compress'")
    version = fields.get("format_version")
    if type(version) is not int or version != FORMAT_VERSION:
        raise FormatError(
            f"the archive has format version {version!r} and was written by geneformer-rules "
            f"{fields.get('tool_version')!r}; this tool reads format version {FORMAT_VERSION}. "
            "Install that version of geneformer-rules or a later one (pip install -U geneformer-rules)"
        )


def _settings(fields: Fields) -> Settings:
    settings = Settings(
        level=fields.text("level", "|".join(LEVELS)),
        slice_length=fields.number("slice_length", WHOLE_PART, MAX_SLICE_LENGTH),
        part_bases=fields.number("part_bases", 1, MAX_PART_BYTES),
        experts=_experts(fields.object("experts")),
        without_model=_experts(fields.object("without_model")),
        digests=fields.text("digests", "|".join(DIGESTS)),
    )
    fields.done()
    return settings


def _experts(fields: dict[str, Any] | None) -> "ExpertSettings | None":
    if fields is None:
        return None
    from geneformer_codec.predict.settings import ExpertSettings

    return ExpertSettings.from_dict(fields)


def _model(fields: Fields) -> ModelReference:
    model = ModelReference(
        id=fields.text("id", f"{EXPERTS}|{HEX64}"),
        name=fields.text("name"),
        bytes=fields.number("bytes", 0, 1 << 40),
        embedded=fields.flag("embedded"),
    )
    fields.done()
    return model


def _block(fields: Fields, settings: Settings) -> Block:
    part = fields.number("part", 0, MAX_PARTS - 1)
    text_bytes = fields.number("text_bytes", 0, MAX_PART_BYTES)
    digest = fields.text("sha256", HEX64)
    records = fields.number("records", 0, text_bytes)
    residues = fields.number("residues", 0, text_bytes)
    bases = fields.number("bases", 0, residues)
    slice_bases = fields.number("slice_bases", 0, residues)
    alone = fields.flag("without_model")
    if alone and settings.without_model is None:
        raise ValueError("a part is coded without the model, and the settings do not state how")
    streams = fields.inner("streams")
    sizes = {name: streams.number(name, 0, 1 << 31) for name in STREAM_IDS}
    streams.done()
    whole = alone or settings.slice_length == WHOLE_PART
    most = min(slice_bases, 1) if whole else most_slices(slice_bases, settings.slice_length)
    slices = fields.number("slices", min(slice_bases, 1), most)
    if slice_bases < bases and not sizes["alignments"]:
        raise ValueError("bases are neither in slices nor in mapped reads")
    if slice_bases > bases and sizes["reads"]:
        raise ValueError("reads have more bases in slices than they have")
    experts = settings.without_model if alone else settings.experts
    strands = fields.number("strands", *((1, 2) if experts and not experts.network else (0, 0)))
    ends = fields.flag("starts_record"), fields.flag("ends_record")
    fields.done()
    return Block(part, text_bytes, digest, records, residues, bases, slice_bases, slices, strands, alone, sizes, *ends)


def most_slices(bases: int, slice_length: int) -> int:
    """How many slices there can be: any two that follow one another hold more bases than one may."""
    return 2 * ((bases - 1) // slice_length) + 1 if bases else 0
