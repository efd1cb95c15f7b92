"""What people import: compress, decompress, verify, info, split, gather and merge, on paths and streams.

>>> import geneformer_codec as gfz  # doctest: +SKIP
>>> gfz.compress("fish.fa.gz", "fish.gfz", model="fish.gfmodel", verify=True)["bpb_total"]  # doctest: +SKIP
>>> gfz.decompress("fish.gfz", "fish.fa", model="fish.gfmodel")  # doctest: +SKIP
"""

import contextlib
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypedDict, Unpack, cast

from geneformer_codec.archive.coders import STRANDS, Coders
from geneformer_codec.archive.info import archive_info
from geneformer_codec.archive.manifest import WITHOUT_MODEL
from geneformer_codec.archive.memory import needed_bytes
from geneformer_codec.archive.models import (
    CodingModel,
    Execution,
    coders_of,
    expert_settings,
    make_coders,
    open_model,
    reference,
)
from geneformer_codec.archive.notices import sample_notices
from geneformer_codec.archive.plan import PLAN_NAME, Plan, read_part
from geneformer_codec.archive.read import Archive
from geneformer_codec.archive.record_index import RecordEntry, RecordIndex, verify_archive
from geneformer_codec.archive.settings import (
    DEFAULT_LEVEL,
    DEFAULT_PART_BASES,
    DEFAULT_SLICE_LENGTH,
    LEVELS,
    MAX_PART_BYTES,
    MAX_SLICE_LENGTH,
    WHOLE_PART,
    Settings,
)
from geneformer_codec.archive.split_join import join_archives, join_parts, split_sample
from geneformer_codec.archive.write import write_archive
from geneformer_codec.coding.interface import Progress
from geneformer_codec.errors import FormatError, OutputError, UsageError, option
from geneformer_codec.files import COPY_BYTES, STREAM, atomic_directory, atomic_output, same_file
from geneformer_codec.inputs.sample import Sample
from geneformer_codec.inputs.sources import AnyFile, open_source
from geneformer_codec.limits import UNLIMITED, MemoryLimitError, check_need, default_limit
from geneformer_codec.sequence.parts import Part

__all__ = [
    "Archive",
    "RecordEntry",
    "cat",
    "compress",
    "compress_parts",
    "decompress",
    "gather",
    "info",
    "merge",
    "read_index",
    "split",
    "verify",
]

AnyPath = str | Path
AnyModel = str | Path | CodingModel

_LOG = logging.getLogger("geneformer_codec")

MIN_SLICE_LENGTH = 64
MIN_PART_BASES = 1024
MAX_PART_BASES = MAX_PART_BYTES // 3
"""Parts are up to half as large again, and those of reads have as many qualities."""


class Coding(TypedDict, total=False):
    """What `compress` and `compress_parts` may be told of how to compress."""

    model: AnyModel | None
    """Without one, experts learn from each part itself."""
    level: str
    """How hard they try: ``fast``, ``balanced`` (if not said) or ``max``."""
    slice_length: int | None
    """The most bases that have to be decoded to read one; if not said, 65,536 with a model, else those of a part."""
    strands: str
    """Without a model: learn from ``one`` strand or from ``both``; if not said, ``auto``: it is measured."""
    embed: bool
    """Put the model into the archive; otherwise it is needed again to decompress."""
    verify: bool
    """Decode the archive before it appears."""
    force: bool
    """Replace what is at ``out``."""
    execution: Execution | None
    """On what to compute; no byte of the archive depends on it."""
    progress: Progress | None
    """Called with numbers of bases."""


def compress(
    source: AnyFile,
    out: AnyFile,
    *,
    mate: AnyFile | None = None,
    part_bases: int = DEFAULT_PART_BASES,
    name: str | None = None,
    as_is: bool = False,
    bin_qualities: str | None = None,
    **coding: Unpack[Coding],
) -> dict[str, Any]:
    """Archive a FASTA or FASTQ file, compressed or not, or a pair of FASTQ files. Gives what ``info`` gives.

    Of BAM and CRAM the reads are archived as FASTQ, of GenBank and EMBL the records as FASTA. With ``as_is`` the bytes
    of the file are archived as they are, whatever it is: nothing is decompressed, and what is no text with sequence is
    not predicted. What is not kept, and what is irregular in the text, is logged, and in ``notices`` of ``info``.
    ``bin_qualities`` (``illumina8``, ``illumina4``) rounds the qualities of reads first: the archive's text is then the
    binned one, and ``info`` says so.
    ``mate`` is the second file of a pair, ``name`` that of the sample, ``part_bases`` how large its parts are to be;
    `Coding` has the other options. The same source, model, settings and ``name`` give the same bytes, whatever the
    ``execution``.
    """
    _check_known(coding, Coding)
    model = open_model(coding.get("model"))
    _settings(model, coding, part_bases, False)  # what is wrong with them is said before anything is read
    for given in (source, mate):
        _check_distinct(given, out)
    with open_source(source, mate, name, as_is, bin_qualities) as opened:
        settings = _settings(model, coding, part_bases, opened.is_reads)
        info = _write(opened.parts(part_bases), opened.sample, out, settings, model, coding)
    _warn(source, info["notices"])
    return info


