"""Verify or decompress archives: several with one load of their model, or some parts of a large one."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from geneformer_codec import api
from geneformer_codec.archive.coders import CodingModel
from geneformer_codec.archive.manifest import EXPERTS, Block
from geneformer_codec.archive.models import Execution, coders_of, find_model
from geneformer_codec.archive.read import Archive
from geneformer_codec.cli.console import message_of, say
from geneformer_codec.coding.interface import Progress
from geneformer_codec.coding.threads import in_order
from geneformer_codec.errors import GfzError
from geneformer_codec.limits import UNLIMITED
from geneformer_rules.archiving import ReadyModel
from geneformer_rules.checks import (
    DECOMPRESSION,
    PASSED,
    VERIFICATION,
    append_checks,
    check,
    latest_checks,
    read_checks,
)
from geneformer_rules.provenance import is_decompressed
from geneformer_rules.publishing import file_digest
from geneformer_rules.records import read_json
from geneformer_rules.sheets import sample_species


def decode_samples(
    archives: Sequence[Path],
    directory: Path | None,
    *,
    only: Sequence[Path] = (),
    checks: Path | None = None,
    execution: Execution,
) -> tuple[list[str], bool]:
    """Decode each archive and check every checksum. Returns a message for each that failed, and whether to try again.

    With a directory, the texts are written there, unless they are there and newer than the archive: ``NAME.fa`` or, of
    reads, ``NAME.fq``; a pair has ``NAME_1.fq`` and ``NAME_2.fq``. With ``only``, other texts than these are an error.
    What was decoded, and what failed, is appended to the table ``checks``. To try again may help unless all that failed
    are in that table, with an error of their own.
    """

    def work(archive: Path, model: CodingModel | None) -> str | None:
        if directory is None:
            facts = api.verify(archive, model=model, execution=execution, max_memory=UNLIMITED).as_dict()
            return f"every checksum holds: {facts['records']:,} records, {facts['bases']:,} bases"
        if not only and is_decompressed(archive, directory):
            return None
        facts = api.info(archive, max_memory=UNLIMITED).as_dict()
        suffix = "fq" if facts["kind"] == "FASTQ" else "fa"
        names = [f"{archive.stem}_{number}" for number in (1, 2)] if facts["mate"] else [archive.stem]
        text, *mates = [directory / f"{name}.{suffix}" for name in names]
        if only and {text, *mates} != set(only):
            found = " and ".join(map(str, (text, *mates)))
            raise GfzError(f"the archive holds {facts['kind']} and does not become {only[0]}; ask for {found}")
        mate = mates[0] if mates else None
        for left in (old for path in (text, *mates) for old in directory.glob(f".{path.name}.*.tmp")):
            left.unlink()  # of a job that was killed
        api.decompress(archive, text, mate=mate, model=model, force=True, execution=execution, max_memory=UNLIMITED)
        return f"decompressed to {' and '.join(map(str, (text, *mates)))}, SHA-256 as archived"

    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
    kind = VERIFICATION if directory is None else DECOMPRESSION
    errors, may_pass = _each(archives, work, kind, checks)
    return errors, bool(errors) and (may_pass or bool(only) or checks is None)


def _each(
    archives: Iterable[Path], work: Callable[[Path, CodingModel | None], str | None], kind: str, checks: Path | None
) -> tuple[list[str], bool]:
    """Do the work on each archive; gives the errors, and whether the machine's are among them."""
    models: dict[str, CodingModel | None] = {EXPERTS: None}
    errors, may_pass = [], False
    for path in archives:
        result, facts = PASSED, {}
        try:
            with Archive(path, max_memory=UNLIMITED) as archive:
                wanted, sample = archive.manifest.model, archive.manifest.sample
                facts = {"sha256": sample.sha256, "bases": sum(block.bases for block in archive.blocks)}
                if wanted.id not in models and not wanted.embedded and archive.manifest.needs_model:
                    models[wanted.id] = ReadyModel(found) if (found := find_model(archive)) else None
            done = work(path, models.get(wanted.id))
            say(f"{path.stem}: {path}: {done or 'is decompressed already'}")
            if done is None:
                continue
        except (GfzError, OSError) as error:
            result = message_of(error)
            errors.append(f"sample '{path.stem}': {result}")
            may_pass |= not isinstance(error, GfzError)
        if checks is not None:
            if path.is_file():
                facts["archive_sha256"] = file_digest(path)
            append_checks(checks, [check(path.stem, facts, kind, result)])
    return errors, may_pass


