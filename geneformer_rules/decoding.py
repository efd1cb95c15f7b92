"""Verify or decompress archives: several with one load of their model, or some parts of a large one."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from geneformer_codec import api
from geneformer_codec.archive.coders import CodingModel
from geneformer_codec.archive.manifest import EXPERTS, Block
from geneformer_codec.archive.models import Execution, coders_of, find_model
from geneformer_codec.archive.read import Archive
from geneformer_codec.cli.console import message_of, say
from geneformer_codec.coding.interface import Progress
from geneformer_codec.coding.threads import in_order
from geneformer_codec.errors import FormatError, GfzError
from geneformer_codec.limits import UNLIMITED
from geneformer_rules.archiving import ReadyModel
from geneformer_rules.checks import PASSED, append_checks, check
from geneformer_rules.provenance import is_decompressed
from geneformer_rules.publishing import file_digest
from geneformer_rules.records import read_json


def decode_samples(
    archives: Sequence[Path],
    directory: Path | None,
    *,
    only: Sequence[Path] = (),
    checks: Path | None = None,
    execution: Execution,
) -> list[str]:
    """Decode each archive, check every checksum, and return a message for each that failed.

    With a directory, the texts are written there, unless they are there and newer than the archive: ``NAME.fa`` or, of
    reads, ``NAME.fq``; a pair has ``NAME_1.fq`` and ``NAME_2.fq``. With ``only``, other texts than these are an error.
    Without one, the result is appended to the table ``checks``.
    """

    def work(archive: Path, model: CodingModel | None) -> str:
        if directory is None:
            facts = api.verify(archive, model=model, execution=execution, max_memory=UNLIMITED).as_dict()
            return f"every checksum holds: {facts['records']:,} records, {facts['bases']:,} bases"
        if not only and is_decompressed(archive, directory):
            return "is decompressed already"
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
    return _each(archives, work, checks if directory is None else None)


def _each(archives: Iterable[Path], work: Callable[[Path, CodingModel | None], str], checks: Path | None) -> list[str]:
    models: dict[str, CodingModel | None] = {EXPERTS: None}
    errors = []
    for path in archives:
        result, facts = PASSED, {}
        try:
            with Archive(path, max_memory=UNLIMITED) as archive:
                wanted, sample = archive.manifest.model, archive.manifest.sample
                facts = {"sha256": sample.sha256, "bases": sum(block.bases for block in archive.blocks)}
                if wanted.id not in models and not wanted.embedded:
                    models[wanted.id] = ReadyModel(found) if (found := find_model(archive)) else None
            say(f"{path.stem}: {path}: {work(path, models.get(wanted.id))}")
        except (GfzError, OSError) as error:
            result = message_of(error)
            errors.append(f"sample '{path.stem}': {result}")
        if checks is not None:
            if path.is_file():
                facts["archive_sha256"] = file_digest(path)
            append_checks(checks, [check(path.stem, facts, "verification", result)])
    return errors


def verify_parts(archive: Path, parts: str, *, checks: Path | None = None, execution: Execution) -> None:
    """Decode some parts of an archive, the ``FIRST-LAST`` of them, and check their checksums."""
    first, last = map(int, parts.split("-"))
    with _noted(archive, checks), Archive(archive, max_memory=UNLIMITED) as opened:
        opened.check_complete()
        coders, blocks = coders_of(opened, execution=execution), opened.blocks[first : last + 1]
        items = ((block, opened.block_data(block)) for block in blocks)

        def decode(item: tuple[Block, bytes], _: Progress) -> int:
            return len(opened.decode(item[0], coders, item[1]).texts)

        decoded = sum(1 for _ in in_order(decode, items, coders.parts_at_once, None))
    say(f"{archive.stem}: {archive}: every checksum of parts {first} to {last} holds ({decoded:,} parts)")


def verify_whole(archive: Path, report: Path, *, checks: Path | None = None) -> None:
    """Conclude that an archive whose parts were verified gives its sample back.

    It has to be the very archive that was published: of that it was proved that its parts together are the sample.
    """
    facts = read_json(report)
    with _noted(archive, checks):
        if file_digest(archive) != facts.get("archive_sha256"):
            raise FormatError(
                f"{archive}: is not the archive that was published, according to {report}; restore it from a backup"
            )
    if checks is not None:
        append_checks(checks, [check(archive.stem, facts, "verification")])
    say(f"{archive.stem}: {archive}: all parts were decoded, and it is the archive that was published")


@contextlib.contextmanager
def _noted(archive: Path, checks: Path | None) -> Iterator[None]:
    """Note a failure in the table of checks."""
    try:
        yield
    except (GfzError, OSError) as error:
        if checks is not None:
            found = {"archive_sha256": file_digest(archive)} if archive.is_file() else {}
            append_checks(checks, [check(archive.stem, found, "verification", message_of(error))])
        raise
