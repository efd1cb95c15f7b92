"""What of an archive's text is outside records: lines before the first header, or that are no regular read.

It comes back like all else, but nothing predicts it, and a damaged file shows it first.
"""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from geneformer_codec.archive.block import naming, shape_of
from geneformer_codec.streams.layout import HAS_PREAMBLE

if TYPE_CHECKING:
    from geneformer_codec.archive.read import Archive


@dataclass
class Strays:
    """Bytes and places of one text, and how many of its ``records`` stand before the first place."""

    text: int
    bytes: int = 0
    places: int = 0
    records_before: int = 0
    records: int = 0
    blank: bool = True
    """Whether they are nothing but blanks and empty lines."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {name: value for name, value in asdict(self).items() if name not in ("records", "blank")}


def find_strays(archive: "Archive") -> list[Strays]:
    """Of each text, how many ``bytes`` in how many ``places``, the first after ``records_before``.

    No base, name or quality is decoded; of the parts that are here.
    """
    reads = [block for block in archive.blocks if block.is_reads]
    if not reads:
        return [_preamble(archive)]
    archive.hold((block, *archive.stream_range(block, "reads")) for block in reads)
    found = [Strays(number + 1) for number in range(2 if archive.manifest.sample.mate else 1)]
    for block in reads:
        with naming(block, archive.label):
            data = archive.read_range(block, *archive.stream_range(block, "reads"))
            with archive.expanding():
                shape = shape_of(block, {"reads": data})
        for strays, text in zip(found, shape.texts if shape else (), strict=False):
            if len(text.gaps) and not strays.places:
                strays.records_before = strays.records + int(text.gaps[0])
            strays.bytes += len(text.strays)
            strays.blank &= not text.strays.strip()
            strays.places += len(text.gaps)
            strays.records += text.reads
    return found


def _preamble(archive: "Archive") -> Strays:
    """Of FASTA, what stands before the first header."""
    size, blank = 0, True
    for number, block in enumerate(archive.blocks):
        if block.part != number:
            break
        if block.records:
            start, _ = archive.stream_range(block, "layout")
            if archive.read_range(block, start, start + 1)[0] & HAS_PREAMBLE:
                text = archive.laid_out(block)[0]
                before = text[: text.find(b"\n>") + 1]
                size, blank = size + len(before), blank and not before.strip()
            break
        size, blank = size + block.text_bytes, blank and not block.residues
    return Strays(1, size, int(size > 0), records=sum(block.records for block in archive.blocks), blank=blank)
