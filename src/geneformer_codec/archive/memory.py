"""The memory that decoding an archive takes, estimated from its manifest, and the number of threads that fit into it.

The estimate follows the arrays that are allocated; tests check that it is right within a factor of two.
"""

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from geneformer_codec.archive.manifest import EXPERTS, Block, Manifest
from geneformer_codec.limits import PROCESS, check_need

if TYPE_CHECKING:
    from geneformer_codec.predict.settings import ExpertSettings

_RECORD, _SLICE = 100, 200
"""Of what is known of each: its name as an object, its place and lengths in several arrays."""
_MIXER = 36 << 20
"""Counters of names."""
_LINE, _MOST_LINES, _MOST_LINES_OF_SLICE = 8 * 64, 1 << 18, 1 << 16
"""Of counters of qualities: bytes of a line, in all contexts; how many lines there are at most, and where qualities are
in slices, of each."""
_ALIGNED = 48 << 20
"""What is counted while mapped reads are coded."""
_LOCKSTEP = 64
"""Slices that a thread works on at once where a network predicts them."""


def text_bytes(block: Block) -> int:
    """Of one part whose bases are decoded, while its text is rendered."""
    made = 3 * block.text_bytes + block.residues
    made += _model_bytes(block.residues, _MOST_LINES) + block.residues if block.is_reads else 0
    return made + _known_bytes(block)


def _model_bytes(qualities: int, most_lines: int) -> int:
    """Of the counters and the weights by which so many qualities are coded."""
    return (4 << 20) + _LINE * min(most_lines, max(1 << 10, qualities // 2))


def part_bytes(block: Block, manifest: Manifest, threads: int = 1) -> int:
    """Of one part while it is decoded, with slices on so many threads."""
    settings = manifest.settings.without_model if block.without_model else manifest.settings.experts
    longest = min(block.slice_length(manifest.settings) or block.slice_bases, block.slice_bases)
    slices = min(block.slices, threads * (1 if settings and not settings.network else _LOCKSTEP))
    alone = block.without_model or manifest.model.id == EXPERTS
    own_counts = settings.table_bytes if settings and alone else 0
    coding = slices * (_slice_bytes(settings, longest) + own_counts) + _known_bytes(block)
    in_slices = block.is_reads and manifest.settings.slice_bits
    beside = (threads - 1) * _model_bytes(block.residues, _MOST_LINES_OF_SLICE) if in_slices else 0
    if in_slices and block.is_aligned:
        beside = (threads - 1) * max(_model_bytes(block.residues, _MOST_LINES_OF_SLICE), _ALIGNED)
    return beside + max(coding, text_bytes(block) + (_ALIGNED + 5 * block.bases if block.is_aligned else 0))


def _slice_bytes(settings: "ExpertSettings | None", length: int) -> int:
    return 4 * length if settings is None else settings.slice_bytes(length)


def _known_bytes(block: Block) -> int:
    names = min(_MIXER, 64 * block.streams["names"])
    return (
        _RECORD * block.records
        + _SLICE * block.slices
        + 2 * block.stored_bytes
        + max(block.bases, block.slice_bases)
        + names
    )


@dataclass(frozen=True)
class Share:
    """What side streams may be expanded to, beyond what the manifest lets expect.

    Each part of those that are decoded at a time has ``each``; one that needs more may have ``most``, alone. ``parts``
    is how many are decoded at a time.
    """

    each: int
    most: int
    parts: int = 1
    alone: threading.Lock = field(default_factory=threading.Lock)


def needed_bytes(manifest: Manifest, model_bytes: int = 0) -> int:
    """What decoding an archive takes on one thread."""
    return PROCESS + model_bytes + max((part_bytes(block, manifest) for block in manifest.blocks), default=0)


def share_memory(
    manifest: Manifest, label: str, limit: int, model_bytes: int, threads: int, together: int
) -> tuple[int, Share]:
    """On how many threads an archive is decoded, and what is left for side streams; an error if one is too many.

    At most ``together`` parts are decoded side by side; threads that these leave work on their slices. Half of the
    limit goes to these, so that unusual side streams find room as well.
    """
    whole, records, one, two = manifest.settings.slice_length == 0, 0, 0, 0
    for block in manifest.blocks:
        records = max(records, block.records)
        one = max(one, part_bytes(block, manifest))
        two = max(two, part_bytes(block, manifest, 2))
    check_need(label, PROCESS + model_bytes + one, limit)
    left, step = limit - PROCESS - model_bytes, one if whole else two - one
    at_once = max(1, min(together, left // 2 // max(one, 1)))
    if step:
        threads = max(1, min(threads, at_once + max(0, left // 2 - at_once * one) // step))
    at_once = min(at_once, max(len(manifest.blocks), 1))
    spare = left - at_once * one + _RECORD * records
    return threads, Share(spare // at_once, spare, at_once)
