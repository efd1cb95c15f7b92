"""Read and check the configuration and the two sheets; problems are reported by file, row and column.

Rows are counted as a spreadsheet counts them: the header of a sheet is row 1. All problems of a run are
collected and reported together.
"""

import copy
import os
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from geneformer_codec.errors import UsageError, did_you_mean
from geneformer_codec.training import EXPERTS
from geneformer_rules import accessions
from geneformer_rules.deletable import why_not_deletable
from geneformer_rules.models import has_network
from geneformer_rules.tables import load_schema, rows, violations

NO_MODEL = "none"
SAMPLES = "samples"
"""In place of the files of a panel: those of the samples of the species."""
"""The species of a sample that is to be coded without a model."""

_MOST_PROBLEMS_TOLD = 20

_NETWORKS_ONLY = ("recipe", "minutes", "epochs")
"""Columns that do not apply to experts, which learn the whole panel once."""

FileCheck = Callable[[str], bool]
"""Whether a file exists, or will have been written by the time it is needed."""

DoneCheck = Callable[["Sheets"], Set[str]]
"""The names of the samples that are archived as stated in the sheet, and may have lost their files."""


class SheetError(UsageError):
    """The configuration or a sheet is wrong; the message lists every problem found."""

    def __init__(self, problems: Sequence[str]) -> None:
        shown = list(problems[:_MOST_PROBLEMS_TOLD])
        if len(problems) > len(shown):
            shown.append(f"... and {len(problems) - len(shown)} more")
        super().__init__("\n".join(shown))
        self.problems = tuple(problems)


@dataclass(frozen=True)
class Sample:
    """One row of the sample sheet."""

    name: str
    path: str
    species: str
    row: int
    mate: str | None = None
    is_deleted: bool = False
    """Whether its files are to be deleted once it is archived."""
    bytes: int = 0
    """The size of a run that is downloaded, if the sheet has it."""

    @property
    def accession(self) -> accessions.Accession | None:
        """The run that is to be fetched, if no file is given."""
        return accessions.parse(self.path)

    @property
    def files(self) -> tuple[str, ...]:
        """The files that are given: one, a pair, or none for an accession."""
        if self.accession:
            return ()
        return (self.path,) if self.mate is None else (self.path, self.mate)

    @property
    def seeks_self_panel(self) -> bool:
        """Whether a panel of its own is looked for when it is split."""
        return self.species == NO_MODEL

    @property
    def is_pair(self) -> bool | None:
        """Whether it has two texts; None for a run of which nothing is known."""
        if self.accession:
            reads = self.accession.reads
            return None if reads is None else reads == "paired"
        return self.mate is not None


@dataclass(frozen=True)
class Species:
    """One row of the species sheet: a panel to train on, or a model that exists.

    What is trained is of the ``preset``, or of that of the ``base`` that it starts from; ``minutes`` or ``epochs`` are
    the budget of a network. ``from_samples``: the panel is what recurs in the files of its samples.
    """

    name: str
    row: int
    panel: tuple[str, ...] = ()
    model: str | None = None
    base: str | None = None
    preset: str | None = None
    recipe: str | None = None
    minutes: float | None = None
    epochs: float | None = None
    from_samples: bool = False

    @property
    def trains_experts(self) -> bool:
        """Whether experts are trained for it, and not a network."""
        return self.preset == EXPERTS


@dataclass(frozen=True)
class Sheets:
    """The configuration and both sheets, checked."""

    config: Mapping[str, Any]
    samples: Mapping[str, Sample] = field(default_factory=dict)
    species: Mapping[str, Species] = field(default_factory=dict)
    done: Set[str] = frozenset()
    """The samples that need nothing more."""


