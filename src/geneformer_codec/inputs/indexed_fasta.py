"""Single records of a FASTA file that has a .fai: read at their places, in a bgzip file by its .gzi.

The index is not trusted: a record must be at its place, with its header before it. Callers check the digest of its
sequence.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.errors import InputError
from geneformer_codec.inputs.decompress import detect_compression, open_input

_FAI, _GZI = ".fai", ".gzi"
_READ_BYTES = 1 << 20
_HEADER_BYTES = 1 << 12
"""Before a record, in which its header is looked for."""
_BLOCK_BYTES = 1 << 16
"""Of text in a block of bgzip, at most."""


class IndexedRecord(NamedTuple):
    """A line of a .fai: the name, the number of residues, where the first is, and where the last ends."""

    name: str
    residues: int
    first: int
    end: int


@dataclass(frozen=True)
class IndexedFasta:
    """A FASTA file with its ``records``; ``blocks`` are those of bgzip, by places in the file and in the text."""

    path: Path
    records: list[IndexedRecord]
    blocks: NDArray[np.int64] | None

    @classmethod
    def open(cls, path: Path) -> Self | None:
        """The file, None without a .fai, or where it is compressed and has no .gzi.

        Raises ``InputError`` for an index that is damaged, ``OSError`` where reading fails.
        """
        if not (fai := _beside(path, _FAI)).is_file():
            return None
        with path.open("rb") as file:
            compression = detect_compression(file.read(10))
        gzi = _beside(path, _GZI)
        if compression is not None and (compression != "gz" or not gzi.is_file()):
            return None
        blocks = _read_gzi(gzi) if compression else None
        return cls(path, [_record(line, fai) for line in fai.read_bytes().splitlines()], blocks)

    def read(self, record: IndexedRecord) -> Iterator[bytes]:
        """The text of a record, without its header, in pieces with line ends.

        Raises ``InputError`` where the record is not where the index says, and as `open`.
        """
        before = min(record.first, _HEADER_BYTES)
        with self.path.open("rb") as file, closing(self._text_from(record.first - before, file)) as text:
            if not _ends_with_header(text.read(before), record.name, before == record.first):
                raise self._misfit(f"{record.name!r} does not begin where it says")
            left = record.end - record.first
            while left:
                piece = text.read(min(left, _READ_BYTES))
                if not piece:
                    raise self._misfit(f"{record.name!r} has less text than it says")
                left -= len(piece)
                yield piece

    def _text_from(self, place: int, file: BinaryIO) -> BinaryIO:
        if self.blocks is None:
            file.seek(place)
            return file
        block = int(np.searchsorted(self.blocks[:, 1], place, "right")) - 1
        skipped = place - int(self.blocks[block, 1])
        if skipped > _BLOCK_BYTES and block < len(self.blocks) - 1:
            raise InputError(f"{_beside(self.path, _GZI)} has a block of {skipped:,} bytes, more than bgzip makes")
        file.seek(int(self.blocks[block, 0]))
        text = open_input(file)
        while skipped and (piece := text.read(min(skipped, _READ_BYTES))):
            skipped -= len(piece)
        return text

    def _misfit(self, reason: str) -> InputError:
        name = _beside(self.path, _FAI) if self.blocks is None else f"{self.path}{_FAI} or {_GZI}"
        return InputError(f"{name} does not fit {self.path.name}: {reason}; make it again with 'samtools faidx'")


def name_of(header: bytes) -> str:
    """The name in a header, as it is compared with that in an index."""
    return b"".join(header.split(None, 1)[:1]).decode(errors="replace")


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _record(line: bytes, fai: Path) -> IndexedRecord:
    """A line of the index, of FASTA or FASTQ."""
    name, *fields = line.split(b"\t")
    numbers = [int(field) for field in fields if field.isdigit()]
    if len(fields) not in (4, 5) or len(numbers) != len(fields) or max(numbers) >> 60:
        raise InputError(f"{fai} has the line {line[:80]!r}, not one of an index; make it again with 'samtools faidx'")
    residues, first, bases, width = numbers[:4]
    if residues and not 0 < bases <= width:
        raise InputError(f"{fai} states lines of {bases} bases in {width} bytes; make it again with 'samtools faidx'")
    lines, rest = divmod(residues - 1, bases) if residues else (0, -1)
    return IndexedRecord(name.decode(errors="replace"), residues, first, first + lines * width + rest + 1)


def _read_gzi(path: Path) -> NDArray[np.int64]:
    """Where blocks begin in the file and in the text, [n, 2]; the first, which bgzip leaves out, as well."""
    data = path.read_bytes()
    count = int.from_bytes(data[:8], "little")
    if len(data) != 8 + 16 * count:
        raise InputError(f"{path} does not have the {count:,} blocks that it states; make it again with 'bgzip -r'")
    blocks = np.zeros((count + 1, 2), np.int64)
    blocks[1:] = np.frombuffer(data, "<i8", offset=8).reshape(-1, 2)
    if np.any(blocks[1:] <= blocks[:-1]):
        raise InputError(f"{path} has blocks that are not in order; make it again with 'bgzip -r'")
    return blocks


def _ends_with_header(text: bytes, name: str, whole: bool) -> bool:
    """Whether the last line is the header of this record; of one that begins before the text nothing is known."""
    if not text.endswith(b"\n"):
        return False
    start = text.rfind(b"\n", 0, -1) + 1
    if not start and not whole:
        return True
    line = text[start:]
    return line.startswith(b">") and name_of(line[1:]) == name
