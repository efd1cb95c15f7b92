"""One part as one entry of the archive: the coded slices and the side streams, end to end."""

import contextlib
import functools
import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.archive.coders import Coders
from geneformer_codec.archive.manifest import READS_STREAMS, STREAMS, Block, Settings
from geneformer_codec.archive.slices import SliceTable, cut_slices
from geneformer_codec.coding.interface import Progress
from geneformer_codec.errors import FormatError, GfzError, option
from geneformer_codec.limits import MemoryLimitError, streams_within
from geneformer_codec.sequence.fasta import Sides, Streams, parse, residues_of
from geneformer_codec.sequence.fastq import Reads, ReadsShape, put_together, take_apart
from geneformer_codec.sequence.parts import Part
from geneformer_codec.streams.names import pack_names, unpack_names


def encode_block(
    part: Part, coders: Coders, settings: Settings, progress: Progress | None = None
) -> tuple[Block, bytes]:
    """Compress a part. Gives what the manifest says of the block, and the bytes of its entry."""
    side: dict[str, bytes] = dict.fromkeys(READS_STREAMS, b"")
    if part.is_reads:
        reads = take_apart(part.texts)
        streams = parse(reads.fasta, pack=bytes)
        coded, names, side["qualities"] = _encode_reads(reads, streams, coders, settings, progress)
        side["reads"] = reads.shape.pack()
    else:
        streams = parse(part.text, pack=functools.partial(pack_names, quick=settings.level == "fast"))
        coded, names = _encode_bases(streams, coders, settings, progress), streams.names
    contents = side | {
        "slices": coded.table.pack(),
        "payload": coded.payload,
        "names": names,
        "layout": streams.layout,
        "case": streams.case,
        "exceptions": streams.exceptions,
        "index": part.digests,
    }
    block = Block(
        part=part.number,
        text_bytes=sum(map(len, part.texts)),
        sha256=_sha256(part.texts),
        records=len(streams.record_residues) - streams.has_preamble,
        residues=int(streams.record_residues.sum()),
        bases=len(streams.bases),
        slices=len(coded.table.lengths),
        strands=coded.strands,
        streams={name: len(contents[name]) for name in STREAMS},
        starts_record=part.starts_record,
        ends_record=part.ends_record,
    )
    return block, b"".join(contents[name] for name in STREAMS)


class _Coded(NamedTuple):
    """The bases of a part, coded."""

    table: SliceTable
    payload: bytes
    strands: int


def _encode_bases(streams: Streams, coders: Coders, settings: Settings, progress: Progress | None) -> _Coded:
    lengths = cut_slices(streams.record_bases, settings.slice_length)
    strands = coders.choose(streams.bases)
    slices = coders.coder(strands).encode(streams.bases, lengths, progress) if lengths else []
    if len(slices) != len(lengths):
        raise RuntimeError(f"the coder gave {len(slices)} slices for {len(lengths)}")
    return _Coded(SliceTable(lengths, [len(slice_) for slice_ in slices]), b"".join(slices), strands)


def _encode_reads(
    reads: Reads, streams: Streams, coders: Coders, settings: Settings, progress: Progress | None
) -> tuple[_Coded, bytes, bytes]:
    """Bases, names and qualities; the latter on another thread, if there may be one."""
    from geneformer_codec.streams.qualities import encode_qualities

    lengths = streams.record_residues

    def qualities() -> bytes:
        with coders.working:
            residues = residues_of(reads.fasta, int(lengths.sum()))
            return encode_qualities(reads.qualities, lengths, residues, settings.level)

    with ThreadPoolExecutor(1) if coders.threads > 1 else contextlib.nullcontext() as pool:
        beside = pool.submit(qualities) if pool else None
        with coders.working:
            coded = _encode_bases(streams, coders, settings, progress)
            names = reads.shape.pack_names(streams.names, settings.level == "fast")
        return coded, names, beside.result() if beside else qualities()


@dataclass(frozen=True)
class DecodedBlock:
    """A part that was decoded and matched its SHA-256; of a pair, ``mate`` is the second text."""

    texts: tuple[bytes, ...]
    sides: Sides
    bases: NDArray[np.uint8]

    @property
    def text(self) -> bytes:
        """The text; the first of a pair."""
        return self.texts[0]

    def residues(self) -> bytes:
        """The residues of all fragments as they stand in the text, without line ends."""
        return self.sides.render_residues(self.bases, 0, self.sides.residues)