def load(
    config: Mapping[str, Any], exists: FileCheck | None = None, find_done: DoneCheck = lambda sheets: frozenset()
) -> Sheets:
    """Check ``config`` and the sheets it names, and return them.

    ``exists`` returns whether a file that a sheet names exists, or will exist; without it files are not checked.
    ``find_done`` gives the samples that are ``done``.
    """
    settings = check_config(config)
    if not settings["check_inputs"]:
        exists = None
    problems: list[str] = []
    species = _read_species(settings, problems)
    readable = species if species or not problems else None
    samples = _read_samples(settings, readable, problems)
    done = find_done(Sheets(settings, samples, species))
    with_files = {sample.species for sample in samples.values() if sample.files}
    problems += [
        f"{settings['species']}, row {entry.row}, column 'panel': '{SAMPLES}', but no sample of '{entry.name}' has a "
        "file; name the files of the panel"
        for entry in species.values()
        if entry.from_samples and readable is not None and entry.name not in with_files
    ]
    species = {name: _with_samples(entry, samples, done) for name, entry in species.items()}
    if exists is not None:
        problems += _missing_files(settings, samples, species, exists, done)
        problems += [
            f"{settings['samples']}, row {sample.row}: {reason}; write 'no' in its column 'delete_source'"
            for sample in samples.values()
            if sample.is_deleted and (reason := why_not_deletable(sample.files))
        ]
    problems += [
        f"{settings['samples']}, row {sample.row}: with any_order, an archive need not keep the order of reads, so "
        "that the file must not be deleted; write 'no' in its column 'delete_source'"
        for sample in samples.values()
        if sample.is_deleted and settings["any_order"]
    ]
    if problems:
        raise SheetError(problems)
    return Sheets(settings, samples, species, done)


def sample_species(sheet: str | Path) -> dict[str, str]:
    """Return the names of a sample sheet, in its order, each with its species."""
    problems: list[str] = []
    species = {str(cells["sample"]): str(cells["species"]) for _, cells in rows(str(sheet), "samples", problems)}
    if problems:
        raise SheetError(problems)
    return species


# --- the configuration -----------------------------------------------------------------------------------------------


