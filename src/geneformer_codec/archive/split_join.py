"""Split a sample into files that separate jobs compress, and join archives without recompressing."""

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from geneformer_codec.archive.coders import Coders, CodingModel
from geneformer_codec.archive.manifest import Block, ModelReference
from geneformer_codec.archive.models import check_memory
from geneformer_codec.archive.plan import PANEL_NAME, PLAN_NAME, Plan, PlannedPart, read_part, sha256_hex
from geneformer_codec.archive.read import Archive
from geneformer_codec.archive.settings import SELF_PANEL, Settings
from geneformer_codec.archive.write import ArchiveWriter, Taken
from geneformer_codec.coding.interface import Progress
from geneformer_codec.errors import FormatError, ModelMissingError, UsageError, option
from geneformer_codec.files import output_error
from geneformer_codec.inputs.sample import MAX_PARTS, OddMates, Sample
from geneformer_codec.sequence.fastq import is_fastq
from geneformer_codec.sequence.parts import Part


def split_sample(
    parts: Iterable[Part],
    sample: Callable[[], Sample],
    directory: Path,
    part_bases: int,
    panel_level: str | None = None,
    threads: int = 0,
    short_reads: bool = False,
) -> Plan:
    """Write the parts of a sample and their plan into ``directory``.

    The ``sample`` is called when all parts were read. With a ``panel_level`` the panel of the sample is written as
    well, coded at that level, if one pays: of reads, or of FASTA in several parts.
    """
    taken, planned, is_reads = Taken(parts), [], False
    for part in taken:
        text = b"".join(part.texts)
        planned.append(
            PlannedPart(
                number=part.number,
                file=f"{part.number:08d}.part",
                text_bytes=len(text),
                mate_bytes=len(text) - len(part.text),
                sha256=sha256_hex(text),
                digests_sha256=sha256_hex(part.digests),
                starts_record=part.starts_record,
                ends_record=part.ends_record,
            )
        )
        _write(directory / planned[-1].file, text)
        _write(directory / planned[-1].digests_file, part.digests)
        is_reads = part.is_reads
    plan = Plan(taken.complete(sample()), is_reads, part_bases, tuple(planned), short_reads=short_reads)
    if panel_level and (is_reads or len(planned) > 1):
        from geneformer_codec.archive.self_panel import make_self_panel

        written = (read_part(plan, directory / part.file) for part in planned)
        if panel := make_self_panel(written, panel_level, plan.sample.name, threads):
            _write(directory / PANEL_NAME, panel.data)
            plan = replace(plan, panel=sha256_hex(panel.data))
    _write(directory / PLAN_NAME, plan.dump())
    return plan


def join_parts(
    plan: Plan,
    archives: Sequence[Path],
    out: BinaryIO,
    model: CodingModel | None = None,
    panel: CodingModel | None = None,
) -> None:
    """Copy the blocks of part archives into the archive of the sample; ``model`` is embedded when given.

    So is the ``panel`` of the sample if the parts were made with it.

    Every part of the plan must be there once, made with the same settings and model, and match the plan.
    """
    places: dict[int, Path] = {}
    common: tuple[Settings, ModelReference] | None = None
    for path in archives:
        with Archive(path) as archive:
            found = archive.manifest.settings, replace(archive.manifest.model, embedded=False)
            if common is not None:  # settings are only there if a part needs them
                found = _with_all(found[0], common[0]), found[1]
                common = _with_all(common[0], found[0]), common[1]
            if common is not None and found != common:
                raise FormatError(
                    f"{path}: was compressed with other settings or another model than {archives[0]} "
                    f"({found} against {common}); compress all parts alike"
                )
            common = found
            for block in archive.blocks:
                if block.part in places:
                    raise FormatError(f"part {block.part} is in both {places[block.part]} and {path}; give it once")
                _check_block(plan, archive, block)
                places[block.part] = path
    missing = [part.number for part in plan.parts if part.number not in places]
    if missing or common is None:
        listed = ", ".join(map(str, missing[:10])) + (" ..." if len(missing) > 10 else "")
        raise FormatError(
            f"{len(missing)} parts are missing ({listed}); compress them, and gather all {len(plan.parts)}"
        )
    settings, reference = common
    if model is None and panel is not None and panel.id == reference.id:
        model = panel
    if model is not None and model.id != reference.id:
        raise ModelMissingError(
            f"the parts need model {reference.id} ({reference.name}), not {model.id} ({model.name}); give that one"
        )
    with ArchiveWriter(out, settings, replace(reference, embedded=model is not None)) as writer:
        for number in range(len(plan.parts)):
            with Archive(places[number]) as archive:
                block = next(block for block in archive.blocks if block.part == number)
                _check_block(plan, archive, block)
                writer.add(block, archive.block_data(block))
        writer.finish(plan.sample, model.data if model else b"")