def shape_of(block: Block, contents: dict[str, bytes]) -> ReadsShape | None:
    """From the streams of a block by name, how its reads stand in the text; None of FASTA."""
    return ReadsShape.unpack(contents["reads"], block.text_bytes) if block.is_reads else None


def sides_of(block: Block, contents: dict[str, bytes], shape: ReadsShape | None) -> Sides:
    """What the side streams say, checked against the manifest; of FASTQ, of its headers and sequence lines alone."""
    most = block.text_bytes
    unpack = unpack_names if shape is None else shape.unpack_names
    sides = Sides(contents["names"], contents["layout"], contents["case"], contents["exceptions"], most, unpack)
    records = len(sides.record_residues) - sides.has_preamble
    found = block.text_bytes if block.is_reads else sides.text_bytes, records, sides.residues, sides.bases
    if found != (block.text_bytes, block.records, block.residues, block.bases):
        raise FormatError("its side streams are not those of the manifest; the archive is damaged")
    return sides


def decode_block(
    block: Block, settings: Settings, data: bytes, coders: Coders, label: str, progress: Progress | None = None
) -> DecodedBlock:
    """Decode a part and check it against its SHA-256. ``label`` names the archive in messages."""
    with naming(block, label), coders.working:
        if (share := coders.share) is None:
            return _decode(block, settings, data, coders, progress)
        try:
            with streams_within(share.each):
                return _decode(block, settings, data, coders, progress)
        except MemoryLimitError:
            if share.most <= share.each:
                raise
        with share.alone, streams_within(share.most):
            return _decode(block, settings, data, coders, progress)


def _decode(block: Block, settings: Settings, data: bytes, coders: Coders, progress: Progress | None) -> DecodedBlock:
    contents = split_streams(block, data)
    shape = shape_of(block, contents)
    sides = sides_of(block, contents, shape)
    table = slice_table(block, settings, contents)
    bases = np.zeros(0, np.uint8)
    if block.slices:
        bases = coders.coder(block.strands).decode(table.split(contents["payload"]), table.lengths, progress)
    texts = (sides.render(bases),) if shape is None else _decode_reads(block, contents, shape, sides, bases)
    if sum(map(len, texts)) != block.text_bytes or _sha256(texts) != block.sha256:
        raise FormatError(
            "the decoded text does not match its SHA-256. Either the archive is damaged, or the computer that "
            f"wrote it erred; try another copy of the archive, and {option('device', 'cpu')}"
        )
    return DecodedBlock(texts, sides, bases)


def _decode_reads(
    block: Block, contents: dict[str, bytes], shape: ReadsShape, sides: Sides, bases: NDArray[np.uint8]
) -> tuple[bytes, ...]:
    """The FASTQ text of a block, or those of a pair."""
    residues = sides.all_residues(bases)
    qualities = decode_qualities_of(contents, sides, residues)
    return tuple(put_together(shape, sides.lay_out(residues), qualities, block.text_bytes))


def decode_qualities_of(contents: dict[str, bytes], sides: Sides, residues: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The qualities of a block's residues, as they stand in the text."""
    from geneformer_codec.streams.qualities import decode_qualities

    return decode_qualities(contents["qualities"], sides.record_residues, residues)


def _sha256(texts: Sequence[bytes]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text)
    return digest.hexdigest()


@contextlib.contextmanager
def naming(block: Block, label: str) -> Iterator[None]:
    """Have errors name the archive and the part, and make one kind of all that damage can cause."""
    try:
        yield
    except GfzError as error:
        raise error.within(f"{label}: part {block.part}") from error
    except (ArithmeticError, LookupError, ValueError) as error:
        raise FormatError(f"{label}: part {block.part} cannot be decoded ({error}); the archive is damaged") from error


def split_streams(block: Block, data: bytes) -> dict[str, bytes]:
    """The streams of a block's entry by name."""
    contents, start = {}, 0
    for name in STREAMS:
        contents[name] = data[start : start + block.streams[name]]
        start += block.streams[name]
    return contents


def slice_table(block: Block, settings: Settings, streams: dict[str, bytes]) -> SliceTable:
    """The slices of a block."""
    return SliceTable.of(block, streams["slices"], settings.slice_length or block.bases)
