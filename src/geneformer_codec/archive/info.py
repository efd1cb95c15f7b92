"""Facts about an archive: sizes, settings, model and checksums."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from geneformer_codec.archive.coders import BOTH_STRANDS
from geneformer_codec.archive.manifest import FORMAT, FORMAT_VERSION
from geneformer_codec.archive.notices import archive_notices
from geneformer_codec.archive.read import Archive
from geneformer_codec.archive.unparsed import find_unparsed
from geneformer_codec.streams.table import INDEX_STREAMS, PAYLOAD_STREAMS, SIDE_STREAMS, STREAM_IDS, STREAMS

_READS_STREAMS = [stream.id for stream in STREAMS if stream.of_reads]


@dataclass(frozen=True)
class ArchiveInfo:
    """Facts about an archive. Payload, side, index, model and container bytes sum to ``total_bytes``."""

    format: str
    format_version: int
    tool_version: str
    sample: str
    kind: str
    """``FASTA`` or ``FASTQ``."""
    records: int
    residues: int
    bases: int
    """Residues that are A, C, G or T: those that are predicted."""
    input_bytes: int
    sha256: str
    mate: dict[str, Any] | None
    """Name, bytes and SHA-256 of the second text of a pair."""
    origin: dict[str, Any] | None
    """Of a text derived from another format: which, and what is not kept of it."""
    quality_bins: str | None
    reordering: dict[str, int] | None
    """If reads are sorted by name: what that saved, as in the manifest."""
    trailing_bytes: int
    outside_records: list[dict[str, Any]]
    """Text that belongs to no record: where, and how much."""
    notices: list[str]
    """Sentences on what is not kept, or irregular; empty for a regular file."""
    payload_bytes: int
    """The coded bases alone, pointers included."""
    side_bytes: int
    """Names, layout, case, exceptions and qualities."""
    index_bytes: int
    model_bytes: int
    """The embedded model."""
    container_bytes: int
    total_bytes: int
    bpb_payload: float | None
    """Bits per base; None without bases."""
    bpb_total: float | None
    model_id: str
    model_name: str
    model_embedded: bool
    model_needed: bool
    """Whether a model is needed to decompress; one that helps no part is not."""
    model_file_bytes: int
    """The model's file, embedded or not; 0 without a model."""
    level: str
    slice_length: int
    """The most bases in a slice; 0 where each part is one slice."""
    part_bases: int
    digests: str
    """``auto`` or ``always``: when the digests of records are stored."""
    experts: dict[str, Any] | None
    """Settings of the experts, if they were used."""
    without_model: dict[str, Any] | None
    """Settings for parts that a model does not help."""
    both_strands_blocks: int
    without_model_blocks: int
    """Parts that the archive's model does not help, and that are coded without it."""
    parts: int
    blocks: int
    complete: bool
    """Whether all parts of the sample are in the archive."""
    slices: int
    streams: dict[str, int]
    """Bytes of each stream, over all blocks."""

    def as_dict(self) -> dict[str, Any]:
        """The same as a dictionary, ready for JSON."""
        return dataclasses.asdict(self)


def archive_info(archive: Archive) -> ArchiveInfo:
    """The facts of an open archive; nothing is decoded but side streams."""
    manifest, blocks, total_bytes = archive.manifest, archive.blocks, archive.file_bytes
    sample, model = manifest.sample, manifest.model
    streams = {name: sum(block.streams[name] for block in blocks) for name in STREAM_IDS}
    payload, side, index = (
        sum(streams[name] for name in names) for names in (PAYLOAD_STREAMS, SIDE_STREAMS, INDEX_STREAMS)
    )
    model_bytes = model.bytes if model.embedded else 0
    bases = sum(block.bases for block in blocks)
    unparsed = find_unparsed(archive)
    return ArchiveInfo(
        format=FORMAT,
        format_version=FORMAT_VERSION,
        tool_version=manifest.tool_version,
        sample=sample.name,
        kind="FASTQ" if any(block.is_reads for block in blocks) else "FASTA",
        records=sum(block.records for block in blocks),
        residues=sum(block.residues for block in blocks),
        bases=bases,
        input_bytes=sum(block.text_bytes for block in blocks),
        sha256=sample.sha256,
        mate=vars(sample.mate) if sample.mate else None,
        origin=vars(sample.origin) if sample.origin else None,
        quality_bins=sample.quality_bins,
        reordering=vars(sample.reordering) if sample.reordering else None,
        trailing_bytes=sample.trailing_bytes,
        outside_records=[text.as_dict() for text in unparsed if text.places],
        notices=archive_notices(archive, unparsed),
        payload_bytes=payload,
        side_bytes=side,
        index_bytes=index,
        model_bytes=model_bytes,
        container_bytes=total_bytes - payload - side - index - model_bytes,
        total_bytes=total_bytes,
        bpb_payload=payload * 8 / bases if bases else None,
        bpb_total=total_bytes * 8 / bases if bases else None,
        model_id=model.id,
        model_name=model.name,
        model_embedded=model.embedded,
        model_needed=manifest.needs_model,
        model_file_bytes=model.bytes,
        **manifest.settings.as_dict(),
        both_strands_blocks=sum(block.strands == BOTH_STRANDS for block in blocks),
        without_model_blocks=sum(block.without_model for block in blocks),
        parts=sample.parts,
        blocks=len(blocks),
        complete=manifest.complete,
        slices=sum(block.slices for block in blocks),
        streams={name: size for name, size in streams.items() if size or name not in _READS_STREAMS},
    )
