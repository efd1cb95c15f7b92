"""Change the order of reads, where that is allowed and makes the archive smaller.

Sequencers write reads as they lie on the flow cell: their names count up, and neighbours are alike in quality. Sorting
by name restores that order in files that have lost it, such as those made from BAM. Sorting by place in the
genome is not tried: names then take what places save, or more.
"""

import contextlib
import io
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace

from geneformer_codec.archive.settings import MAX_PART_BYTES
from geneformer_codec.inputs.sample import Reordering
from geneformer_codec.inputs.sources import Source
from geneformer_codec.sequence.read_parts import split_reads
from geneformer_codec.sequence.read_sorting import Bucket, ReadSorter, TextStream
from geneformer_codec.streams.interface import Coding, PartContent
from geneformer_codec.streams.table import STREAMS

LEAST_SAVING = 0.01
"""The share of all but bases that sorting must save."""
LEAST_MATES = 0.5
"""The share of the reads of either text that must have a mate, where mates are found by name."""

_LOG = logging.getLogger("geneformer_codec")


@contextlib.contextmanager
def sorted_source(opened: Source, level: str, label: str) -> Iterator[Source]:
    """The reads of a source, sorted by name if their side streams are smaller then at ``level``; else as they are.

    It is measured on the reads that come first by name. ``label`` names the source in messages.
    """
    with ReadSorter(opened.streams, label) as sorter:
        reordering, reason = None, sorter.obstacle
        if not reason:
            reordering, reason = _measured(sorter.first_bucket(), opened.known.quality_bins, level)
        if reason:
            _LOG.warning("%s: reads stay in the order of the file: %s", label, reason)
        pieces = sorter.in_order() if reason else sorter.texts()
        streams = TextStream.of(pieces, len(opened.streams))
        yield replace(opened, streams=streams, known=replace(opened.known, reordering=reordering))


def _measured(bucket: Bucket, bins: str | None, level: str) -> tuple[Reordering | None, str]:
    """What sorting saves, or why reads are not sorted."""
    reads = sum(len(piece.keys) for piece in (*bucket.paired, *bucket.alone))
    mates = sum(len(piece.keys) for piece in bucket.paired)
    if mates < LEAST_MATES * reads:
        return None, "the files differ in the number of reads, and most of them have no mate of the same name"
    before, after = (_side_bytes(texts, bins, level) for texts in (bucket.in_order(), bucket.texts))
    if after > (1 - LEAST_SAVING) * before:
        change = 100 * (after / before - 1)
        return None, f"sorted by name, all but the bases would take {change:+.1f} %"
    return Reordering(reads, before, after), ""


def _side_bytes(texts: Sequence[bytes], bins: str | None, level: str) -> int:
    """What reads take without their bases."""
    part = next(split_reads([io.BytesIO(text) for text in texts], MAX_PART_BYTES, bins))
    content, coding = PartContent.parse(part), Coding(level, 0)
    return sum(len(stream.encode(content, coding)) for stream in STREAMS if stream.counted_as == "side")