def compress_parts(parts: Sequence[AnyPath], out: AnyFile, **coding: Unpack[Coding]) -> dict[str, Any]:
    """Compress one part or more of a directory that ``split`` made into a part archive, to be joined by ``gather``."""
    _check_known(coding, Coding)
    paths = sorted(map(Path, parts))
    if not paths or len({path.parent for path in paths}) > 1 or len(set(paths)) < len(paths):
        raise UsageError("the parts of a part archive are of one directory, each given once; name at least one")
    for path in paths:
        _check_distinct(path, out)
    plan = Plan.read(paths[0].with_name(PLAN_NAME))
    model = open_model(coding.get("model"))
    settings = _settings(model, coding, plan.part_bases, plan.is_reads)
    return _write((read_part(plan, path) for path in paths), lambda: plan.sample, out, settings, model, coding)


class Decoding(TypedDict, total=False):
    """What `decompress` and `cat` may be told of how to decompress."""

    model: AnyModel | None
    """Needed as for `compress`, unless the archive holds it."""
    force: bool
    """Replace what is at ``out``."""
    execution: Execution | None
    """On what to compute."""
    progress: Progress | None
    """Called with numbers of bases."""
    max_memory: int | None
    """Bytes of memory that reading may take; if not said, what is in proportion to the size of the archive."""


def decompress(source: AnyFile, out: AnyFile, *, mate: AnyFile | None = None, **decoding: Unpack[Decoding]) -> None:
    """Give back the exact text that was archived, and to ``mate`` the second of a pair.

    Nothing is written of a part before its checksum held.
    """
    if isinstance(out, str | Path) and isinstance(mate, str | Path) and (str(out) == str(mate) or same_file(out, mate)):
        raise UsageError(f"both texts of the pair would go to {out}; choose another name for one of them")
    with open_archive(source, decoding.get("max_memory")) as archive:
        paired = archive.manifest.sample.mate is not None
        if paired and mate is None:
            raise UsageError(f"{archive.label}: holds a pair; say with {option('mate')} where the second text is to go")
        if mate is not None and not paired:
            raise UsageError(f"{archive.label}: holds one text and no mates; leave {option('mate')} out")
        _write_texts(archive, [out, mate] if paired else [out], decoding)


def cat(source: AnyFile, out: AnyFile, *, mate: bool = False, **decoding: Unpack[Decoding]) -> None:
    """Write one text to ``out``: of a pair the first, or with ``mate`` the second."""
    with open_archive(source, decoding.get("max_memory")) as archive:
        if mate and archive.manifest.sample.mate is None:
            raise UsageError(f"{archive.label}: holds one text and no mates; leave {option('mate')} out")
        _write_texts(archive, [None, out] if mate else [out], decoding)


def _write_texts(archive: Archive, outs: Sequence[AnyFile | None], decoding: Decoding) -> None:
    """Write the texts of which there are ``outs``."""
    _check_known(decoding, Decoding)
    for out in outs:
        _check_distinct(archive.label, out)
    archive.check_complete()
    coders, force = coders_of(archive, decoding.get("model"), decoding.get("execution")), decoding.get("force", False)
    with contextlib.ExitStack() as stack:
        files = [None if out is None else stack.enter_context(_output(out, force)) for out in outs]
        parts = archive.decode_all(coders, decoding.get("progress"))
        for part in stack.enter_context(contextlib.closing(parts)):
            for text, file in zip(part.texts, files, strict=False):
                if file is not None:
                    file.write(text)


