"""One part as one entry of the archive: the coded lanes and the side streams, end to end."""

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..coding.coder import Progress
from ..errors import FormatError, GfzError
from ..sequence.fasta import Sides, parse
from ..sequence.parts import Part
from .coders import Coders
from .lanes import LaneTable, cut_lanes
from .manifest import STREAMS, Block, Settings


def encode_block(part: Part, coders: Coders, lane_length: int, progress: Progress | None = None) -> tuple[Block, bytes]:
    """Compress a part. Gives what the manifest says of the block, and the bytes of its entry."""
    streams = parse(part.text)
    lengths = cut_lanes(streams.record_bases, lane_length)
    strands = coders.choose(streams.bases)
    lanes = coders.coder(strands).encode(streams.bases, lengths, progress) if lengths else []
    if len(lanes) != len(lengths):
        raise RuntimeError(f"the coder gave {len(lanes)} lanes for {len(lengths)}")
    contents = {
        "lanes": LaneTable(lengths, [len(lane) for lane in lanes]).pack(),
        "payload": b"".join(lanes),
        "names": streams.names,
        "layout": streams.layout,
        "case": streams.case,
        "exceptions": streams.exceptions,
        "index": part.digests,
    }
    block = Block(
        part=part.number,
        text_bytes=len(part.text),
        sha256=hashlib.sha256(part.text).hexdigest(),
        records=len(streams.record_residues) - streams.has_preamble,
        residues=int(streams.record_residues.sum()),
        bases=len(streams.bases),
        lanes=len(lanes),
        strands=strands,
        streams={name: len(contents[name]) for name in STREAMS},
        starts_record=part.starts_record,
        ends_record=part.ends_record,
    )
    return block, b"".join(contents[name] for name in STREAMS)


@dataclass(frozen=True)
class DecodedBlock:
    """A part that was decoded and matched its SHA-256."""

    text: bytes
    sides: Sides
    bases: NDArray[np.uint8]

    def residues(self) -> bytes:
        """The residues of all fragments as they stand in the text, without line ends."""
        return self.sides.render_residues(self.bases, 0, self.sides.residues)


def read_sides(block: Block, data: bytes, label: str) -> Sides:
    """What the side streams of a block's entry say, checked against the manifest."""
    with naming(block, label):
        return sides_of(block, split_streams(block, data))


def sides_of(block: Block, contents: dict[str, bytes]) -> Sides:
    """The same from the streams of a block by name."""
    sides = Sides(contents["names"], contents["layout"], contents["case"], contents["exceptions"], block.text_bytes)
    records = len(sides.record_residues) - sides.has_preamble
    found = sides.text_bytes, records, sides.residues, sides.bases
    if found != (block.text_bytes, block.records, block.residues, block.bases):
        raise FormatError("its side streams are not those of the manifest; the archive is damaged")
    return sides


def decode_block(
    block: Block, settings: Settings, data: bytes, coders: Coders, label: str, progress: Progress | None = None
) -> DecodedBlock:
    """Decode a part and check it against its SHA-256. ``label`` names the archive in messages."""
    sides = read_sides(block, data, label)
    with naming(block, label):
        contents = split_streams(block, data)
        table = lane_table(block, settings, contents)
        bases = np.zeros(0, np.uint8)
        if block.lanes:
            bases = coders.coder(block.strands).decode(table.split(contents["payload"]), table.lengths, progress)
        text = sides.render(bases)
        if len(text) != block.text_bytes or hashlib.sha256(text).hexdigest() != block.sha256:
            raise FormatError(
                "the decoded text does not match its SHA-256. Either the archive is damaged, or the computer that "
                "wrote it erred; try another copy of the archive, and --device cpu"
            )
    return DecodedBlock(text, sides, bases)


@contextlib.contextmanager
def naming(block: Block, label: str) -> Iterator[None]:
    """Have errors name the archive and the part, and make one kind of all that damage can cause."""
    try:
        yield
    except GfzError as error:
        raise type(error)(f"{label}: part {block.part}: {error}") from error
    except (ArithmeticError, LookupError, ValueError) as error:
        raise FormatError(f"{label}: part {block.part} cannot be decoded ({error}); the archive is damaged") from error


def split_streams(block: Block, data: bytes) -> dict[str, bytes]:
    """The streams of a block's entry by name."""
    contents, start = {}, 0
    for name in STREAMS:
        contents[name] = data[start : start + block.streams[name]]
        start += block.streams[name]
    return contents


def lane_table(block: Block, settings: Settings, streams: dict[str, bytes]) -> LaneTable:
    """The lanes of a block."""
    return LaneTable.of(block, streams["lanes"], settings.lane_length or block.bases)
