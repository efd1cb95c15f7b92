"""What of an archive's text is outside records: lines before the first header, or that are no regular read.

It comes back like all else, but nothing predicts it, and a damaged file shows it first.
"""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..sequence.sides import HAS_PREAMBLE
from .block import naming, shape_of

if TYPE_CHECKING:
    from .read import Archive


@dataclass
class _Strays:
    """Bytes and places of one text, and how many of its records stand before the first place."""

    text: int
    bytes: int = 0
    places: int = 0
    records_before: int = 0


def find_strays(archive: "Archive") -> list[dict[str, Any]]:
    """Of each text that has strays, how many ``bytes`` in how many ``places``, the first after ``records_before``.

    No base, name or quality is decoded; of the parts that are here.
    """
    reads = [block for block in archive.blocks if block.is_reads]
    if not reads:
        return _preamble(archive)
    archive.hold((block, *archive.stream_range(block, "reads")) for block in reads)
    found, before = [_Strays(1), _Strays(2)], [0, 0]
    for block in reads:
        with naming(block, archive.label):
            data = archive.read_range(block, *archive.stream_range(block, "reads"))
            with archive.expanding():
                shape = shape_of(block, {"reads": data})
        for number, text in enumerate(shape.texts if shape else ()):
            strays = found[number]
            if len(text.gaps) and not strays.places:
                strays.records_before = before[number] + int(text.gaps[0])
            strays.bytes += len(text.strays)
            strays.places += len(text.gaps)
            before[number] += text.reads
    return [asdict(strays) for strays in found if strays.places]


def _preamble(archive: "Archive") -> list[dict[str, Any]]:
    """Of FASTA, what stands before the first header."""
    size = 0
    for number, block in enumerate(archive.blocks):
        if block.part != number:
            break
        if block.records:
            start, _ = archive.stream_range(block, "layout")
            if archive.read_range(block, start, start + 1)[0] & HAS_PREAMBLE:
                size += archive.laid_out(block)[0].find(b"\n>") + 1
            break
        size += block.text_bytes
    return [asdict(_Strays(1, size, 1))] if size else []
