"""The library's functions on archives: compress, decompress, verify, info, split, gather, merge.

Sources and outputs are paths, ``-`` or binary streams. Parameters that recur:

- ``model``: a model or its file. Without one, experts learn from each part itself. Reading needs the model that the
  archive was made with, unless it is embedded or in a directory of ``GFZ_MODEL_PATH``.
- ``force``: replace an output that exists. Outputs appear complete, or not at all.
- ``execution``: threads and device. No byte of an archive depends on it.
- ``progress``: called with numbers of bases; its method ``phase``, if it has one, with name and bases of each phase.
- ``max_memory``: bytes of memory that reading may take; by default in proportion to the size of the archive.

>>> import geneformer_codec as gfz  # doctest: +SKIP
>>> gfz.compress("fish.fa.gz", "fish.gfz", model="fish.gfmodel", verify=True).bpb_total  # doctest: +SKIP
>>> gfz.decompress("fish.gfz", "fish.fa", model="fish.gfmodel")  # doctest: +SKIP
"""

import contextlib
import itertools
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, cast

from geneformer_codec.archive.coders import STRANDS, Coders, CodingModel
from geneformer_codec.archive.info import ArchiveInfo, archive_info
from geneformer_codec.archive.manifest import EXPERTS
from geneformer_codec.archive.memory import needed_bytes
from geneformer_codec.archive.models import (
    Execution,
    coders_of,
    expert_batches,
    make_coders,
    open_model,
    reference,
    without_model,
)
from geneformer_codec.archive.notices import sample_notices
from geneformer_codec.archive.plan import PANEL_NAME, PLAN_NAME, Plan, read_panel, read_part
from geneformer_codec.archive.read import Archive
from geneformer_codec.archive.record_index import RecordEntry, RecordIndex, verify_archive
from geneformer_codec.archive.settings import (
    ACCESS,
    AUTO,
    COARSE,
    DEFAULT_LEVEL,
    DEFAULT_PART_BASES,
    DIGESTS,
    FINE,
    FINE_SLICE_LENGTH,
    LEVELS,
    MAX_PART_BYTES,
    MAX_SLICE_LENGTH,
    WHOLE_PART,
    Settings,
)
from geneformer_codec.archive.split_join import join_archives, join_parts, split_sample
from geneformer_codec.archive.write import write_archive
from geneformer_codec.coding.interface import Progress, begin_phase
from geneformer_codec.errors import FormatError, OutputError, UsageError, option
from geneformer_codec.files import COPY_BYTES, STREAM, atomic_directory, atomic_output, same_file
from geneformer_codec.inputs.sample import Sample
from geneformer_codec.inputs.sources import AnyFile, Source, open_source
from geneformer_codec.limits import UNLIMITED, MemoryLimitError, check_need, default_limit
from geneformer_codec.sequence.parts import Part

