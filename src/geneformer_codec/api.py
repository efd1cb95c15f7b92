"""What people import: compress, decompress, verify, info, split and gather, on paths.

>>> import geneformer_codec as gfz  # doctest: +SKIP
>>> gfz.compress("fish.fa.gz", "fish.gfz", model="fish.gfmodel", verify=True)["bpb_total"]  # doctest: +SKIP
>>> gfz.decompress("fish.gfz", "fish.fa", model="fish.gfmodel")  # doctest: +SKIP
"""

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .archive.coders import STRANDS, Coders
from .archive.gathering import join_parts, split_sample
from .archive.index import RecordEntry, verify_archive
from .archive.manifest import (
    DEFAULT_LANE_LENGTH,
    DEFAULT_LEVEL,
    DEFAULT_PART_BASES,
    LEVELS,
    MAX_LANE_LENGTH,
    MAX_PART_BYTES,
    WHOLE_PART,
    WITHOUT_MODEL,
    Sample,
    Settings,
)
from .archive.models import (
    CodingModel,
    Execution,
    expert_settings,
    find_model,
    make_coders,
    open_model,
    reference,
)
from .archive.plan import PLAN_NAME, Plan, read_part
from .archive.read import Archive
from .archive.write import write_archive
from .coding.coder import Progress
from .errors import FormatError, GfzError, OutputError, UsageError
from .files import COPY_BYTES, STREAM, atomic_directory, atomic_output, output_error, same_file
from .sequence.inputs import open_input
from .sequence.parts import Part
from .sequence.parts import split as split_stream

__all__ = [
    "Archive",
    "RecordEntry",
    "compress",
    "compress_part",
    "decompress",
    "gather",
    "info",
    "read_index",
    "split",
    "verify",
]

AnyPath = str | Path
AnyModel = str | Path | CodingModel

MIN_LANE_LENGTH = 64
MIN_PART_BASES = 1024
_COMPRESSED = {".gz", ".bgz", ".bz2", ".xz", ".zst"}


