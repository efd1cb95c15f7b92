"""Open what is to be archived: a text or a pair of texts, with its description as far as it precedes reading."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from geneformer_codec.errors import InputError, UsageError, option
from geneformer_codec.files import STREAM
from geneformer_codec.inputs.decompress import open_input
from geneformer_codec.inputs.import_formats import derived_text, origin_of
from geneformer_codec.inputs.sample import Mate, OddMates, Sample
from geneformer_codec.sequence.fastq import HEAD_BYTES, has_short_lines, is_fastq
from geneformer_codec.sequence.parts import Part, Readable, split
from geneformer_codec.sequence.read_parts import QUALITY_BINS, MateNames, split_reads

AnyFile = str | Path | BinaryIO
"""A path, ``-`` for standard input or output, or a binary stream."""
COMPRESSED = {".gz", ".bgz", ".bz2", ".xz", ".zst"}


@dataclass(frozen=True)
class Source:
    """Opened texts, and what is known of them before they are read."""

    streams: Sequence[Readable]
    is_reads: bool
    short_reads: bool
    """Whether they are reads, and short as far as can be seen from the first ones."""
    known: Sample
    trailing: Sequence[int]
    """Of each file that ended in bytes after its compressed data, how many; filled as they are read."""
    mate_names: MateNames

    def parts(self, part_bases: int, digests: bool = True) -> Iterator[Part]:
        """The parts of the texts, of FASTA with ``digests`` or without."""
        if not self.is_reads:
            return split(self.streams[0], part_bases, digests)
        return split_reads(self.streams, part_bases, self.known.quality_bins, self.mate_names)

    def sample(self) -> Sample:
        """The sample that the texts are, but for sizes and digests, when all parts were taken."""
        names = self.mate_names
        odd = OddMates(names.pairs, names.odd, names.first, names.names) if names.odd else None
        return replace(self.known, trailing_bytes=sum(self.trailing), odd_mates=odd)


@contextlib.contextmanager
def open_source(
    source: AnyFile,
    mate: AnyFile | None = None,
    name: str | None = None,
    as_is: bool = False,
    bin_qualities: str | None = None,
) -> Iterator[Source]:
    """Open a source, with ``mate`` that of the second text of a pair; its kind is detected from the content.

    It is decompressed, and of BAM, CRAM, GenBank and EMBL text is derived, unless it is to be taken ``as_is``.
    """
    if bin_qualities is not None and bin_qualities not in QUALITY_BINS:
        raise UsageError(f"there are no bins {bin_qualities!r} for qualities; choose of {', '.join(QUALITY_BINS)}")
    given = [source] if mate is None else [source, mate]
    with contextlib.ExitStack() as stack:
        heads, streams, origins = [], [], []
        trailing: list[int] = []
        for file in given:
            stream = stack.enter_context(open_input(file, as_is=as_is, on_trailing=trailing.append))
            origin = None if as_is else origin_of(stream.peek(HEAD_BYTES)[:HEAD_BYTES])
            if origin is not None:
                stream = stack.enter_context(derived_text(origin, file, stream))
            heads.append(stream.peek(HEAD_BYTES)[:HEAD_BYTES])
            streams.append(stream)
            origins.append(origin)
        kinds = [is_fastq(head) or (mate is not None and not head) for head in heads]  # no reads at all may be a mate
        if mate is not None and (not all(kinds) or any(origins)):
            other = given[[kind and not origin for kind, origin in zip(kinds, origins, strict=True)].index(False)]
            here = f" as it is (with {option('as_is', True)}, nothing is decompressed)" if as_is else ""
            raise InputError(
                f"{other}: is not FASTQ{here}, and only FASTQ has mates; leave {option('mate')} out, or check the files"
            )
        if bin_qualities is not None and not kinds[0]:
            raise UsageError(
                f"{source}: is not FASTQ, so there are no qualities to be binned; leave {option('bin_qualities')} out"
            )
        second = None if mate is None else Mate(sample_name_of(mate, as_is), 0, "")
        called = sample_name_of(source, as_is) if name is None else name
        if origins[0] and name is None:
            called = Path(called).stem + (".fastq" if kinds[0] else ".fasta")
        known = Sample(called, 0, "", 0, second, origins[0], bin_qualities)
        yield Source(streams, kinds[0], kinds[0] and has_short_lines(heads[0]), known, trailing, MateNames())


def sample_name_of(source: AnyFile, as_is: bool = False) -> str:
    """The file's name, without the suffix of its compression unless it is taken ``as_is``.

    >>> sample_name_of("data/fish.fa.gz")
    'fish.fa'
    """
    path = Path(source if isinstance(source, str | Path) else str(getattr(source, "name", STREAM)))
    return path.stem if path.suffix.lower() in COMPRESSED and not as_is else path.name