__all__ = [
    "Archive",
    "ArchiveInfo",
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
"""A part can be half as large again, and one of reads has as many qualities as bases."""


def compress(
    source: AnyFile,
    out: AnyFile,
    *,
    mate: AnyFile | None = None,
    model: AnyModel | None = None,
    level: str = DEFAULT_LEVEL,
    strands: str = "auto",
    access: str | int = COARSE,
    digests: str = AUTO,
    part_bases: int = DEFAULT_PART_BASES,
    name: str | None = None,
    as_is: bool = False,
    bin_qualities: str | None = None,
    any_order: bool = False,
    self_panel: bool = True,
    embed: bool = False,
    verify: bool = False,
    force: bool = False,
    execution: Execution | None = None,
    progress: Progress | None = None,
) -> ArchiveInfo:
    """Archive a FASTA or FASTQ file, compressed or not, or with ``mate`` a pair of FASTQ files.

    Of BAM and CRAM the reads are archived as FASTQ, of GenBank and EMBL the records as FASTA. ``as_is`` archives the
    bytes of any file unchanged: nothing is decompressed, and text without sequence is not predicted. What is not kept,
    or irregular, is logged, and in the ``notices`` of the result. ``bin_qualities`` (``illumina8``, ``illumina4``) is
    lossy: it rounds the qualities of reads first, and the archived text is the binned one. With ``any_order`` reads, or
    pairs of them, are sorted by name if that makes the archive smaller, and the archived text is the sorted one; for
    that, the text is copied to a temporary file.

    ``level`` is ``fast``, ``balanced`` or ``max``; ``strands`` is ``one``, ``both`` or ``auto`` (measured for each
    part). ``access`` is how much is decoded to read one base: ``coarse``, a part; ``fine``, 65,536 bases; or a number
    of bases. (Models with a network have no coarse access.) A part that the model does not help is coded without it.
    Without a model, what recurs in several parts of a FASTA file becomes a ``self_panel``, a model inside the archive,
    if that is smaller; for it, the file is read twice, and one that is no regular file is copied to a temporary.
    ``digests`` of records are stored, by ``auto``, where they take less than a hundredth of a part, or ``always``; they
    can be computed at any time. ``part_bases`` is the size of parts, ``name`` that of the sample. ``embed`` puts the
    model into the archive; ``verify`` decodes the archive before it appears. The same source, model, settings and name
    give the same bytes.
    """
    job = _Compression(open_model(model), level, strands, access, digests, embed, verify, force, execution, progress)
    job.settings(part_bases, False)  # checked before anything is read
    for given in (source, mate):
        _check_distinct(given, out)
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(_opened(source, mate, name, as_is, bin_qualities, any_order, level))
        # before the work: can it be written?
        file = stack.enter_context(_output(out, force, seekable=True, binary=True))
        seeks_panel, reorders = self_panel and job.model is None, any_order and opened.is_reads
        twice = seeks_panel and not reorders and _is_file(source) and (mate is None or _is_file(mate))
        parts, sample = opened.parts(part_bases, digests=not twice), opened.sample
        if seeks_panel:
            from geneformer_codec.archive.self_panel import make_self_panel

            first = list(itertools.islice(parts, 2))
            parts = itertools.chain(first, parts)
            if len(first) == 1 and opened.is_reads:
                job = job.with_panel(make_self_panel(first, level, str(source), job.threads, progress))
            elif twice and len(first) == 1:
                parts = iter([first[0].with_digests()])
            elif twice:
                job = job.with_panel(make_self_panel(parts, level, str(source), job.threads, progress))
                opened = stack.enter_context(open_source(source, mate, name, as_is, bin_qualities))
                parts, sample = opened.parts(part_bases), opened.sample
            elif len(first) > 1:
                directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                plan = split_sample(parts, sample, directory, part_bases, level, job.threads, opened.short_reads)
                job = job.with_panel(_panel_of(plan, directory))
                parts, sample = (read_part(plan, directory / part.file) for part in plan.parts), lambda: plan.sample
        info = job.write(parts, sample, file, str(out), job.settings(part_bases, opened.is_reads, opened.short_reads))
    _log_notices(source, info.notices)
    return info


def compress_parts(
    parts: Sequence[AnyPath],
    out: AnyFile,
    *,
    model: AnyModel | None = None,
    level: str = DEFAULT_LEVEL,
    strands: str = "auto",
    access: str | int = COARSE,
    digests: str = AUTO,
    self_panel: bool = True,
    embed: bool = False,
    verify: bool = False,
    force: bool = False,
    execution: Execution | None = None,
    progress: Progress | None = None,
) -> ArchiveInfo:
    """Compress one or more parts of a directory that `split` made into an archive of parts, for `gather`.

    Parameters as for `compress`; without a model, the ``self_panel`` is the one that `split` made, if it made one.
    """
    paths = sorted(map(Path, parts))
    if not paths or len({path.parent for path in paths}) > 1 or len(set(paths)) < len(paths):
        raise UsageError("give one or more parts of one directory, each once")
    for path in paths:
        _check_distinct(path, out)
    plan = Plan.read(paths[0].with_name(PLAN_NAME))
    if model is None and self_panel:
        model = _panel_of(plan, paths[0].parent)
    job = _Compression(open_model(model), level, strands, access, digests, embed, verify, force, execution, progress)
    settings = job.settings(plan.part_bases, plan.is_reads, plan.short_reads)
    with _output(out, force, seekable=True, binary=True) as file:
        return job.write((read_part(plan, path) for path in paths), lambda: plan.sample, file, str(out), settings)


def decompress(
    source: AnyFile,
    out: AnyFile,
    *,
    mate: AnyFile | None = None,
    model: AnyModel | None = None,
    force: bool = False,
    execution: Execution | None = None,
    progress: Progress | None = None,
    max_memory: int | None = None,
) -> None:
    """Write the exact text that was archived, and to ``mate`` the second text of a pair.

    Nothing of a part is written before its checksum is verified.
    """
    if isinstance(out, str | Path) and isinstance(mate, str | Path) and (str(out) == str(mate) or same_file(out, mate)):
        raise UsageError(f"both texts of the pair would go to {out}; choose another name for one of them")
    with Archive(source, max_memory=max_memory) as archive:
        paired = archive.manifest.sample.mate is not None
        if paired and mate is None:
            raise UsageError(f"{archive.label}: holds a pair; give a file for the second text with {option('mate')}")
        if mate is not None and not paired:
            raise UsageError(f"{archive.label}: holds one text and no mates; leave {option('mate')} out")
        coders = _coders_for_text(archive, model, execution)
        _write_texts(archive, [out, mate] if paired else [out], coders, force, progress)


def cat(
    source: AnyFile,
    out: AnyFile,
    *,
    mate: bool = False,
    model: AnyModel | None = None,
    force: bool = False,
    execution: Execution | None = None,
    progress: Progress | None = None,
    max_memory: int | None = None,
) -> None:
    """Write one text to ``out``: of a pair the first, or with ``mate`` the second."""
    with Archive(source, max_memory=max_memory) as archive:
        if mate and archive.manifest.sample.mate is None:
            raise UsageError(f"{archive.label}: holds one text and no mates; leave {option('mate')} out")
        coders = _coders_for_text(archive, model, execution)
        _write_texts(archive, [None, out] if mate else [out], coders, force, progress)


def _coders_for_text(archive: Archive, model: AnyModel | None, execution: Execution | None) -> Coders:
    archive.check_complete()
    return coders_of(archive, model, execution)


def _write_texts(
    archive: Archive, outs: Sequence[AnyFile | None], coders: Coders, force: bool, progress: Progress | None
) -> None:
    """Write each text for which ``outs`` has a place."""
    for out in outs:
        _check_distinct(archive.label, out)
    with contextlib.ExitStack() as stack:
        files = [None if out is None else stack.enter_context(_output(out, force)) for out in outs]
        parts = archive.decode_all(coders, progress)
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
) -> ArchiveInfo:
    """Decode everything and check every checksum: parts, sample, and each record's MD5 and refget digest.

    A failure is a ``FormatError`` that names the part or record. An archive of some parts of a sample is accepted.
    """
    with Archive(source, max_memory=max_memory) as archive:
        verify_archive(archive, coders_of(archive, model, execution), progress)
        return archive_info(archive)


