"""Cut a sample's text into parts, and compute the digests of its records, which may span several parts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from geneformer_codec.sequence.digests import PartDigests

HEADER_LIMIT = 1 << 20
"""A header line is cut only where a part would get larger than its size and this many bytes."""

_READ_BYTES = 1 << 22
_NOT_HEADER = re.compile(rb"[^>]")


class Readable(Protocol):
    """A binary stream, as far as it is read."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none at the end."""
        ...


@dataclass(frozen=True)
class Part:
    """A slice of a sample's text; all parts together are the sample.

    ``digests``: for each record that ends in this part and has at least DIGEST_MIN_RESIDUES residues, in order, MD5 (16
    bytes) and sha512t24u (24 bytes). ``starts_record`` is False when the part goes on with the last record of the part
    before, ``ends_record`` is False when its own last record goes on in the next. Of a pair of texts, ``mate`` is the
    slice of the second. ``is_reads``: it is FASTQ, which has no digests, and whose records do not go on elsewhere.
    """

    number: int
    text: bytes
    digests: bytes
    starts_record: bool
    ends_record: bool
    is_reads: bool = False
    mate: bytes | None = None

    @property
    def texts(self) -> tuple[bytes, ...]:
        """The text, or those of a pair."""
        return (self.text,) if self.mate is None else (self.text, self.mate)

    def with_digests(self) -> Part:
        """The same with its digests, of the only part of a FASTA sample."""
        return replace(self, digests=PartDigests().add(self.text, True))


def split(stream: Readable, part_bases: int, digests: bool = True) -> Iterator[Part]:
    """The parts of a stream, of about ``part_bases`` bytes of text each.

    Parts end at the start of the record nearest to ``part_bases`` bytes, at least half as many and at most a quarter
    more; else, inside a record, at a line end; else inside a line, but never between CR and LF, nor so that a ``>``
    inside a line starts a part. What is left in the end with less than half as many bytes belongs to the part before:
    no part but an only one is that short. An empty stream is one empty part. Memory is a small multiple of
    ``part_bases`` plus HEADER_LIMIT. Without ``digests``, those of parts are empty.
    """
    if part_bases < 1:
        raise ValueError("part_bases must be at least 1")
    return _split(stream, part_bases, PartDigests() if digests else None)


def _split(stream: Readable, size: int, digests: PartDigests | None) -> Iterator[Part]:
    # As far as a part may go, and a shortest one behind it, which decides where it ends.
    needed = size + size // 4 + shortest_part(size) + HEADER_LIMIT + 2
    buffer, place, finished, number = b"", 0, False, 0
    while not finished or place < len(buffer) or number == 0:
        if not finished and len(buffer) - place < needed:
            pieces = [buffer[place:]]
            buffer = b""
            finished = fill(stream, pieces, max(needed - len(pieces[0]), _READ_BYTES))
            buffer, place = b"".join(pieces), 0
            if not buffer and number:
                return
        cut = _find_cut(buffer, place, size, finished)
        text = buffer[place:cut]
        ends_record = cut == len(buffer) or buffer[cut : cut + 1] == b">"
        starts_record = number == 0 or text.startswith(b">")
        found = digests.add(text, ends_record) if digests else b""
        yield Part(number, text, found, starts_record, ends_record)
        place, number = cut, number + 1


def fill(stream: Readable, pieces: list[bytes], count: int) -> bool:
    """Append ``count`` bytes of the stream to ``pieces``; True if it ended before."""
    while count > 0:
        piece = stream.read(count)
        if not piece:
            return True
        pieces.append(piece)
        count -= len(piece)
    return False


def shortest_part(size: int) -> int:
    """The least that a part of about ``size`` bytes may have, where it is not the only one."""
    return (size + 1) // 2


def _find_cut(buffer: bytes, start: int, size: int, finished: bool) -> int:
    """Where in ``buffer`` the part that begins at ``start`` ends; ``finished``: nothing comes after the buffer."""
    end, target, least = len(buffer), start + size, start + shortest_part(size)
    latest = end - shortest_part(size)  # or what is left were too short
    if finished and latest <= target:
        return end
    cut = _find_place(buffer, start, least, target, min(target + size // 4, latest))
    return end if finished and cut > latest else cut


def _find_place(buffer: bytes, start: int, least: int, target: int, most: int) -> int:
    """The place nearest to ``target``, from ``least`` to ``most``, where a cut does the least harm; else one behind."""
    before = buffer.rfind(b"\n>", start, target + 1) + 1
    after = buffer.find(b"\n>", target, most + 1) + 1
    if before >= least and (not after or target - before <= after - target):
        return before
    if after:
        return after
    header = before or (start if buffer[start : start + 1] == b">" else -1)
    if header >= 0:
        line = buffer.find(b"\n", header, target + HEADER_LIMIT) + 1
        if not line:
            return _whole_line_end(buffer, min(target + HEADER_LIMIT, len(buffer)))
        if line >= target:
            return line
    line = buffer.rfind(b"\n", least - 1, target) + 1 or buffer.find(b"\n", target, most) + 1
    if line:
        return line
    if _whole_line_end(buffer, target) > target:
        return target + 1
    letter = _NOT_HEADER.search(buffer, target, target + HEADER_LIMIT)
    return letter.start() if letter else min(target + HEADER_LIMIT, len(buffer))


def _whole_line_end(buffer: bytes, cut: int) -> int:
    """``cut``, or one more where it would part CR from LF."""
    return cut + (buffer[cut - 1 : cut + 1] == b"\r\n")
