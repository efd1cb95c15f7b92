"""Archive, decompress or verify several samples with one start of Python and one load of their model."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geneformer_codec import api
from geneformer_codec.archive.manifest import WITHOUT_MODEL
from geneformer_codec.archive.models import CodingModel, Execution, find_model, open_model
from geneformer_codec.archive.read import Archive
from geneformer_codec.cli.console import message_of
from geneformer_codec.errors import GfzError
from geneformer_codec.files import atomic_directory
from geneformer_codec.limits import UNLIMITED
from geneformer_rules.notices import print_notices
from geneformer_rules.provenance import BATCH_RECORDS, describe_files
from geneformer_rules.publishing import write_json

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
        """What it takes in memory."""
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


def archive_samples(
    samples: Sequence[tuple[str, Sequence[str | Path]]],
    directory: Path,
    *,
    species: str,
    model: Path | None,
    level: str,
    part_bases: int,
    embed: bool,
    execution: Execution,
) -> list[str]:
    """Archive each sample, a name and a file or pair, as ``directory/NAME.gfz``, and prove it by decoding.

    What each was made of is in ``directory/made_of.json`` (`provenance`). One that fails stops no other:
    ``directory/NAME.error`` says why, and so does the list that is returned.
    """
    ready = ReadyModel(opened) if (opened := open_model(model)) else None
    errors = []
    with atomic_directory(directory, force=True) as out:
        records = {name: describe_files([*map(str, files)], species) for name, files in samples}
        write_json(records, out / BATCH_RECORDS)
        for name, (source, *mates) in samples:
            try:
                facts = api.compress(
                    source,
                    out / f"{name}.gfz",
                    mate=mates[0] if mates else None,
                    part_bases=part_bases,
                    name=name,
                    model=ready,
                    level=level,
                    embed=embed and ready is not None,
                    verify=True,
                    execution=execution,
                ).as_dict()
                print_notices(name, facts)
            except (GfzError, OSError) as error:
                errors.append(f"{name}: {message_of(error)}")
                (out / f"{name}.error").write_text(f"{message_of(error)}\n", encoding="utf-8")
    return errors


def decompress_samples(
    archives: Sequence[Path], directory: Path, *, only: Sequence[Path] = (), execution: Execution
) -> list[str]:
    """Decompress each archive, ``NAME.gfz``, to ``NAME.fa`` or, of reads, ``NAME.fq``; a pair has ``_1`` and ``_2``.

    With ``only``, other texts than these are an error. What is there and no older than its archive stays, so that work
    that was interrupted goes on where it stopped. An archive that cannot be decoded does not stop the others; the list
    that is returned has a message for each.
    """

    def work(archive: Path, model: CodingModel | None) -> None:
        if not only and is_current(archive, directory):
            return
        facts = api.info(archive, max_memory=UNLIMITED).as_dict()
        suffix = "fq" if facts["kind"] == "FASTQ" else "fa"
        names = [f"{archive.stem}_{number}" for number in (1, 2)] if facts["mate"] else [archive.stem]
        text, *mates = [directory / f"{name}.{suffix}" for name in names]
        if only and {text, *mates} != set(only):
            found = " and ".join(map(str, (text, *mates)))
            raise GfzError(f"the archive holds {facts['kind']} and does not become {only[0]}; ask for {found}")
        mate = mates[0] if mates else None
        for left in (old for path in (text, *mates) for old in directory.glob(f".{path.name}.*.tmp")):
            left.unlink()  # of a job that was killed outright
        api.decompress(archive, text, mate=mate, model=model, force=True, execution=execution, max_memory=UNLIMITED)

    directory.mkdir(parents=True, exist_ok=True)
    return _each(archives, work)


def verify_samples(archives: Sequence[Path], *, execution: Execution) -> list[str]:
    """Decode each archive and check every checksum; the list that is returned has a message for each that fails."""
    return _each(
        archives, lambda archive, model: api.verify(archive, model=model, execution=execution, max_memory=UNLIMITED)
    )


def is_current(archive: Path, directory: Path) -> bool:
    """Whether what an archive holds is in the directory, and no older than the archive."""
    return any(
        all(_is_newer(directory / f"{archive.stem}{number}.{suffix}", archive) for number in numbers)
        for suffix in ("fa", "fq")
        for numbers in ([""], ["_1", "_2"])
    )


def _is_newer(text: Path, archive: Path) -> bool:
    try:
        return text.stat().st_mtime_ns >= archive.stat().st_mtime_ns
    except OSError:
        return False


def _each(archives: Iterable[Path], work: Callable[[Path, CodingModel | None], object]) -> list[str]:
    models: dict[str, CodingModel | None] = dict.fromkeys(WITHOUT_MODEL)
    errors = []
    for path in archives:
        try:
            with Archive(path, max_memory=UNLIMITED) as archive:
                wanted = archive.manifest.model
                if wanted.id not in models and not wanted.embedded:
                    models[wanted.id] = ReadyModel(found) if (found := find_model(archive)) else None
            work(path, models.get(wanted.id))
        except (GfzError, OSError) as error:
            errors.append(f"sample '{path.stem}': {message_of(error)}")
    return errors