def info(source: AnyFile, *, max_memory: int | None = None) -> ArchiveInfo:
    """Sizes, settings, model and digests of an archive; nothing is decoded.

    >>> info("fish.gfz").bpb_payload  # doctest: +SKIP
    0.41
    """
    with Archive(source, max_memory=max_memory) as archive:
        return archive_info(archive)


def read_index(source: AnyFile, *, model: AnyModel | None = None, max_memory: int | None = None) -> list[RecordEntry]:
    """Name, place, length and digests of every record.

    Digests of short records are not stored: they are None unless the records can be decoded, with the ``model`` that
    is given or without one.
    """
    with Archive(source, max_memory=max_memory) as archive:
        needs_none = archive.manifest.model.id == EXPERTS or archive.manifest.model.embedded
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
    any_order: bool = False,
    self_panel: bool = True,
    level: str = DEFAULT_LEVEL,
    force: bool = False,
    execution: Execution | None = None,
) -> Plan:
    """Cut a sample into a directory of parts, ``plan.json`` beside them, to be compressed by separate jobs.

    Beside the parts of a FASTA file is their ``self_panel``, as in `compress`, if there is one that pays. The ``level``
    is that of the panel, which is coded here.
    """
    check_level(level)
    check_range("part_bases", part_bases, MIN_PART_BASES, MAX_PART_BASES)
    with (
        _opened(source, mate, name, as_is, bin_qualities, any_order, level) as opened,
        atomic_directory(Path(out), force) as directory,
    ):
        threads = (execution or Execution()).threads
        plan = split_sample(
            opened.parts(part_bases),
            opened.sample,
            directory,
            part_bases,
            level if self_panel else None,
            threads,
            opened.short_reads,
        )
    _log_notices(source, sample_notices(plan.sample))
    return plan


