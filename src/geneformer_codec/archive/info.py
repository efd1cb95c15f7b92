"""What ``gfz info`` shows of an archive."""

from typing import Any

from geneformer_codec.archive.coders import BOTH_STRANDS
from geneformer_codec.archive.manifest import FORMAT, FORMAT_VERSION
from geneformer_codec.archive.notices import archive_notices
from geneformer_codec.archive.read import Archive
from geneformer_codec.archive.unparsed import find_unparsed
from geneformer_codec.streams.table import INDEX_STREAMS, SIDE_STREAMS, STREAM_IDS, STREAMS

_READS_STREAMS = [stream.id for stream in STREAMS if stream.of_reads]


def archive_info(archive: Archive) -> dict[str, Any]:
    """Sizes, settings and digests, ready for JSON. The sizes sum to ``total_bytes`` exactly."""
    manifest, total = archive.manifest, archive.file_bytes
    streams = {name: sum(block.streams[name] for block in archive.blocks) for name in STREAM_IDS}
    side, index = (sum(streams[name] for name in names) for names in (SIDE_STREAMS, INDEX_STREAMS))
    model_bytes = manifest.model.bytes if manifest.model.embedded else 0
    bases = sum(block.bases for block in archive.blocks)
    unparsed = find_unparsed(archive)
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "tool_version": manifest.tool_version,
        "sample": manifest.sample.name,
        "kind": "FASTQ" if any(block.is_reads for block in archive.blocks) else "FASTA",
        "records": sum(block.records for block in archive.blocks),
        "residues": sum(block.residues for block in archive.blocks),
        "bases": bases,
        "input_bytes": sum(block.text_bytes for block in archive.blocks),
        "sha256": manifest.sample.sha256,
        "mate": vars(manifest.sample.mate) if manifest.sample.mate else None,
        "origin": vars(manifest.sample.origin) if manifest.sample.origin else None,
        "quality_bins": manifest.sample.quality_bins,
        "trailing_bytes": manifest.sample.trailing_bytes,
        "outside_records": [text.as_dict() for text in unparsed if text.places],
        "notices": archive_notices(archive, unparsed),
        "payload_bytes": streams["payload"],
        "side_bytes": side,
        "index_bytes": index,
        "model_bytes": model_bytes,
        "container_bytes": total - streams["payload"] - side - index - model_bytes,
        "total_bytes": total,
        "bpb_payload": streams["payload"] * 8 / bases if bases else None,
        "bpb_total": total * 8 / bases if bases else None,
        "model_id": manifest.model.id,
        "model_name": manifest.model.name,
        "model_embedded": manifest.model.embedded,
        "model_file_bytes": manifest.model.bytes,
        **manifest.settings.as_dict(),
        "both_strands_blocks": sum(block.strands == BOTH_STRANDS for block in archive.blocks),
        "parts": manifest.sample.parts,
        "blocks": len(archive.blocks),
        "complete": manifest.complete,
        "slices": sum(block.slices for block in archive.blocks),
        "streams": {name: size for name, size in streams.items() if size or name not in _READS_STREAMS},
    }