def verify_parts(
    archive: Path, parts: str, *, errors: Path, checks: Path | None = None, execution: Execution
) -> list[str]:
    """Decode some parts of an archive, the ``FIRST-LAST`` of them, and check their checksums.

    What does not change when it is tried again goes to the file ``errors`` and is returned.
    """
    first, last = map(int, parts.split("-"))
    found: list[str] = []
    try:
        _verify_parts(archive, first, last, execution)
    except GfzError as error:
        found = [message_of(error)]
        _note_failure(archive, checks, found[0])
    errors.parent.mkdir(parents=True, exist_ok=True)
    errors.write_text("".join(f"{line}\n" for line in found), encoding="utf-8")
    return found


def _verify_parts(archive: Path, first: int, last: int, execution: Execution) -> None:
    with Archive(archive, max_memory=UNLIMITED) as opened:
        opened.check_complete()
        coders, blocks = coders_of(opened, execution=execution), opened.blocks[first : last + 1]
        items = ((block, opened.block_data(block)) for block in blocks)

        def decode(item: tuple[Block, bytes], _: Progress) -> int:
            return len(opened.decode(item[0], coders, item[1]).texts)

        decoded = sum(1 for _ in in_order(decode, items, coders.parts_at_once, None))
    say(f"{archive.stem}: {archive}: every checksum of parts {first} to {last} holds ({decoded:,} parts)")


def verify_whole(archive: Path, report: Path, *, errors: Sequence[Path] = (), checks: Path | None = None) -> None:
    """Conclude that an archive whose parts were verified gives its sample back, unless some have ``errors``.

    It has to be the very archive that was published: of that it was proved that its parts together are the sample.
    """
    facts = read_json(report)
    if found := [line for path in errors for line in path.read_text(encoding="utf-8").splitlines()]:
        say(f"{archive.stem}: {archive}: {len(found):,} of its jobs found it damaged: {found[0]}")
    elif file_digest(archive) != facts.get("archive_sha256"):
        _note_failure(
            archive,
            checks,
            f"{archive}: is not the archive that was published, according to {report}; restore it from a backup",
        )
    else:
        if checks is not None:
            append_checks(checks, [check(archive.stem, facts, VERIFICATION)])
        say(f"{archive.stem}: {archive}: all parts were decoded, and it is the archive that was published")


def _note_failure(archive: Path, checks: Path | None, message: str) -> None:
    """Note a failed verification in the table of checks."""
    if checks is not None:
        found = {"archive_sha256": file_digest(archive)} if archive.is_file() else {}
        append_checks(checks, [check(archive.stem, found, VERIFICATION, message)])


def conclude(work: str, samples: Path, checks: Path) -> list[str]:
    """The errors of a run that has decoded all samples of a sheet: those whose last check of this kind failed."""
    kind = {"verify": VERIFICATION, "decompress": DECOMPRESSION}[work]
    rows = [row for row in read_checks(checks) if row["check"] == kind]
    last, names = latest_checks(rows), sample_species(samples)
    failed = {name: last[name]["result"] for name in names if name in last and last[name]["result"] != PASSED}
    say(f"{len(names) - len(failed):,} of {len(names):,} samples passed their {kind}")
    return [f"sample '{name}': {result}" for name, result in failed.items()]