def gather(
    plan: AnyPath,
    parts: Sequence[AnyPath],
    out: AnyPath,
    *,
    embed_model: AnyModel | None = None,
    force: bool = False,
) -> ArchiveInfo:
    """Join part archives into the archive of the sample, without compressing again.

    The bytes are those that `compress` writes for the whole sample with the same settings, model and name. The self
    panel is looked for beside ``plan``, if the parts need it.
    """
    for part in parts:
        _check_distinct(part, out)
    wanted = Plan.read(Path(plan))
    model, panel = open_model(embed_model), None if embed_model else _panel_of(wanted, Path(plan).parent)
    with atomic_output(out, force, seekable=True, binary=True) as file:
        join_parts(wanted, [Path(part) for part in parts], file, model, panel)
        file.flush()
        info = archive_info(Archive(file, str(out), UNLIMITED))
    _log_notices(out, info.notices)
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
) -> ArchiveInfo:
    """Join archives into one of all their texts, one after the other, without compressing again.

    All are decoded, as the checksum of the whole needs the text. They must have the same model and settings. The model
    is embedded if the first archive embeds it. ``name`` is that of the new sample, by default that of the first.
    """
    for source in sources:
        _check_distinct(source, out)
    with _output(out, force, seekable=True, binary=True) as file:
        join_archives(sources, file, lambda archive: coders_of(archive, model, execution), name, progress, max_memory)
        file.flush()
        info = archive_info(Archive(file, str(out), UNLIMITED))
    _log_notices(out, info.notices)
    return info


def make_settings(
    model: CodingModel | None,
    level: str,
    access: str | int,
    part_bases: int,
    is_reads: bool = False,
    short_reads: bool = False,
) -> Settings:
    """The settings of an archive, of FASTQ or not; copies are not shifted among short reads, which end too soon."""
    check_level(level)
    check_range("part_bases", part_bases, MIN_PART_BASES, MAX_PART_BASES)
    if isinstance(access, str) and access not in ACCESS:
        raise UsageError(f"invalid access {access!r}; choose {' or '.join(ACCESS)}, or a number of bases")
    experts = model.expert_settings(level) if model else None
    if isinstance(access, int):
        check_range("access", access, MIN_SLICE_LENGTH, MAX_SLICE_LENGTH)
        slice_length = access
    elif access == FINE or (model and (experts is None or experts.network)):
        slice_length = FINE_SLICE_LENGTH
    else:
        slice_length = WHOLE_PART
    if model is None:
        experts, alone = without_model(level, slice_length or part_bases, is_reads, short_reads), None
    else:
        alone = without_model(level, part_bases, is_reads, short_reads) if experts and not experts.network else None
    if short_reads:
        experts, alone = (given and replace(given, shift_misses=0) for given in (experts, alone))
    return Settings(level, slice_length, part_bases, experts, alone)


def check_level(level: str) -> None:
    """``UsageError`` for a level that there is not."""
    if level not in LEVELS:
        raise UsageError(f"there is no level {level!r}; choose one of {', '.join(LEVELS)}")


def check_range(name: str, value: int, low: int, high: int) -> None:
    """``UsageError`` for a number out of range."""
    if not low <= value <= high:
        raise UsageError(f"{option(name, value)} is out of range; give {low:,} to {high:,}")


