"""Archive samples, several with one start of Python and one load of their model, and split large ones.

Each archive is written to a directory for unpublished archives, as ``NAME.gfz`` with its report ``NAME.json``.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geneformer_codec import api
from geneformer_codec.archive.coders import CodingModel
from geneformer_codec.archive.models import Execution, open_model
from geneformer_codec.archive.settings import COARSE
from geneformer_codec.cli.console import message_of, say
from geneformer_codec.errors import GfzError, InputError, UsageError
from geneformer_codec.files import atomic_directory
from geneformer_rules import accessions
from geneformer_rules.notices import print_notices, print_sizes
from geneformer_rules.publishing import write_error, write_report
from geneformer_rules.records import RECORD, describe_files, read_json, write_json
from geneformer_rules.sheets import NO_MODEL
from geneformer_rules.sra import Run

if TYPE_CHECKING:
    from geneformer_codec.coding.interface import BaseCoder
    from geneformer_codec.predict.settings import ExpertSettings


class ReadyModel:
    """A model that is made ready to code once, however many samples it codes."""

    def __init__(self, model: CodingModel) -> None:
        self._model = model
        self.id, self.name, self.data = model.id, model.name, model.data
        self._coders: dict[Any, BaseCoder] = {}

    @property
    def memory_bytes(self) -> int:
        """Its size in memory."""
        return self._model.memory_bytes

    def expert_settings(self, level: str) -> "ExpertSettings | None":
        """How the experts predict at a level."""
        return self._model.expert_settings(level)

    def coder(self, settings: "ExpertSettings | None", device: str = "auto", threads: int = 0) -> "BaseCoder":
        """The model ready to code."""
        key = settings, device, threads
        if key not in self._coders:
            self._coders[key] = self._model.coder(settings, device, threads)
        return self._coders[key]


@dataclass(frozen=True)
class Archiving:
    """How samples are archived."""

    species: str
    level: str
    part_bases: int
    access: str = COARSE
    order: str = "file"
    """Of reads: that of the file, or ``any``."""
    model: Path | None = None
    embed: bool = False
    execution: Execution = field(default_factory=Execution)
    fetched: Path | None = None
    """Where the records of runs are that were fetched; None if there are none."""

    def archive(self, samples: Sequence[tuple[str, Sequence[str]]], directory: Path) -> list[str]:
        """Archive each sample, a name and a file, a pair or an accession, and verify the archive by decoding it.

        One sample that fails stops no other: ``directory/NAME.error`` has the reason, and so has the returned list.
        """
        ready = ReadyModel(opened) if (opened := open_model(self.model)) else None
        errors = []
        with atomic_directory(directory, force=True) as out:
            for name, files in samples:
                try:
                    self._archive(out / f"{name}.gfz", files, ready)
                except (GfzError, OSError) as error:
                    if len(samples) == 1 and not isinstance(error, InputError):
                        raise  # tried again, with more memory or on another machine, it may succeed
                    errors.append(f"{name}: {message_of(error)}")
                    write_error(out / f"{name}.gfz", error)
        return errors

    def _archive(self, out: Path, files: Sequence[str], model: ReadyModel | None) -> None:
        made_of, (paths, run) = describe_files(files, self.species), sources_of(out.stem, files, self.fetched)
        facts = self._compress(paths, out, model)
        if run is not None:
            run.check_counts(facts)
        write_report(facts, paths, out, made_of, run)

    def _compress(self, files: Sequence[Path], out: Path, model: ReadyModel | None) -> dict[str, Any]:
        facts = api.compress(
            files[0],
            out,
            mate=files[1] if len(files) == 2 else None,
            part_bases=self.part_bases,
            name=out.stem,
            model=model,
            level=self.level,
            access=self.access,
            any_order=self.order == "any",
            embed=self.embed and model is not None,
            verify=True,
            execution=self.execution,
        ).as_dict()
        print_notices(out.stem, facts)
        print_sizes(out.stem, facts)
        return facts


def sources_of(sample: str, files: Sequence[str], fetched: Path | None) -> tuple[list[Path], Run | None]:
    """The files of a sample that the sheet gives as a file, a pair, or the accession of a run that was fetched."""
    if accessions.parse(files[0]) is None:
        return [Path(file) for file in files], None
    if fetched is None:
        raise UsageError(f"'{files[0]}' is an accession; give the directory with the records of fetched runs")
    run = Run.read(fetched / f"{sample}.json")
    return [Path(file) for file in run.files], run


def split_sample(
    name: str,
    files: Sequence[str],
    species: str,
    parts: Path,
    plan: Path,
    part_bases: int,
    level: str,
    fetched: Path | None = None,
    threads: int = 0,
    order: str = "file",
) -> None:
    """Split a sample into a directory of parts; ``plan`` lists them, with the record of the sample.

    The ``order`` of reads is that of the file, or ``any``.

    If the sample is unreadable, the plan has the reason: another try would not change it.
    """
    made_of, (paths, _) = describe_files(files, species), sources_of(name, files, fetched)
    mate = paths[1] if len(paths) == 2 else None
    own = species == NO_MODEL
    execution = Execution(threads)
    try:
        api.split(
            paths[0],
            parts,
            mate=mate,
            part_bases=part_bases,
            name=name,
            any_order=order == "any",
            self_panel=own,
            level=level,
            execution=execution,
        )
    except InputError as error:
        print(f"error: {message_of(error)}", file=sys.stderr)
        parts.mkdir(parents=True, exist_ok=True)
        write_json({RECORD: made_of, "error": message_of(error), "parts": []}, plan)
        return
    made = read_json(parts / "plan.json")
    write_json({RECORD: made_of, **made}, plan)
    size = sum(part["text_bytes"] for part in made["parts"])
    say(f"{name}: {size:,} bytes of text in {len(made['parts']):,} parts")
