"""Open what is to be archived: a text or a pair of them, and what is known of it before it is read."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .archive.sample import Mate, Sample
from .errors import InputError
from .files import STREAM
from .sequence.fastq import HEAD_BYTES, is_fastq
from .sequence.inputs import open_input, peek
from .sequence.parts import Part, Splitter

AnyFile = str | Path | BinaryIO
"""A path, ``-`` for standard input or output, or a binary stream."""
_COMPRESSED = {".gz", ".bgz", ".bz2", ".xz", ".zst"}


@dataclass(frozen=True)
class Source:
    """Opened texts, and the sample that they are, of which sizes and digests are not known yet."""

    streams: Sequence[BinaryIO]
    is_reads: bool
    sample: Sample

    def parts(self, part_bases: int) -> Iterator[Part]:
        """The parts of the texts."""
        if not self.is_reads:
            return iter(Splitter(self.streams[0], part_bases))
        from .sequence.read_parts import split_reads

        return split_reads(self.streams, part_bases)


@contextlib.contextmanager
def open_source(source: AnyFile, mate: AnyFile | None = None, name: str | None = None) -> Iterator[Source]:
    """Open a source, with ``mate`` that of the second text of a pair; the content tells what it is."""
    given = [source] if mate is None else [source, mate]
    with contextlib.ExitStack() as stack:
        heads, streams = zip(*(peek(stack.enter_context(open_input(file)), HEAD_BYTES) for file in given), strict=True)
        kinds = [is_fastq(head) for head in heads]
        if mate is not None and not all(kinds):
            other = given[kinds.index(False)]
            raise InputError(f"{other}: is not FASTQ, and only FASTQ has mates; leave --mate away, or check the files")
        second = None if mate is None else Mate(sample_name_of(mate), 0, "")
        sample = Sample(sample_name_of(source) if name is None else name, 0, "", 0, second)
        yield Source(streams, kinds[0], sample)


def sample_name_of(source: AnyFile) -> str:
    """The file's name without the suffix of its compression.

    >>> sample_name_of("data/fish.fa.gz")
    'fish.fa'
    """
    path = Path(source if isinstance(source, str | Path) else str(getattr(source, "name", STREAM)))
    return path.stem if path.suffix.lower() in _COMPRESSED else path.name
