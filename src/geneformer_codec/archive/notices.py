"""Notices about an archive: what of the source it does not keep, and what in its text is irregular.

They are sentences for the terminal, for ``gfz info`` and for reports. Only side streams are decoded for them. A regular
file has none.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from geneformer_codec.archive.manifest import Block
from geneformer_codec.archive.read import Archive
from geneformer_codec.archive.unparsed import UnparsedText
from geneformer_codec.inputs.sample import Sample

_NO_NUCLEOTIDES = np.frombuffer(b"EFILPQZJOX*efilpqzjox", np.uint8)
"""Letters of proteins, and of other text, that are no code of nucleotides."""
_MARKS = {b"\xef\xbb\xbf": "UTF-8", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
"""Byte order marks."""


def sample_notices(sample: Sample) -> Iterator[str]:
    """What is known of a sample from the manifest, or the plan, alone."""
    if origin := sample.origin:
        yield f"made from {origin.format}; not kept: {origin.not_kept}"
    if sample.quality_bins:
        yield f"LOSSY: qualities binned by {sample.quality_bins}; checksums are of the binned text"
    if order := sample.reordering:
        saved = 100 * (1 - order.after / order.before)
        yield (
            f"the order of reads is not kept: they are sorted by name, mates together, which saves {saved:.1f} % of "
            f"all but bases (of the first {order.reads:,} reads); checksums are of the sorted text"
        )
    if sample.trailing_bytes:
        yield f"{_bytes(sample.trailing_bytes)} after the end of the compressed data were ignored, and are not kept"
    if odd := sample.odd_mates:
        names = ", ".join(odd.names)
        pairs = f"{odd.odd:,} of {odd.pairs:,} pairs have names that do not match"
        yield f"{pairs}: the first is record {odd.first:,} ({names})"


def archive_notices(archive: Archive, texts: Sequence[UnparsedText]) -> list[str]:
    """All that is known of an archive; ``texts`` is what `find_unparsed` gave."""
    notices = list(sample_notices(archive.manifest.sample))
    if archive.manifest.complete and not archive.manifest.sample.all_bytes:
        return [*notices, "empty: there is no text in it"]
    if len(texts) == 2 and texts[0].records != texts[1].records:
        first, second = (text.records for text in texts)
        notices.append(f"mates differ in number: {first:,} reads in the first file, {second:,} in the second")
    is_reads = any(block.is_reads for block in archive.blocks)
    for text in texts:
        which = "" if len(texts) == 1 else "the second file" if text.text == 2 else "the first file"
        if text.places and not (text.records and text.blank):
            notices.append(_outside(archive, text, which, is_reads))
    if any(text.records for text in texts):
        notices += _no_nucleotides(archive)
    return notices


def _outside(archive: Archive, text: UnparsedText, which: str, is_reads: bool) -> str:
    """Of text that belongs to no record, in ``which`` file of a pair."""
    plain = f"stored as plain text ({_bytes(text.bytes)}), not predicted"
    if is_reads and not text.records:
        return f"no regular FASTQ record in {which or 'it'}: {plain}"
    mark = "" if is_reads else _byte_order_mark(archive)
    if not is_reads and not text.records:
        block = next(block for block in archive.blocks if block.text_bytes)
        if 2 * block.bases >= block.residues > 0:
            return f"no FASTA header in it{mark}: {_bytes(text.bytes)} of sequence without a name"
        return f"no FASTA or FASTQ record in it{mark}: {plain}"
    where = f"after record {text.records_before:,}" if text.records_before else "before the first record"
    if text.places > 1:
        where = f"in {text.places:,} places, the first {where}"
    found = f"{_bytes(text.bytes)}{which and f' of {which}'} belong to no record"
    return f"{found} ({where}{mark}); they come back as they are"


def _byte_order_mark(archive: Archive) -> str:
    """What to add for a text that begins with one, as files do that were edited on Windows."""
    block = archive.blocks[0]
    head = archive.layout_texts(block)[0][:3] if block.part == 0 else b""
    kinds = [kind for mark, kind in _MARKS.items() if head.startswith(mark)]
    return f", as it begins with the byte order mark of {kinds[0]}" if kinds else ""


def _no_nucleotides(archive: Archive) -> Iterator[str]:
    """Of FASTA that is protein, or no sequence at all."""
    bases, residues = (sum(getattr(block, what) for block in archive.blocks) for what in ("bases", "residues"))
    if 2 * bases >= residues:
        return
    block: Block = max(archive.blocks, key=lambda block: block.residues - block.bases)
    text = archive.text_content(block).fasta
    letters = text.all_residues(np.zeros(text.base_count, np.uint8))
    if text.layout.has_preamble:
        letters = letters[int(text.fragment_residues[0]) :]  # that is a notice of its own
    if 10 * np.isin(letters, _NO_NUCLEOTIDES).sum() > len(letters):
        others = f"{residues - bases:,} of {residues:,} residues are stored, but not predicted"
        yield f"not nucleotide sequence: many letters are no codes of nucleotides; {others}"


def _bytes(number: int) -> str:
    return f"{number:,} byte{'' if number == 1 else 's'}"
