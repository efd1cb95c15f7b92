"""Text outside records: lines before the first header, or that do not form regular reads.

It is stored unchanged, and often results from a damaged file.
"""

from dataclasses import asdict, dataclass
from typing import Any

from geneformer_codec.archive.read import Archive
from geneformer_codec.streams.layout import HAS_PREAMBLE


@dataclass
class UnparsedText:
    """Bytes and places of one text, and how many of its ``records`` precede the first place."""

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


def find_unparsed(archive: Archive) -> list[UnparsedText]:
    """Of each text, how many ``bytes`` in how many ``places``, the first after ``records_before``.

    No base, name or quality is decoded; of the parts that are here.
    """
    reads = [block for block in archive.blocks if block.is_reads]
    if not reads:
        return [_preamble(archive)]
    archive.hold((block, *archive.stream_range(block, "reads")) for block in reads)
    found = [UnparsedText(number + 1) for number in range(2 if archive.manifest.sample.mate else 1)]
    for block in reads:
        data = archive.read_range(block, *archive.stream_range(block, "reads"))
        layouts = archive.content(block, {"reads": data}).read_layouts
        for unparsed, layout in zip(found, layouts, strict=False):
            if len(layout.gaps) and not unparsed.places:
                unparsed.records_before = unparsed.records + int(layout.gaps[0])
            unparsed.bytes += len(layout.unparsed)
            unparsed.blank &= not layout.unparsed.strip()
            unparsed.places += len(layout.gaps)
            unparsed.records += layout.reads
    return found


def _preamble(archive: Archive) -> UnparsedText:
    """The text before the first header of FASTA."""
    size, blank = 0, True
    for number, block in enumerate(archive.blocks):
        if block.part != number:
            break
        if block.records:
            start, _ = archive.stream_range(block, "layout")
            if archive.read_range(block, start, start + 1)[0] & HAS_PREAMBLE:
                text = archive.layout_texts(block)[0]
                before = text[: text.find(b"\n>") + 1]
                size, blank = size + len(before), blank and not before.strip()
            break
        size, blank = size + block.text_bytes, blank and not block.residues
    return UnparsedText(1, size, int(size > 0), records=sum(block.records for block in archive.blocks), blank=blank)