def check_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of ``config`` with defaults filled in, or raise SheetError."""
    schema = load_schema("config")
    settings = copy.deepcopy(dict(config))
    _read_switches(settings, schema)
    problems = [
        f"configuration, key '{place}': {text}" if place else f"configuration: {text}"
        for place, text in violations(settings, schema)
    ]
    if problems:
        raise SheetError(problems)
    _fill_defaults(settings, schema)
    return settings


def _read_switches(settings: dict[str, Any], schema: Mapping[str, Any]) -> None:
    """Take ``true`` and ``false`` as YAML does, as Snakemake hands them on as text from ``--config KEY=true``."""
    for key, subschema in schema["properties"].items():
        if subschema.get("type") == "boolean" and settings.get(key) in ("true", "false"):
            settings[key] = settings[key] == "true"


def _fill_defaults(settings: dict[str, Any], schema: Mapping[str, Any]) -> None:
    for key, subschema in schema.get("properties", {}).items():
        if "default" in subschema:
            settings.setdefault(key, copy.deepcopy(subschema["default"]))
        if isinstance(settings.get(key), dict):
            _fill_defaults(settings[key], subschema)


# --- sheets ----------------------------------------------------------------------------------------------------------


def _read_samples(
    settings: Mapping[str, Any],
    species: Mapping[str, Species] | None,
    problems: list[str],
) -> dict[str, Sample]:
    sheet = str(settings["samples"])
    samples: dict[str, Sample] = {}
    sources: dict[str, Sample] = {}
    table = list(rows(sheet, "samples", problems))
    may_delete = settings["delete_source"] or any(cells.get("delete_source") == "yes" for _, cells in table)
    for row, cells in table:
        mate = cells.get("mate")
        path, deletion = _as_path(cells["path"]), cells.get("delete_source")
        deleted = deletion == "yes" if deletion else bool(settings["delete_source"])
        size = int(cells.get("bytes") or 0)
        sample = Sample(cells["sample"], path, cells["species"], row, mate and _as_path(mate), deleted, size)
        place = f"{sheet}, row {row}"
        if sample.accession and deletion:
            problems.append(
                f"{place}, column 'delete_source': downloaded files of a run are deleted in any case, unless the key "
                "'sra.keep_downloads' is set; leave the cell empty"
            )
        if sample.name in samples:
            problems.append(
                f"{place}, column 'sample': '{sample.name}' is already the name of row {samples[sample.name].row}; "
                "give every sample a name of its own"
            )
            continue
        samples[sample.name] = sample
        for column, path in zip(("path", "mate"), sample.files, strict=False):
            other = sources.setdefault(os.path.realpath(path), sample) if may_delete else sample
            if other is not sample and (other.is_deleted or sample.is_deleted):
                problems.append(
                    f"{place}, column '{column}': '{path}' is already the file of row {other.row}; "
                    "with delete_source every sample needs files of its own"
                )
        if sample.mate is not None and (sample.accession or sample.mate == sample.path):
            problems.append(
                f"{place}, column 'mate': "
                + (
                    f"the run '{sample.path}' is fetched with all of its files; leave the cell empty"
                    if sample.accession
                    else f"'{sample.mate}' is the file of the column 'path' as well; give the second file of the pair"
                )
            )
        if species is not None and sample.species != NO_MODEL and sample.species not in species:
            problems.append(
                f"{place}, column 'species': '{sample.species}' is not in {settings['species']}; add a row for it "
                f"there, or write '{NO_MODEL}' to code the sample without a model"
                + did_you_mean(sample.species, species)
            )
    problems += _clashing_texts(sheet, samples)
    return samples


def _clashing_texts(sheet: str, samples: Mapping[str, Sample]) -> Iterator[str]:
    """The texts of a pair get the name of their sample, and a number."""
    for sample in samples.values():
        for number in (1, 2):
            other = samples.get(f"{sample.name}_{number}")
            if other is not None and (sample.mate or sample.accession):
                yield (
                    f"{sheet}, row {other.row}, column 'sample': the name '{other.name}' is that of a text of the pair "
                    f"'{sample.name}' (row {sample.row}); give one of them another name"
                )


def _read_species(settings: Mapping[str, Any], problems: list[str]) -> dict[str, Species]:
    sheet = str(settings["species"])
    training = settings["training"]
    species: dict[str, Species] = {}
    for row, cells in rows(sheet, "species", problems):
        place = f"{sheet}, row {row}"
        name = cells["species"]
        if name in species:
            problems.append(
                f"{place}, column 'species': '{name}' is already described in row {species[name].row}; keep one of "
                "the two"
            )
            continue
        if name == NO_MODEL:
            problems.append(
                f"{place}, column 'species': '{NO_MODEL}' is reserved for samples without a model; choose another label"
            )
            continue
        panel = tuple(_as_path(path.strip()) for path in cells.get("panel", "").split(";") if path.strip())
        model = cells.get("model") and _as_path(cells["model"])
        if bool(panel) == bool(model):
            problems.append(
                f"{place}, columns 'panel' and 'model': give a panel to train a model on, or a model that exists, "
                + ("not both" if panel else "but one of them")
            )
        for column in ("base", "preset", *_NETWORKS_ONLY):
            if model and not panel and column in cells:
                problems.append(
                    f"{place}, column '{column}': nothing is trained where a model is given; leave the cell empty, "
                    "or replace the model by a panel"
                )
        if "base" in cells and "preset" in cells:
            problems.append(
                f"{place}, columns 'base' and 'preset': a model that starts from another has its preset; leave one of "
                "the cells empty"
            )
        if "minutes" in cells and "epochs" in cells:
            problems.append(
                f"{place}, columns 'minutes' and 'epochs': one budget is enough; leave one of the cells empty"
            )
        from_samples = panel == (SAMPLES,)
        if from_samples and ("base" in cells or cells.get("preset", training["preset"]) != EXPERTS):
            problems.append(
                f"{place}, column 'panel': '{SAMPLES}' is for experts that start from nothing; leave 'base' and "
                "'preset' empty, or name the files of the panel"
            )
        preset = None if model else EXPERTS if "base" in cells else cells.get("preset", training["preset"])
        species[name] = Species(
            name=name,
            row=row,
            panel=panel,
            model=model,
            base=cells.get("base") and _as_path(cells["base"]),
            preset=preset,
            recipe=cells.get("recipe"),
            minutes=cells.get("minutes"),
            epochs=cells.get("epochs"),
            from_samples=from_samples,
        )
    for entry in species.values():
        _check_base(entry, species, sheet, problems)
    return {name: _with_budget(entry, species, sheet, training, problems) for name, entry in species.items()}


def _with_samples(entry: Species, samples: Mapping[str, Sample], done: Set[str]) -> Species:
    """With the files of its samples as its panel, if that is asked for; those of samples that are done may be gone."""
    if not entry.from_samples:
        return entry
    own = [sample for sample in samples.values() if sample.species == entry.name and sample.files]
    return replace(entry, panel=tuple(one.path for one in own if one.name not in done or Path(one.path).is_file()))


def _with_budget(
    entry: Species, species: Mapping[str, Species], sheet: str, training: Mapping[str, Any], problems: list[str]
) -> Species:
    """With the preset of its base, if it has one, and the budget of a network."""
    if entry.base is not None and _is_network(entry.base, species):
        entry = replace(entry, preset=None)
    if entry.trains_experts:
        problems += [
            f"{sheet}, row {entry.row}, column '{column}': experts, which are trained here, learn the whole panel "
            "once; leave the cell empty, or choose a network in the column 'preset' or 'base'"
            for column in _NETWORKS_ONLY
            if getattr(entry, column) is not None
        ]
    elif entry.panel:
        minutes = training["minutes"] if entry.epochs is None and entry.minutes is None else entry.minutes
        return replace(entry, recipe=entry.recipe or training["recipe"], minutes=minutes)
    return entry


def _check_base(entry: Species, species: Mapping[str, Species], sheet: str, problems: list[str]) -> None:
    """A chain of species that start from one another must begin somewhere."""
    seen = {entry.name}
    base = entry.base
    while base is not None and base in species:
        if base in seen:
            problems.append(
                f"{sheet}, row {entry.row}, column 'base': '{entry.name}' would have to be trained before itself; "
                "let the chain begin at a species without a base, or at a model file"
            )
            return
        seen.add(base)
        base = species[base].base


def _is_network(base: str, species: Mapping[str, Species]) -> bool:
    """Whether a base, the label of a species or a file, has a network, or may have one."""
    seen = set[str]()
    while base in species and base not in seen:
        seen.add(base)
        start = species[base]
        if start.model is None and start.base is None:
            return not start.trains_experts
        base = start.model or start.base or ""
    return has_network(base) is not False


def _missing_files(
    settings: Mapping[str, Any],
    samples: Mapping[str, Sample],
    species: Mapping[str, Species],
    exists: FileCheck,
    archived: Set[str],
) -> Iterator[str]:
    """Archived samples no longer need their file, panel or model: the archive has a copy of the model beside it."""
    waiting = [sample for sample in samples.values() if sample.name not in archived]
    for sample in waiting:
        for column, path in zip(("path", "mate"), sample.files, strict=False):
            if not exists(path):
                yield f"{settings['samples']}, row {sample.row}, column '{column}': {_missing(path)}"
    done = {sample.species for sample in samples.values()} - {sample.species for sample in waiting}
    needed = {name for name in species if name not in done}
    for name in list(needed):
        base = species[name].base
        while base is not None and base in species and base not in needed:
            needed.add(base)
            base = species[base].base
    for entry in species.values():
        files = [] if entry.from_samples else [("panel", path) for path in entry.panel]
        files += [("model", entry.model)] if entry.model else []
        files += [("base", entry.base)] if entry.base and entry.base not in species else []
        for column, path in files:
            if entry.name in needed and not exists(path):
                yield f"{settings['species']}, row {entry.row}, column '{column}': {_missing(path)}"


def _missing(path: str) -> str:
    if (problem := accessions.no_file(path)) is not None:
        return problem
    if Path(path).is_dir():
        return f"'{path}' is a directory; name a file in it"
    if Path(path).exists():
        return f"'{path}' is a pipe, socket or device; give a regular file, which can be read more than once"
    if Path(path).is_symlink():
        return f"'{path}' is a link to '{os.readlink(path)}', which does not exist; correct the link"  # noqa: PTH115
    return (
        f"file '{path}' not found; correct the path, which is relative to the working directory, or put the file there"
    )


def _as_path(cell: str) -> str:
    """A path that no command takes for an option."""
    return f"./{cell}" if cell.startswith("-") else cell
