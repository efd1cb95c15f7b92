"""The plan of a split sample: its parts, which separate jobs compress and ``gather`` joins."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from geneformer_codec.archive.settings import MAX_PART_BYTES
from geneformer_codec.errors import FormatError
from geneformer_codec.files import input_error
from geneformer_codec.inputs.sample import MAX_PARTS, Sample
from geneformer_codec.json_fields import HEX64, Fields, unique_fields
from geneformer_codec.sequence.parts import Part

PLAN_NAME = "plan.json"
PANEL_NAME = "panel.gfmodel"
"""The model beside a plan that is the panel of its sample."""
PLAN_FORMAT = "gfz-plan"
PLAN_VERSION = 1
MAX_PLAN_BYTES = 1 << 28


@dataclass(frozen=True)
class PlannedPart:
    """One part: its number, the file that holds its text, and what that text must be.

    The last ``mate_bytes`` of the file are those of the mate, if the sample is a pair.
    """

    number: int
    file: str
    text_bytes: int
    mate_bytes: int
    sha256: str
    digests_sha256: str
    starts_record: bool
    ends_record: bool

    @property
    def digests_file(self) -> str:
        """The file, beside that of the text, with the digests of the records that end in the part."""
        return Path(self.file).with_suffix(".digests").name


@dataclass(frozen=True)
class Plan:
    """A sample and its parts; ``panel`` is the SHA-256 of the file of its panel, if any.

    ``is_reads``: it is FASTQ; ``short_reads``: of short reads.
    """

    sample: Sample
    is_reads: bool
    part_bases: int
    parts: tuple[PlannedPart, ...]
    panel: str | None = None
    short_reads: bool = False

    def dump(self) -> bytes:
        """The JSON of the plan."""
        sample = self.sample.as_dict()
        fields: dict[str, Any] = {
            "format": PLAN_FORMAT,
            "format_version": PLAN_VERSION,
            "sample": sample.pop("name"),
            **{name: value for name, value in sample.items() if name != "parts"},
            "is_reads": self.is_reads,
            "short_reads": self.short_reads,
            "part_bases": self.part_bases,
            "panel": self.panel,
            "parts": [vars(part) for part in self.parts],
        }
        return json.dumps(fields, indent=1).encode() + b"\n"

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read and check a plan."""
        try:
            if path.stat().st_size > MAX_PLAN_BYTES:
                raise ValueError("it is too large")
            fields = Fields(json.loads(path.read_bytes(), object_pairs_hook=unique_fields), "the plan")
            return cls._from(fields)
        except OSError as error:
            raise input_error(path, error, "it is written by 'gfz split'") from error
        except (ValueError, RecursionError) as error:
            raise FormatError(f"{path}: not a valid plan ({error}); make it again with 'gfz split'") from error

    @classmethod
    def _from(cls, fields: Fields) -> Self:
        fields.text("format", PLAN_FORMAT)
        fields.number("format_version", PLAN_VERSION, PLAN_VERSION)
        items = fields.items("parts", MAX_PARTS)
        if not items:
            raise ValueError("it has no parts")
        parts = tuple(_part(Fields(item, f"part {number}"), number) for number, item in enumerate(items))
        is_reads, part_bases = fields.flag("is_reads"), fields.number("part_bases", 1, MAX_PART_BYTES)
        panel, short_reads = fields.text_or_none("panel", HEX64), fields.flag("short_reads")
        sample = Sample.take(fields, "sample", len(parts))
        mates = sum(part.mate_bytes for part in parts)
        if sum(part.text_bytes for part in parts) != sample.all_bytes or mates != sample.all_bytes - sample.bytes:
            raise ValueError("the sizes of the parts do not sum to the size of the sample")
        return cls(sample, is_reads, part_bases, parts, panel, short_reads)


def read_part(plan: Plan, path: Path) -> Part:
    """The part whose text lies at ``path``, checked against the plan."""
    planned = next((part for part in plan.parts if part.file == path.name), None)
    if planned is None:
        raise FormatError(f"{path}: is not in the {PLAN_NAME} beside it; give one of the parts listed there")
    text = _read(path, planned.sha256)
    digests = _read(path.with_name(planned.digests_file), planned.digests_sha256)
    cut, paired = len(text) - planned.mate_bytes, plan.sample.mate is not None
    ends = planned.starts_record, planned.ends_record
    return Part(planned.number, text[:cut], digests, *ends, plan.is_reads, text[cut:] if paired else None)


def read_panel(plan: Plan, directory: Path) -> bytes | None:
    """The file of the sample's panel in the directory of its parts, checked against the plan; None if it has none."""
    return None if plan.panel is None else _read(directory / PANEL_NAME, plan.panel)


def _read(file: Path, digest: str) -> bytes:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise input_error(file, error, "it is written by 'gfz split'") from error
    if sha256_hex(data) != digest:
        raise FormatError(f"{file}: does not match its SHA-256 in {PLAN_NAME}; run 'gfz split' again")
    return data


def sha256_hex(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _part(fields: Fields, number: int) -> PlannedPart:
    part = PlannedPart(
        number=fields.number("number", number, number),
        file=fields.text("file", r"[^/\0]{1,255}"),
        text_bytes=(text_bytes := fields.number("text_bytes", 0, MAX_PART_BYTES)),
        mate_bytes=fields.number("mate_bytes", 0, text_bytes),
        sha256=fields.text("sha256", HEX64),
        digests_sha256=fields.text("digests_sha256", HEX64),
        starts_record=fields.flag("starts_record"),
        ends_record=fields.flag("ends_record"),
    )
    fields.done()
    return part
