"""Cut a sample's text into parts, and compute what can only be computed on the way: its digest and its records'."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

DIGEST_MIN_RESIDUES = 256
"""Records with fewer residues have no stored digest: it would be larger than they are, and is quick to compute."""
MD5_BYTES, SHA512T24U_BYTES = 16, 24
DIGEST_BYTES = MD5_BYTES + SHA512T24U_BYTES
HEADER_LIMIT = 1 << 20
"""A header line is cut only where a part would get larger than its size and this many bytes."""

_READ_BYTES = 1 << 22
_UPPER = bytes(octet - 32 if 97 <= octet <= 122 else octet for octet in range(256))
_UNPRINTABLE = bytes(octet for octet in range(256) if not 33 <= octet <= 126)
_NOT_HEADER = re.compile(rb"[^>]")


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


def clean_sequence(sequence: bytes) -> bytes:
    """What digests are computed of: bytes 33 to 126 only, upper-cased, as for M5 tags in SAM headers."""
    return sequence.translate(_UPPER, _UNPRINTABLE)


def sequence_digests(sequence: bytes) -> tuple[bytes, bytes]:
    """MD5 (16 bytes) and sha512t24u (first 24 bytes of SHA-512) of a sequence, cleaned here; line ends do no harm."""
    clean = clean_sequence(sequence)
    return hashlib.md5(clean, usedforsecurity=False).digest(), hashlib.sha512(clean).digest()[:SHA512T24U_BYTES]


def refget_id(sha512t24u: bytes) -> str:
    """The GA4GH refget identifier, ``SQ.`` and base64url of the 24 bytes."""
    return "SQ." + base64.urlsafe_b64encode(sha512t24u).decode()


def md5_hex(md5: bytes) -> str:
    """The MD5 as written in M5 tags."""
    return md5.hex()


class _OpenRecord:
    """A fragment that may go on in the next part: text before the first header, or a record with its digests so far."""

    def __init__(self, is_record: bool) -> None:
        self.is_record = is_record
        self._residues = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha512 = hashlib.sha512()

    def add(self, lines: bytes, residues: int) -> None:
        """Add sequence lines."""
        self._residues += residues
        if self.is_record:
            clean = clean_sequence(lines)
            self._md5.update(clean)
            self._sha512.update(clean)

    def digests(self) -> bytes:
        """The 40 bytes, or nothing for few residues."""
        if not self.is_record or self._residues < DIGEST_MIN_RESIDUES:
            return b""
        return self._md5.digest() + self._sha512.digest()[:SHA512T24U_BYTES]


class Splitter:
    """Iterate over the parts of a stream; then ``bytes`` and ``sha256`` (hex) tell about the whole sample.

    Parts end at the start of the record nearest to ``part_bases`` bytes, at least half as many and at most a quarter
    more; else, inside a record, at a line end; else inside a line, but never between CR and LF, nor so that a ``>``
    inside a line starts a part. What is left in the end with less than half as many bytes belongs to the part before:
    no part but an only one is that short. An empty stream is one empty part. Memory is a small multiple of
    ``part_bases`` plus HEADER_LIMIT.
    """

    def __init__(self, stream: BinaryIO, part_bases: int) -> None:
        if part_bases < 1:
            raise ValueError("part_bases must be at least 1")
        self.bytes = 0
        self._stream = stream
        self._size = part_bases
        self._sha256 = hashlib.sha256()
        self._open: _OpenRecord | None = None

    @property
    def sha256(self) -> str:
        """SHA-256 of the text so far, as hex digits."""
        return self._sha256.hexdigest()

    def __iter__(self) -> Iterator[Part]:
        # As far as a part may go, and a shortest one behind it, which decides where it ends.
        needed = self._size + self._size // 4 + shortest_part(self._size) + HEADER_LIMIT + 2
        buffer, place, finished, number = b"", 0, False, 0
        while not finished or place < len(buffer) or number == 0:
            if not finished and len(buffer) - place < needed:
                pieces = [buffer[place:]]
                buffer = b""
                finished = fill(self._stream, pieces, max(needed - len(pieces[0]), _READ_BYTES))
                buffer, place = b"".join(pieces), 0
                if not buffer and number:
                    return
            cut = _find_cut(buffer, place, self._size, finished)
            text = buffer[place:cut]
            ends_record = cut == len(buffer) or buffer[cut : cut + 1] == b">"
            starts_record = number == 0 or text.startswith(b">")
            self.bytes += len(text)
            self._sha256.update(text)
            yield Part(number, text, self._digest(text, ends_record), starts_record, ends_record)
            place, number = cut, number + 1

    def _digest(self, text: bytes, ends_record: bool) -> bytes:
        """Digests of the records that end in this text; what does not end is kept open."""
        from geneformer_codec.sequence import kernels as _kernels

        octets = np.frombuffer(text, np.uint8)
        ends = np.flatnonzero(octets == _kernels.LF)
        if text and not text.endswith(b"\n"):
            ends = np.append(ends, len(text))
        starts, stops, residues = _kernels.scan_records(octets, ends)
        last = len(starts) - 1
        digests = []
        # Only records that are long enough, and the last one, which may go on, are looked at one by one.
        wanted = np.flatnonzero(residues >= DIGEST_MIN_RESIDUES)
        if last >= 0 and residues[0] < DIGEST_MIN_RESIDUES and self._open is not None:
            wanted = np.append(0, wanted)
        if last >= 0 and (not len(wanted) or wanted[-1] != last) and not ends_record:
            wanted = np.append(wanted, last)
        has_header = text.startswith(b">")
        for fragment in wanted.tolist():
            goes_on = fragment == 0 and not has_header
            record = self._open if goes_on and self._open is not None else _OpenRecord(is_record=not goes_on)
            record.add(text[starts[fragment] : stops[fragment]], int(residues[fragment]))
            self._open = record if fragment == last and not ends_record else None
            if self._open is None:
                digests.append(record.digests())
        return b"".join(digests)


def split(stream: BinaryIO, part_bases: int) -> Iterator[Part]:
    """The parts of a stream, of about ``part_bases`` bytes of text each; see :class:`Splitter`."""
    return iter(Splitter(stream, part_bases))


def fill(stream: BinaryIO, pieces: list[bytes], count: int) -> bool:
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
