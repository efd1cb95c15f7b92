"""Open what is to be archived: a text or a pair of them, and what is known of it before it is read."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .archive.sample import Mate, Sample
from .derived import derived_text, origin_of
from .errors import InputError, UsageError
from .files import STREAM
from .sequence.fastq import HEAD_BYTES, is_fastq
from .sequence.inputs import open_input, peek
from .sequence.parts import Part, Splitter
from .sequence.read_parts import QUALITY_BINS, split_reads

AnyFile = str | Path | BinaryIO
"""A path, ``-`` for standard input or output, or a binary stream."""
_LOG = logging.getLogger("geneformer_codec")
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
        return split_reads(self.streams, part_bases, self.sample.quality_bins)


@contextlib.contextmanager
def open_source(
    source: AnyFile,
    mate: AnyFile | None = None,
    name: str | None = None,
    as_is: bool = False,
    bin_qualities: str | None = None,
) -> Iterator[Source]:
    """Open a source, with ``mate`` that of the second text of a pair; the content tells what it is.

    Of BAM, CRAM, GenBank and EMBL, text is derived, unless they are to be taken ``as_is``.
    """
    if bin_qualities is not None and bin_qualities not in QUALITY_BINS:
        raise UsageError(f"there are no bins {bin_qualities!r} for qualities; choose of {', '.join(QUALITY_BINS)}")
    given = [source] if mate is None else [source, mate]
    with contextlib.ExitStack() as stack:
        heads, streams, origins = [], [], []
        for file in given:
            head, stream = peek(stack.enter_context(open_input(file)), HEAD_BYTES)
            origin = None if as_is else origin_of(head)
            if origin is not None:
                _LOG.warning("%s is %s; of it are not kept: %s", file, origin.format, origin.not_kept)
                head, stream = peek(stack.enter_context(derived_text(origin, file, stream)), HEAD_BYTES)
            heads.append(head)
            streams.append(stream)
            origins.append(origin)
        kinds = [is_fastq(head) for head in heads]
        if mate is not None and (not all(kinds) or any(origins)):
            other = given[[kind and not origin for kind, origin in zip(kinds, origins, strict=True)].index(False)]
            raise InputError(f"{other}: is not FASTQ, and only FASTQ has mates; leave --mate away, or check the files")
        if bin_qualities is not None and not kinds[0]:
            raise UsageError(f"{source}: is FASTA, which has no qualities to be binned; leave --bin-qualities away")
        second = None if mate is None else Mate(sample_name_of(mate), 0, "")
        called = sample_name_of(source) if name is None else name
        if origins[0] and name is None:
            called = Path(called).stem + (".fastq" if kinds[0] else ".fasta")
        yield Source(streams, kinds[0], Sample(called, 0, "", 0, second, origins[0], bin_qualities))


def sample_name_of(source: AnyFile) -> str:
    """The file's name without the suffix of its compression.

    >>> sample_name_of("data/fish.fa.gz")
    'fish.fa'
    """
    path = Path(source if isinstance(source, str | Path) else str(getattr(source, "name", STREAM)))
    return path.stem if path.suffix.lower() in _COMPRESSED else path.name