def verify(
    source: AnyFile,
    *,
    model: AnyModel | None = None,
    execution: Execution | None = None,
    progress: Progress | None = None,
    max_memory: int | None = None,
) -> dict[str, Any]:
    """Decode everything and check every checksum: parts, sample, and each record's MD5 and refget digest.

    A failure is a ``FormatError`` that names the part or record. Gives what ``info`` gives. An archive of some parts of
    a sample is checked as far as it goes.
    """
    with open_archive(source, max_memory) as archive:
        verify_archive(archive, coders_of(archive, model, execution), progress)
        return archive_info(archive)


def info(source: AnyFile, *, max_memory: int | None = None) -> dict[str, Any]:
    """Sizes, settings, model and digests of an archive; nothing is decoded.

    >>> info("fish.gfz")["bpb_payload"]  # doctest: +SKIP
    0.41
    """
    with open_archive(source, max_memory) as archive:
        return archive_info(archive)


def read_index(source: AnyFile, *, model: AnyModel | None = None, max_memory: int | None = None) -> list[RecordEntry]:
    """Name, place, length and digests of every record.

    Digests of short records are not stored: they are None unless a ``model`` is given, or none is needed, to decode
    them.
    """
    with open_archive(source, max_memory) as archive:
        needs_none = archive.manifest.model.id in WITHOUT_MODEL or archive.manifest.model.embedded
        coders = coders_of(archive, model) if model or needs_none else None
        return list(RecordIndex.read(archive).entries(archive, coders))


def split(
    source: AnyPath,
    out: AnyPath,
    *,
    mate: AnyPath | None = None,
    part_bases: int = DEFAULT_PART_BASES,
    name: str | None = None,
    as_is: bool = False,
    bin_qualities: str | None = None,
    force: bool = False,
) -> Plan:
    """Cut a sample into a directory of parts, ``plan.json`` beside them, for jobs to compress one by one."""
    check_range("part_bases", part_bases, MIN_PART_BASES, MAX_PART_BASES)
    with (
        open_source(source, mate, name, as_is, bin_qualities) as opened,
        atomic_directory(Path(out), force) as directory,
    ):
        plan = split_sample(opened.parts(part_bases), opened.sample, directory, part_bases)
    _warn(source, sample_notices(plan.sample))
    return plan


