"""The index: from the name of a record to its block, slice and offset, with its length and digests.

Names and lengths are read from the side streams, so that nothing is stored twice; the index stream of a block holds the
digests of the records that end in it, MD5 and sha512t24u (40 bytes) each, leaving out reads, and records so short that
decoding them is as quick as reading a digest.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from geneformer_codec.archive.block import naming, slice_table, split_streams
from geneformer_codec.archive.catalogue import name_of
from geneformer_codec.archive.coders import Coders
from geneformer_codec.archive.digests import RecordDigest
from geneformer_codec.archive.manifest import Block
from geneformer_codec.archive.slices import SlicePlaces
from geneformer_codec.coding.interface import Progress
from geneformer_codec.errors import FormatError
from geneformer_codec.sequence.fasta import Sides
from geneformer_codec.sequence.parts import DIGEST_BYTES, DIGEST_MIN_RESIDUES

if TYPE_CHECKING:
    from geneformer_codec.archive.read import Archive


@dataclass(frozen=True)
class RecordEntry:
    """Where a record is and what it must be.

    ``name`` is the header up to the first blank, ``header`` all of it without ``>``. The record's first base is
    ``offset`` bases into ``slice`` of the block of part ``block``; a record of a huge sample may end in a later one.
    ``md5`` and ``refget`` (GA4GH, ``SQ.`` and sha512t24u) are of the upper-cased sequence, as samtools' M5; None
    where they are not stored and no coder was at hand to compute them.
    """

    name: str
    header: str
    block: int
    slice_: int
    offset: int
    residues: int
    bases: int
    md5: str | None
    refget: str | None


@dataclass
class _Open:
    """A record whose end has not been met yet."""

    header: bytes
    block: int
    slice_: int
    offset: int
    residues: int = 0
    bases: int = 0
    digest: RecordDigest = field(default_factory=RecordDigest)


def walk_records(archive: "Archive", coders: Coders | None = None) -> Iterator[RecordEntry]:
    """The records of a complete archive in order. With ``coders``, blocks that hold short records are decoded."""
    archive.check_complete()
    walk = _Walk(archive.label)
    for block in archive.blocks:
        sides, residues = archive.sides(block), None
        sizes = sides.record_residues
        if coders is not None and len(sizes) and (block.is_reads or sizes.min() < DIGEST_MIN_RESIDUES):
            residues = archive.decode(block, coders).residues()
        yield from walk.block(block, sides, _Index.of(archive, block), residues)


def verify_archive(archive: "Archive", coders: Coders, progress: Progress | None = None) -> None:
    """Decode everything and check every checksum; FormatError names the part or record that failed.

    In an archive of some parts of a sample, records cannot be checked, for some go on elsewhere; parts are.
    """
    if not archive.manifest.complete:
        for _ in archive.decode_blocks(coders, progress):
            pass
        return
    walk = _Walk(archive.label, check=True)
    for block, decoded in zip(archive.blocks, archive.decode_all(coders, progress), strict=True):
        if block.is_reads:  # has no digests, and may have millions of records
            if block.streams["index"]:
                raise FormatError(f"{archive.label}: part {block.part}: reads with digests; the archive is damaged")
            continue
        for _ in walk.block(block, decoded.sides, _Index.of(archive, block), decoded.residues()):
            pass


@dataclass(frozen=True)
class _Index:
    """What a block says of places and digests of its records."""

    places: SlicePlaces
    digests: list[bytes]

    @classmethod
    def of(cls, archive: "Archive", block: Block) -> Self:
        with naming(block, archive.label):
            streams = split_streams(block, archive.block_data(block))
            places = SlicePlaces(slice_table(block, archive.manifest.settings, streams).lengths)
        stored = streams["index"]
        return cls(places, [stored[at : at + DIGEST_BYTES] for at in range(0, len(stored), DIGEST_BYTES)])


class _Walk:
    """Follows records through the blocks of an archive, also those that span several."""

    def __init__(self, label: str, check: bool = False):
        self._label, self._check = label, check
        self._open: _Open | None = None

    def block(self, block: Block, sides: Sides, index: _Index, residues: bytes | None) -> Iterator[RecordEntry]:
        """The records that end in ``block``. ``residues`` are its text without names and line ends, if decoded."""
        digests = iter(index.digests)
        headers, base, place = iter(sides.names()), 0, 0
        sizes = zip(sides.record_residues.tolist(), sides.record_bases.tolist(), strict=True)
        for fragment, (size, bases) in enumerate(sizes):
            if fragment or not sides.has_preamble:
                yield from self._close(block, digests, residues is not None)
                self._open = _Open(next(headers), block.part, *index.places.place(base))
            if self._open:
                self._open.residues += size
                self._open.bases += bases
                if residues is not None:
                    self._open.digest.update(residues[place : place + size])
            base, place = base + bases, place + size
        if block.ends_record:
            yield from self._close(block, digests, residues is not None)
        if next(digests, None) is not None:
            raise FormatError(f"{self._label}: part {block.part}: more digests than records; the archive is damaged")

    def _close(self, block: Block, digests: Iterator[bytes], decoded: bool) -> Iterator[RecordEntry]:
        """End the open record, if there is one, in ``block``."""
        record, self._open = self._open, None
        if record is None:
            return
        header, name = (text.decode(errors="surrogateescape") for text in (record.header, name_of(record.header)))
        stored = record.digest.stored() if decoded else None
        if record.residues >= DIGEST_MIN_RESIDUES and not block.is_reads:
            kept = next(digests, b"")
            if len(kept) != DIGEST_BYTES:
                raise FormatError(f"{self._label}: part {block.part}: the digest of {name!r} is missing; it is damaged")
            if self._check and kept != stored:
                raise FormatError(
                    f"{self._label}: part {block.part}: record {name!r} does not match its MD5 and refget digest; "
                    "the archive is damaged"
                )
            stored = kept
        md5, refget = RecordDigest.names(stored) if stored else (None, None)
        yield RecordEntry(
            name, header, record.block, record.slice_, record.offset, record.residues, record.bases, md5, refget
        )