@dataclass(frozen=True)
class _Compression:
    """How to compress: what `compress` and `compress_parts` have in common."""

    model: CodingModel | None
    level: str
    strands: str
    access: str | int
    digests: str
    embed: bool
    verify: bool
    force: bool
    execution: Execution | None
    progress: Progress | None

    @property
    def threads(self) -> int:
        """How many threads there are; 0: all cores."""
        return (self.execution or Execution()).threads

    def with_panel(self, panel: CodingModel | None) -> "_Compression":
        """The same, with the sample's own panel in the archive if it has one."""
        return self if panel is None else replace(self, model=panel, embed=True)

    def settings(self, part_bases: int, is_reads: bool, short_reads: bool = False) -> Settings:
        """The settings of the archive; ``UsageError`` for options that do not fit together."""
        if self.embed and self.model is None:
            raise UsageError(f"no model to embed; give one with {option('model')}, or leave {option('embed')} out")
        if self.strands not in STRANDS:
            raise UsageError(f"invalid strands {self.strands!r}; choose one of {', '.join(STRANDS)}")
        if self.digests not in DIGESTS:
            raise UsageError(f"invalid digests {self.digests!r}; choose {' or '.join(DIGESTS)}")
        settings = make_settings(self.model, self.level, self.access, part_bases, is_reads, short_reads)
        return replace(settings, digests=self.digests)

    def write(
        self, parts: Iterator[Part], sample: Callable[[], Sample], file: BinaryIO, label: str, settings: Settings
    ) -> ArchiveInfo:
        """Write the archive to ``file``; ``sample`` is called after the last part."""
        named, data = reference(self.model, self.embed), self.model.data if self.model and self.embed else b""
        execution = self.execution or Execution()
        batches = expert_batches(settings, execution)
        coders = make_coders(named.id, self.model, settings, execution, self.strands, batches=batches)
        begin_phase(self.progress, "compress")
        write_archive(file, parts, coders, settings, named, sample, data, self.progress)
        file.flush()
        archive = Archive(file, label, UNLIMITED)
        if self.verify:
            begin_phase(self.progress, "verify", archive_info(archive).bases)
            _verify_written(archive, coders, self.progress)
        info = archive_info(archive)
        try:
            check_need(
                label,
                needed_bytes(archive.manifest),
                default_limit(info.total_bytes + (0 if self.embed else info.model_file_bytes)),
            )
            archive.check_text()
        except MemoryLimitError as error:
            _LOG.warning("reading this archive needs permission: %s", error)
        return info


@contextlib.contextmanager
def _opened(
    source: AnyFile,
    mate: AnyFile | None,
    name: str | None,
    as_is: bool,
    bin_qualities: str | None,
    any_order: bool,
    level: str,
) -> Iterator[Source]:
    """A source; its reads may be put into another order where ``any_order`` is set."""
    with open_source(source, mate, name, as_is, bin_qualities) as opened:
        if not (any_order and opened.is_reads):
            yield opened
            return
        from geneformer_codec.archive.any_order import sorted_source

        with sorted_source(opened, level, _called(source)) as reordered:
            yield reordered


def _is_file(source: AnyFile) -> bool:
    """Whether it can be read twice."""
    return isinstance(source, str | Path) and Path(source).is_file()


def _panel_of(plan: Plan, directory: Path) -> CodingModel | None:
    """The panel of a split sample, if it has one."""
    from geneformer_codec.model.file import load_model

    data = read_panel(plan, directory)
    model: CodingModel | None = load_model(data, str(directory / PANEL_NAME)) if data else None
    return model


def _log_notices(place: AnyFile, notices: Iterable[str]) -> None:
    """Log the notices on what was archived, with its ``place``."""
    for notice in notices:
        _LOG.warning("%s: %s", _called(place), notice)


def _called(place: AnyFile) -> str:
    """What a file is called in messages."""
    called = str(place) if isinstance(place, str | Path) else str(getattr(place, "name", "the stream"))
    return "standard input" if called == STREAM else called


def _verify_written(archive: Archive, coders: Coders, progress: Progress | None) -> None:
    """Decode what was just written; the checksums are those of the source."""
    try:
        verify_archive(archive, coders, progress)
    except FormatError as error:
        raise OutputError(
            f"verification failed, so the archive was not kept: {error}. Memory or disk may be faulty, or this program "
            f"has a bug; try again with {option('device', 'cpu')}, and report it if it happens again"
        ) from error


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
