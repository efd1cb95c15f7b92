"""One part as one entry of the archive: the coded lanes and the side streams, end to end."""

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..coding.coder import BaseCoder, Progress
from ..errors import FormatError, GfzError
from ..sequence.fasta import Sides, parse
from ..sequence.parts import Part
from .manifest import STREAMS, Block


def lane_runs(bases: int, lane_length: int) -> tuple[tuple[int, int], ...]:
    """How ``bases`` are cut into lanes: runs of (bases in a lane, number of such lanes); the last lane is what is left.

    >>> lane_runs(1000, 300)
    ((300, 3), (100, 1))
    """
    whole, rest = divmod(bases, lane_length)
    return tuple(run for run in ((lane_length, whole), (rest, 1 if rest else 0)) if run[1])


def encode_block(
    part: Part, coder: BaseCoder, lane_length: int, progress: Progress | None = None
) -> tuple[Block, bytes]:
    """Compress a part. Gives what the manifest says of the block, and the bytes of its entry."""
    streams = parse(part.text)
    bases = len(streams.bases)
    runs = lane_runs(bases, lane_length)
    lengths = [length for length, count in runs for _ in range(count)]
    lanes = coder.encode(streams.bases, lengths, progress) if lengths else []
    if len(lanes) != len(lengths):
        raise RuntimeError(f"the coder gave {len(lanes)} lanes for {len(lengths)}")
    contents = {
        "lanes": pack_sizes([len(lane) for lane in lanes]),
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
        bases=bases,
        lanes=runs,
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
        contents = split_streams(block, data)
        sides = Sides(contents["names"], contents["layout"], contents["case"], contents["exceptions"], block.text_bytes)
        records = len(sides.record_residues) - sides.has_preamble
        found = sides.text_bytes, records, sides.residues, sides.bases
        if found != (block.text_bytes, block.records, block.residues, block.bases):
            raise FormatError("its side streams are not those of the manifest; the archive is damaged")
        return sides


def decode_block(
    block: Block, data: bytes, coder: BaseCoder, label: str, progress: Progress | None = None
) -> DecodedBlock:
    """Decode a part and check it against its SHA-256. ``label`` names the archive in messages."""
    sides = read_sides(block, data, label)
    with naming(block, label):
        contents = split_streams(block, data)
        lanes = split_lanes(block, contents["lanes"], contents["payload"])
        bases = coder.decode(lanes, block.lane_lengths(), progress) if lanes else np.zeros(0, np.uint8)
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


def split_lanes(block: Block, table: bytes, payload: bytes) -> list[bytes]:
    """The bytes of each lane of a block, given its lane table."""
    lanes, start = [], 0
    for size in unpack_sizes(table, sum(count for _, count in block.lanes)):
        lanes.append(payload[start : start + size])
        start += size
    if start != len(payload):
        raise FormatError(f"its lanes sum to {start} bytes, its payload has {len(payload)}; the archive is damaged")
    return lanes


def pack_sizes(sizes: Sequence[int]) -> bytes:
    """Sizes as varints: seven bits a byte, low bits first, the top bit set in all but a number's last byte."""
    packed = bytearray()
    for size in sizes:
        while size > 0x7F:
            packed.append(size & 0x7F | 0x80)
            size >>= 7
        packed.append(size)
    return bytes(packed)


def unpack_sizes(packed: bytes, count: int) -> list[int]:
    """The inverse of ``pack_sizes`` for ``count`` sizes, each below 2**35."""
    sizes, value, shift = [], 0, 0
    for byte in packed:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            sizes.append(value)
            value = shift = 0
        elif shift > 28:
            raise FormatError("a number in the lane table has no end; the archive is damaged")
    if shift or len(sizes) != count:
        raise FormatError(f"its lane table holds {len(sizes)} sizes for {count} lanes; the archive is damaged")
    return sizes