def join_archives(
    sources: Sequence[str | Path],
    out: BinaryIO,
    coders_of: Callable[[Archive], Coders],
    name: str | None = None,
    progress: Progress | None = None,
    max_memory: int | None = None,
) -> None:
    """Copy the blocks of archives into one of all their texts, which are decoded for the checksum of the whole."""
    if not sources:
        raise UsageError("there is nothing to merge; give two archives or more")
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(Archive(sources[0], max_memory=max_memory))
        manifest, model_data = first.manifest, first.model_data() or b""
        coders, common, settings = coders_of(first), _made_alike(first), manifest.settings
        made = manifest.needs_model, settings.without_model
        joined, number = _Joined(manifest.sample), 0
        pairs, trailing, odd = 0, 0, None
        writer = stack.enter_context(ArchiveWriter(out, manifest.settings, manifest.model))
        for source in sources:
            # a pipe can be read once only
            again = source is sources[0]
            with contextlib.nullcontext(first) if again else Archive(source, max_memory=max_memory) as archive:
                check_memory(archive)
                found = archive.manifest.settings
                if found.without_model and not settings.without_model:
                    settings = writer.settings = found
                if made != (made := (archive.manifest.needs_model, found.without_model)):
                    coders = coders_of(archive)
                if _made_alike(archive) != common or found.without_model not in (None, settings.without_model):
                    if SELF_PANEL in (manifest.model.name, archive.manifest.model.name):
                        raise FormatError(
                            f"{source} and {sources[0]}: have panels of their own, and one archive has one; compress "
                            f"them again with {option('self_panel', False)}, or their texts together"
                        )
                    raise FormatError(
                        f"{source}: was made with another model, version, slice length, or other experts, or of "
                        f"another kind of text, than {sources[0]}; decompress them, and compress their texts together"
                    )
                with contextlib.closing(archive.decode_all(coders, progress)) as parts:
                    for block, part in zip(archive.blocks, parts, strict=True):
                        joined.add(part.texts, source, begins=block is archive.blocks[0])
                        writer.add(replace(block, part=number), archive.block_data(block))
                        number += 1
                trailing += archive.manifest.sample.trailing_bytes
                odd = _joined_mates(odd, archive.manifest.sample.odd_mates, pairs)
                pairs += sum(block.records for block in archive.blocks) // 2
                odd = odd and replace(odd, pairs=pairs)
        if number > MAX_PARTS:
            raise FormatError(f"the archives have {number:,} parts, more than {MAX_PARTS:,}")
        sample = replace(joined.sample(number), trailing_bytes=trailing, odd_mates=odd)
        writer.finish(replace(sample, name=sample.name if name is None else name), model_data)


def _joined_mates(before: OddMates | None, here: OddMates | None, pairs: int) -> OddMates | None:
    """Mates whose names do not match, of an archive after others of so many ``pairs``."""
    if before and here:
        return replace(before, odd=before.odd + here.odd)
    return before or (here and replace(here, first=pairs + here.first))


class _Joined:
    """The texts of archives, one after the other."""

    def __init__(self, first: Sample) -> None:
        self._first = first
        self._digests = [hashlib.sha256() for _ in range(1 + (first.mate is not None))]
        self._bytes, self._ended = [0] * len(self._digests), [True] * len(self._digests)

    def add(self, texts: Sequence[bytes], source: str | Path, begins: bool) -> None:
        """Add what a part holds; with ``begins`` it is the first of its archive."""
        for number, text in enumerate(texts):
            fits = self._ended[number] and (text.startswith(b">") or is_fastq(text))
            if begins and self._bytes[number] and text and not fits:
                raise FormatError(
                    f"{source}: invalid after the archive before it: that text does not end in a line end, or this "
                    "one does not begin with a record, so that records would run together"
                )
            self._digests[number].update(text)
            self._bytes[number] += len(text)
            self._ended[number] = text.endswith(b"\n") if text else self._ended[number]

    def sample(self, parts: int) -> Sample:
        """All of it, named as the first."""
        whole, mate = replace(self._first, parts=parts), self._first.mate
        sizes: list[dict[str, Any]] = [
            {"bytes": size, "sha256": digest.hexdigest()}
            for size, digest in zip(self._bytes, self._digests, strict=True)
        ]
        return replace(whole, **sizes[0], mate=replace(mate, **sizes[1]) if mate else None)


def _with_all(settings: Settings, others: Settings) -> Settings:
    """With those for parts that the model does not help, if the others have them."""
    return replace(settings, without_model=settings.without_model or others.without_model)


def _made_alike(archive: Archive) -> tuple[object, ...]:
    """What must agree for blocks to be in one archive."""
    manifest, settings = archive.manifest, archive.manifest.settings
    sample, is_reads = manifest.sample, any(block.is_reads for block in archive.blocks)
    derived = sample.mate is not None, sample.origin, sample.quality_bins, sample.reordering is not None
    return manifest.model.id, settings.experts, settings.slice_length, is_reads, derived


def _check_block(plan: Plan, archive: Archive, block: Block) -> None:
    if archive.manifest.sample != plan.sample or archive.manifest.settings.part_bases != plan.part_bases:
        raise FormatError(f"{archive.label}: is of another sample or split than this plan of {plan.sample.name!r}")
    planned = plan.parts[block.part]
    found = block.text_bytes, block.sha256, block.starts_record, block.ends_record
    if found != (planned.text_bytes, planned.sha256, planned.starts_record, planned.ends_record):
        raise FormatError(f"{archive.label}: part {block.part} is not that of the plan; compress it again")


def _write(path: Path, data: bytes) -> None:
    # Not synced, for that takes long with thousands of parts: what a power cut loses does not match the plan's SHA-256.
    try:
        path.write_bytes(data)
    except OSError as error:
        raise output_error(path, error) from error
