"""Gather the parts of a sample, which were verified by the jobs that compressed them, into its archive.

Each of those jobs decoded its parts before their blocks appeared, so nothing is decoded again here. That the
archive restores the sample follows from digests: the block of each part has the SHA-256 of the text that was decoded,
which is that of the part's file; these files, one after the other, have the SHA-256 of the sample.
"""

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

from geneformer_codec import api
from geneformer_codec.archive.plan import Plan, read_part
from geneformer_codec.archive.read import Archive
from geneformer_codec.errors import FormatError, InputError
from geneformer_codec.files import atomic_directory
from geneformer_codec.limits import UNLIMITED
from geneformer_codec.sequence.digests import PartDigests
from geneformer_rules.archiving import sources_of
from geneformer_rules.notices import print_notices, print_sizes
from geneformer_rules.parts import read_plan
from geneformer_rules.publishing import write_error, write_report
from geneformer_rules.records import RECORD, read_json


def gather_sample(
    name: str,
    parts: Path,
    plan: Path,
    blocks: Path,
    jobs: int,
    directory: Path,
    *,
    sources: Sequence[str],
    model: Path | None,
    embed: bool,
    fetched: Path | None = None,
) -> None:
    """Gather the blocks of so many jobs into the archive of a sample, and check that it is the whole sample."""
    files, run = sources_of(name, sources, fetched)
    with atomic_directory(directory, force=True) as out:
        archive = out / f"{name}.gfz"
        if failure := read_json(plan).get("error"):
            print(f"error: {failure}", file=sys.stderr)
            write_error(archive, InputError(str(failure)))
            return
        made = [blocks / f"{job}.gfz" for job in read_plan(plan).jobs(jobs)]
        api.gather(parts / "plan.json", made, archive, embed_model=model if embed else None)
        check_whole(archive, parts / "plan.json")
        facts = api.info(archive, max_memory=UNLIMITED).as_dict()
        print_notices(name, facts)
        print_sizes(name, facts)
        try:
            if run is not None:
                run.check_counts(facts)
        except InputError as error:  # as long as the run is the same, so are its counts
            write_error(archive, error)
            return
        write_report(facts, files, archive, read_json(plan)[RECORD], run)


def check_whole(archive: Path, plan: Path) -> None:
    """Raise a FormatError unless the blocks of an archive, as they are on the disk, are the sample of the plan.

    The job that made a block has checked that it decodes to the text with its digest.
    """
    planned = Plan.read(plan)
    sample = planned.sample
    expected = [sample.sha256, *([sample.mate.sha256] if sample.mate else [])]
    wholes, records = [hashlib.sha256() for _ in expected], PartDigests()
    with Archive(archive, max_memory=UNLIMITED) as opened:
        opened.check_complete()
        for part, block in zip(planned.parts, opened.blocks, strict=True):
            found = read_part(planned, plan.with_name(part.file))  # compares its digest with the plan's
            data = opened.block_data(block)  # compares its checksum
            if block.sha256 != part.sha256:
                raise FormatError(f"{archive}: part {part.number} is not that of {plan}; compress it again")
            for whole, text in zip(wholes, found.texts, strict=True):
                whole.update(text)
            if not block.is_reads:
                stored, computed = opened.text_content(block, data).digests, records.add(found.text, block.ends_record)
                if stored and stored != computed:
                    raise FormatError(f"{archive}: part {part.number}: its records do not match their digests")
    if [whole.hexdigest() for whole in wholes] != expected:
        raise FormatError(f"{plan}: the parts together are not the sample; split it again")
