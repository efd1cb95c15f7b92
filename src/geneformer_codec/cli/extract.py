"""The command ``gfz fetch``: regions of an archive as FASTA, as ``samtools faidx`` writes them."""

import contextlib
import io
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, TextIO

from geneformer_codec.archive.models import Execution
from geneformer_codec.archive.read import Archive
from geneformer_codec.archive.regions import Region, read_bed, read_regions
from geneformer_codec.coding.interface import Progress
from geneformer_codec.errors import InputError, UsageError
from geneformer_codec.files import STREAM, input_error, standard_input
from geneformer_codec.reader import Reader, Record

_LOG = logging.getLogger("geneformer_codec")
_TITLE_ENDS = {"rc": ("", "/rc"), "sign": ("(+)", "(-)"), "no": ("", "")}


def fetch(
    archive: Archive,
    regions: Sequence[str],
    out: BinaryIO,
    *,
    region_file: str | None = None,
    bed: str | None = None,
    reverse: bool = False,
    mark_strand: str = "rc",
    width: int | None = None,
    skip_unknown: bool = False,
    qualities: bool = False,
    mate: bool = False,
    model: str | None = None,
    execution: Execution | None = None,
    progress: Progress | None = None,
) -> None:
    """Write the regions, those of the list and those of the BED file, to ``out`` in lines of ``width`` residues.

    0 is all in one line; by default lines are as wide as the record's in the text. With ``qualities``, as FASTQ;
    with ``mate``, the second of two records of one name.

    A region of an unknown record is an ``InputError`` before anything is written, or with ``skip_unknown`` a warning.
    One that goes beyond its record is cut off, with a warning.
    """
    if qualities and not any(block.is_reads for block in archive.blocks):
        raise UsageError(f"{archive.label}: holds FASTA, which has no qualities; leave --fastq out")
    reader = Reader(archive, model, execution, progress)
    wanted = [reader.region(text) for text in regions]
    if region_file is not None:
        with _lines(region_file) as lines:
            wanted += [reader.region(text) for text in read_regions(lines)]
    if bed is not None:
        with _lines(bed) as lines:
            wanted += read_bed(lines, bed)
    if not wanted:
        raise UsageError("no regions given; name some, or a file with --region-file or --bed")
    oriented = [replace(region, reverse=region.reverse != reverse) for region in wanted]
    write_regions(
        reader, oriented, out, mark_strand=mark_strand, width=width, skip_unknown=skip_unknown, qualities=qualities,
        mate=mate,
    )  # fmt: skip


def write_regions(
    reader: Reader,
    regions: Sequence[Region],
    out: BinaryIO,
    *,
    mark_strand: str = "rc",
    width: int | None = None,
    skip_unknown: bool = False,
    qualities: bool = False,
    mate: bool = False,
) -> None:
    """Write regions to ``out`` as FASTA, or with ``qualities`` as FASTQ; see `fetch`."""
    found = list(_found(reader, regions, skip_unknown, int(mate)))
    marks = _TITLE_ENDS[mark_strand]
    for (record, region), pieces in zip(found, reader.pieces(found), strict=True):
        title = (region.title + marks[region.reverse]).encode(errors="surrogateescape")
        out.write((b"@" if qualities else b">") + title + b"\n")
        columns = record.line_width if width is None else width
        if not qualities:
            write_lines(out, pieces, columns)
            continue
        octets = record.qualities(region.start, region.stop)
        for before, text in ((b"", b"".join(pieces)), (b"+\n", octets[::-1] if region.reverse else octets)):
            out.write(before if text else before + b"\n")  # a read of no residues has two empty lines
            write_lines(out, iter([text]), columns)


def size_of(reader: Reader, region: Region) -> int:
    """How many bytes `write_regions` writes of a region that is not reverse."""
    record = reader[region.name]
    residues = len(range(len(record))[region.start : region.stop])
    lines = -(-residues // (record.line_width or residues)) if residues else 0
    return len(region.title.encode(errors="surrogateescape")) + 2 + residues + lines


def write_lines(out: BinaryIO, pieces: Iterator[bytes], width: int) -> None:
    """Write residues that come in pieces in lines of ``width``, or in one line for 0; no residues are no line."""
    held, written = b"", False
    for piece in pieces:
        if not width:
            out.write(piece)
            written = written or bool(piece)
            continue
        held += piece
        whole = len(held) - len(held) % width
        out.write(b"".join(held[at : at + width] + b"\n" for at in range(0, whole, width)))
        held = held[whole:]
    if held or written:
        out.write(held + b"\n")


def _found(reader: Reader, wanted: Sequence[Region], skip_unknown: bool, which: int) -> Iterator[tuple[Record, Region]]:
    for region in wanted:
        if (record := reader.find(region.name, which)) is None:
            called = "two records are" if which else "record is"
            message = f"{reader.archive.label}: no {called} called {region.name!r}; 'gfz ls' lists them"
            if region.name.split(None, 1)[1:]:
                message += ". Names end at the first blank"
            if not skip_unknown:
                raise InputError(message)
            _LOG.warning("%s", message)
            continue
        if region.start >= len(record) > 0 or region.start > 0 == len(record):
            _LOG.warning("region %s begins beyond its record of %d residues, and is empty", region.title, len(record))
        elif region.stop is not None and region.stop > len(record):
            _LOG.warning("region %s goes beyond its record of %d residues, and is cut off", region.title, len(record))
        yield record, region


@contextlib.contextmanager
def _lines(path: str) -> Iterator[TextIO]:
    """The lines of a file or of standard input; names need not be text."""
    if path == STREAM:
        yield io.TextIOWrapper(standard_input(), encoding="utf-8", errors="surrogateescape")
        return
    try:
        with Path(path).open(encoding="utf-8", errors="surrogateescape") as file:
            yield file
    except OSError as error:
        raise input_error(path, error) from error