def gather(
    plan: AnyPath,
    parts: Sequence[AnyPath],
    out: AnyPath,
    *,
    embed_model: AnyModel | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Join part archives into the archive of the sample, without compressing again.

    The bytes are those that ``compress`` gives for the whole sample with the same settings, model and name.
    """
    for part in parts:
        _check_distinct(part, out)
    wanted = Plan.read(Path(plan))
    model = open_model(embed_model)
    with atomic_output(out, force, seekable=True, binary=True) as file:
        join_parts(wanted, [Path(part) for part in parts], file, model)
        file.flush()
        info = archive_info(Archive(file, str(out), UNLIMITED))
    _warn(out, info["notices"])
    return info


def merge(
    sources: Sequence[AnyPath],
    out: AnyFile,
    *,
    model: AnyModel | None = None,
    name: str | None = None,
    force: bool = False,
    execution: Execution | None = None,
    progress: Progress | None = None,
    max_memory: int | None = None,
) -> dict[str, Any]:
    """Join archives into one of all their texts, one after the other, without compressing again.

    All are decoded, for the checksum of the whole needs the text. They must have been made alike. The model travels in
    the new archive if it does so in the first. ``name`` is that of the new sample, if not said that of the first.
    """
    for source in sources:
        _check_distinct(source, out)
    with _output(out, force, seekable=True, binary=True) as file:
        join_archives(sources, file, lambda archive: coders_of(archive, model, execution), name, progress, max_memory)
        file.flush()
        info = archive_info(Archive(file, str(out), UNLIMITED))
    _warn(out, info["notices"])
    return info


def make_settings(
    model: CodingModel | None, level: str, slice_length: int | None, part_bases: int, is_reads: bool = False
) -> Settings:
    """The settings of an archive, of FASTQ or not, from what was asked for."""
    if level not in LEVELS:
        raise UsageError(f"there is no level {level!r}; choose one of {', '.join(LEVELS)}")
    check_range("part_bases", part_bases, MIN_PART_BASES, MAX_PART_BASES)
    if slice_length is None:
        slice_length = WHOLE_PART if model is None else DEFAULT_SLICE_LENGTH
    else:
        check_range("slice_length", slice_length, MIN_SLICE_LENGTH, MAX_SLICE_LENGTH)
    return Settings(
        level, slice_length, part_bases, expert_settings(model, level, slice_length or part_bases, is_reads)
    )


def _settings(model: CodingModel | None, coding: Coding, part_bases: int, is_reads: bool) -> Settings:
    return make_settings(model, coding.get("level", DEFAULT_LEVEL), coding.get("slice_length"), part_bases, is_reads)


def _check_known(given: Coding | Decoding, options: type[Coding | Decoding]) -> None:
    """Python itself lets any names through."""
    for name in given.keys() - options.__annotations__.keys():
        there_are = ", ".join(options.__annotations__)
        raise TypeError(f"there is no option {name!r}; there are {there_are} (threads: execution=Execution(threads=2))")


def check_range(name: str, value: int, low: int, high: int) -> None:
    """Refuse a number that makes no sense."""
    if not low <= value <= high:
        raise UsageError(f"{option(name, value)} is out of range; give {low:,} to {high:,}")


def _write(
    parts: Iterator[Part],
    sample: Callable[[], Sample],
    out: AnyFile,
    settings: Settings,
    model: CodingModel | None,
    coding: Coding,
) -> dict[str, Any]:
    embed, strands, progress = coding.get("embed", False), coding.get("strands", "auto"), coding.get("progress")
    if embed and model is None:
        raise UsageError(f"there is no model to embed; give one with {option('model')}, or leave {option('embed')} out")
    if strands not in STRANDS:
        raise UsageError(f"there is no choice of strands {strands!r}; choose one of {', '.join(STRANDS)}")
    if strands != "auto" and model is not None:
        raise UsageError(
            f"{option('strands')} is for archives without a model, which knows it by itself; leave one of them out"
        )
    named, data = reference(model, embed), model.data if model and embed else b""
    coders = make_coders(named.id, model, settings, coding.get("execution") or Execution(), strands)
    with _output(out, coding.get("force", False), seekable=True, binary=True) as file:
        write_archive(file, parts, coders, settings, named, sample, data, progress)
        file.flush()
        archive = Archive(file, str(out), UNLIMITED)
        if coding.get("verify"):
            _prove(archive, coders, progress)
        info = archive_info(archive)
        stored = info["total_bytes"] + (0 if embed else info["model_file_bytes"])
        try:
            check_need(str(out), needed_bytes(archive.manifest), default_limit(stored))
            archive.check_text()
        except MemoryLimitError as error:
            _LOG.warning("to read this archive will need permission. %s", error)
        return info


def _warn(place: AnyFile, notices: Iterable[str]) -> None:
    """Log what there is to know of what was archived, by its ``place``."""
    called = str(place) if isinstance(place, str | Path) else str(getattr(place, "name", "the stream"))
    for notice in notices:
        _LOG.warning("%s: %s", "standard input" if called == STREAM else called, notice)


def _prove(archive: Archive, coders: Coders, progress: Progress | None) -> None:
    """Decode what was just written; its checksums were taken from the source."""
    try:
        verify_archive(archive, coders, progress)
    except FormatError as error:
        raise OutputError(
            f"verification failed, so the archive was not kept: {error}. This points to faulty memory or disk, or to a "
            f"defect of this program; try again with {option('device', 'cpu')}, and report it if it stays"
        ) from error


@contextlib.contextmanager
def open_archive(source: AnyFile, max_memory: int | None = None) -> Iterator[Archive]:
    """Open an archive, and close it at the end."""
    with Archive(source, max_memory=max_memory) as archive:
        yield archive


@contextlib.contextmanager
def _output(out: AnyFile, force: bool, *, seekable: bool = False, binary: bool = False) -> Iterator[BinaryIO]:
    """As `atomic_output`; a stream is written to as it is, or for ``seekable`` from a temporary at the end."""
    if isinstance(out, str | Path):
        with atomic_output(out, force, seekable=seekable, binary=binary) as file:
            yield file
    elif not seekable:
        yield out
        out.flush()
    else:
        with tempfile.TemporaryFile() as spool:
            yield cast(BinaryIO, spool)
            spool.seek(0)
            shutil.copyfileobj(spool, out, COPY_BYTES)
            out.flush()


def _check_distinct(source: AnyFile | None, out: AnyFile | None) -> None:
    if isinstance(source, str | Path) and isinstance(out, str | Path) and same_file(source, out):
        raise UsageError(f"{source} is both the source and the output; choose another name for the output")