def compress(
    source: AnyPath,
    out: AnyPath,
    *,
    model: AnyModel | None = None,
    level: str = DEFAULT_LEVEL,
    lane_length: int | None = None,
    strands: str = "auto",
    part_bases: int = DEFAULT_PART_BASES,
    name: str | None = None,
    embed: bool = False,
    verify: bool = False,
    force: bool = False,
    execution: Execution | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Archive a FASTA file, compressed or not; ``-`` is standard input or output. Gives what ``info`` gives.

    Without a ``model``, experts learn from each part itself; ``strands`` says whether from one strand or from both,
    which is measured unless it is said. ``level`` is how hard they try. ``embed`` puts the model into the archive,
    otherwise it is needed again to decompress. ``lane_length`` is the most bases that have to be decoded to read one:
    65,536 with a model, without one those of a part. ``verify`` decodes the archive before it appears at ``out``. The
    same source, model, settings and ``name`` give the same bytes, whatever the ``execution``.
    """
    coding = open_model(model)
    settings = make_settings(coding, level, lane_length, part_bases)
    _check_distinct(source, out)
    with open_input(source) as stream:
        parts = split_stream(stream, settings.part_bases)
        sample = sample_name_of(source) if name is None else name
        return _write(
            parts, sample, out, settings, coding,
            strands=strands, embed=embed, verify=verify, force=force, execution=execution, progress=progress,
        )  # fmt: skip


def compress_part(
    part: AnyPath,
    out: AnyPath,
    *,
    model: AnyModel | None = None,
    level: str = DEFAULT_LEVEL,
    lane_length: int | None = None,
    strands: str = "auto",
    embed: bool = False,
    verify: bool = False,
    force: bool = False,
    execution: Execution | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Compress one part of a directory that ``split`` made into a part archive, to be joined by ``gather``."""
    _check_distinct(part, out)
    plan = Plan.read(Path(part).with_name(PLAN_NAME))
    text = read_part(plan, Path(part))
    coding = open_model(model)
    settings = make_settings(coding, level, lane_length, plan.part_bases)
    return _write(
        iter([text]), plan.sample, out, settings, coding,
        strands=strands, embed=embed, verify=verify, force=force, execution=execution, progress=progress,
    )  # fmt: skip


def decompress(
    source: AnyPath,
    out: AnyPath,
    *,
    model: AnyModel | None = None,
    force: bool = False,
    execution: Execution | None = None,
    progress: Progress | None = None,
) -> None:
    """Give back the exact text that was archived. Nothing is written of a part before its checksum held."""
    _check_distinct(source, out)
    with _open_archive(source) as archive:
        archive.check_complete()
        coders = _coders_of(archive, model, execution)
        with atomic_output(out, force) as file, contextlib.closing(archive.decode_all(coders, progress)) as parts:
            for part in parts:
                file.write(part.text)


def verify(
    source: AnyPath,
    *,
    model: AnyModel | None = None,
    execution: Execution | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Decode everything and check every checksum: parts, sample, and each record's MD5 and refget digest.

    A failure is a ``FormatError`` that names the part or record. Gives what ``info`` gives. An archive of some parts of
    a sample is checked as far as it goes.
    """
    with _open_archive(source) as archive:
        verify_archive(archive, _coders_of(archive, model, execution), progress)
        return archive.info()


def info(source: AnyPath) -> dict[str, Any]:
    """Sizes, settings, model and digests of an archive; nothing is decoded.

    >>> info("fish.gfz")["bpb_payload"]  # doctest: +SKIP
    0.41
    """
    with _open_archive(source) as archive:
        return archive.info()


def read_index(source: AnyPath, *, model: AnyModel | None = None) -> list[RecordEntry]:
    """Name, place, length and digests of every record.

    Digests of short records are not stored: they are None unless a ``model`` is given, or none is needed, to decode
    them.
    """
    with _open_archive(source) as archive:
        needs_none = archive.manifest.model.id in WITHOUT_MODEL or archive.manifest.model.embedded
        return list(archive.records(_coders_of(archive, model) if model or needs_none else None))


def split(
    source: AnyPath,
    out: AnyPath,
    *,
    part_bases: int = DEFAULT_PART_BASES,
    name: str | None = None,
    force: bool = False,
) -> Plan:
    """Cut a sample into a directory of parts, ``plan.json`` beside them, for jobs to compress one by one."""
    check_range("part-bases", part_bases, MIN_PART_BASES, MAX_PART_BYTES // 2)
    with open_input(source) as stream, atomic_directory(Path(out), force) as directory:
        sample_name = sample_name_of(source) if name is None else name
        return split_sample(stream, directory, sample_name, part_bases)


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
        return Archive(file, str(out)).info()


def make_settings(model: CodingModel | None, level: str, lane_length: int | None, part_bases: int) -> Settings:
    """The settings of an archive from what was asked for."""
    if level not in LEVELS:
        raise UsageError(f"there is no level {level!r}; choose one of {', '.join(LEVELS)}")
    check_range("part-bases", part_bases, MIN_PART_BASES, MAX_PART_BYTES // 2)
    if lane_length is None:
        lane_length = WHOLE_PART if model is None else DEFAULT_LANE_LENGTH
    else:
        check_range("lane-length", lane_length, MIN_LANE_LENGTH, MAX_LANE_LENGTH)
    return Settings(level, lane_length, part_bases, expert_settings(model, level, lane_length or part_bases))


def check_range(name: str, value: int, low: int, high: int) -> None:
    """Refuse a number that makes no sense."""
    if not low <= value <= high:
        raise UsageError(f"--{name} {value} is out of range; give {low:,} to {high:,}")


def sample_name_of(source: AnyPath) -> str:
    """The file's name without the suffix of its compression.

    >>> sample_name_of("data/fish.fa.gz")
    'fish.fa'
    """
    path = Path(source)
    return path.stem if path.suffix.lower() in _COMPRESSED else path.name


def _write(
    parts: Iterator[Part],
    sample: Sample | str,
    out: AnyPath,
    settings: Settings,
    model: CodingModel | None,
    *,
    strands: str,
    embed: bool,
    verify: bool,
    force: bool,
    execution: Execution | None,
    progress: Progress | None,
) -> dict[str, Any]:
    if embed and model is None:
        raise UsageError("there is no model to embed; give one with --model, or leave out --embed")
    if strands not in STRANDS:
        raise UsageError(f"there is no choice of strands {strands!r}; choose one of {', '.join(STRANDS)}")
    if strands != "auto" and model is not None:
        raise UsageError("--strands is for archives without a model, which knows it by itself; leave one of them out")
    named, data = reference(model, embed), model.data if model and embed else b""
    coders = make_coders(named.id, model, settings, execution or Execution(), strands)
    with atomic_output(out, force, seekable=True, binary=True) as file:
        write_archive(file, parts, coders, settings, named, sample, data, progress)
        file.flush()
        archive = Archive(file, str(out))
        if verify:
            _prove(archive, coders, progress)
        return archive.info()


def _coders_of(archive: Archive, model: AnyModel | None, execution: Execution | None = None) -> Coders:
    """What decodes an archive, all of it as the archive states."""
    found, manifest = find_model(archive, model), archive.manifest
    try:
        return make_coders(manifest.model.id, found, manifest.settings, execution or Execution())
    except GfzError as error:
        raise type(error)(f"{archive.label}: {error}") from error


def _prove(archive: Archive, coders: Coders, progress: Progress | None) -> None:
    """Decode what was just written; its checksums were taken from the source."""
    try:
        verify_archive(archive, coders, progress)
    except FormatError as error:
        raise OutputError(
            f"verification failed, so the archive was not kept: {error}. This points to faulty memory or disk, or to a "
            "defect of this program; try again with --device cpu, and report it if it stays"
        ) from error


@contextlib.contextmanager
def _open_archive(source: AnyPath) -> Iterator[Archive]:
    """Open an archive; from standard input by way of a temporary, as an archive is read from its end."""
    if str(source) != STREAM:
        with Archive(source) as archive:
            yield archive
        return
    with tempfile.TemporaryFile() as spool:
        try:
            shutil.copyfileobj(sys.stdin.buffer, spool, COPY_BYTES)
            spool.flush()
        except OSError as error:
            raise output_error(f"a temporary in {tempfile.gettempdir()}", error) from error
        yield Archive(spool, "standard input")


def _check_distinct(source: AnyPath, out: AnyPath) -> None:
    if same_file(source, out):
        raise UsageError(f"{source} is both the source and the output; choose another name for the output")
