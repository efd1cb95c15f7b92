"""Find the model that an archive needs: inside it, in the file that was given, or on the search path."""

import functools
import os
import stat
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geneformer_codec.archive.coders import Coders, CodingModel
from geneformer_codec.archive.expert_coders import ExpertCoders
from geneformer_codec.archive.manifest import EXPERTS, ModelReference
from geneformer_codec.archive.memory import Share, share_memory
from geneformer_codec.archive.read import Archive
from geneformer_codec.archive.settings import Settings
from geneformer_codec.coding.threads import cores
from geneformer_codec.errors import FormatError, GfzError, ModelMissingError, option
from geneformer_codec.limits import FLOOR, PROCESS, MemoryLimitError, check_need

if TYPE_CHECKING:
    from geneformer_codec.cuda.coder import Batches
    from geneformer_codec.predict.settings import ExpertSettings

SEARCH_PATH = "GFZ_MODEL_PATH"
"""The environment variable with directories, separated by colons, in which ``*.gfmodel`` files are looked for."""

BESIDE = "models"
"""The directory beside an archive in which its model is looked for first."""


@dataclass(frozen=True)
class Execution:
    """How the work is done. No byte of an archive depends on it; 0 and ``auto`` leave the choice to the tool."""

    threads: int = 0
    device: str = "auto"


def open_model(model: str | Path | CodingModel | None, max_memory: int | None = None) -> CodingModel | None:
    """Read the model file unless it has been read already; ``max_memory`` as for `read_model`."""
    if not isinstance(model, str | Path):
        return model
    from geneformer_codec.model.file import read_model

    path = Path(model)
    try:
        status = path.stat()
    except OSError:  # reading reports it
        return read_model(path, max_memory)
    if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
        return read_model(path, max_memory)
    return _from_pipe(path, max_memory, status.st_dev, status.st_ino)


@functools.lru_cache(maxsize=2)
def _from_pipe(path: Path, max_memory: int | None, *_: int) -> CodingModel:
    """A model that comes through a pipe: it can be read once, and is needed for each of several archives."""
    from geneformer_codec.model.file import read_model

    model: CodingModel = read_model(path, max_memory)
    return model


def reference(model: CodingModel | None, embedded: bool) -> ModelReference:
    """How an archive made with ``model`` names it."""
    if model is None:
        return ModelReference(EXPERTS)
    return ModelReference(model.id, model.name, len(model.data), embedded)


def without_model(level: str, bases: int, is_reads: bool = False, short_reads: bool = True) -> "ExpertSettings":
    """How experts that start untrained are to predict at a level, in slices of at most ``bases``."""
    from geneformer_codec.predict.settings import without_panel

    settings = without_panel(level)
    if is_reads:
        few = settings.max_candidates_both or settings.max_candidates
        settings = replace(settings, max_candidates=few, **(_FAST_READS if level == "fast" else {}))
        if level == "balanced" and not short_reads:
            settings = replace(settings, **_LONG_READS)
    # Tables four times as large as both strands of a slice: more only takes time to clear.
    return replace(settings, table_bits=min(settings.table_bits, max(8, bases.bit_length() + 2)))


_FAST_READS: dict[str, Any] = {
    "low_orders": (3,),
    "count_orders": (11,),
    "count_priors": (30,),
    "initial_state": "",
    "copies": 3,
    "history_sampling": 2,
    "match_run_length_noisy": 8,
}
"""How reads are predicted otherwise at fast: each has few relatives, or very many, and not many bases to find them by.

Counts, which genomes do without there, make them up to a third smaller at the same speed, and then one short context
does for two.
"""

_LONG_READS: dict[str, Any] = {
    "count_orders": (9, 12, 16),
    "count_priors": (30, 20, 20),
    "initial_state": "",
    "copies": 12,
}
"""How long reads are predicted otherwise at balanced: errors are many, so that more copies and contexts pay."""


def expert_batches(settings: Settings, execution: Execution, slices: int | None = None) -> "Batches | None":
    """What codes slices of experts on a GPU, if that is where they are to be coded; ``slices`` is their number."""
    if not settings.are_experts:
        return None
    from geneformer_codec.cuda.choose import batches_for

    threads = execution.threads or cores()
    return batches_for(execution.device, settings.slice_length, settings.part_bases, threads, slices)


def make_coders(
    needed: str,
    model: CodingModel | None,
    settings: Settings,
    execution: Execution,
    strands: str = "auto",
    share: Share | None = None,
    batches: "Batches | None" = None,
) -> Coders:
    """What codes an archive of the model with the id ``needed`` and settings; ``batches`` code experts, if any.

    Without a model, it codes parts that need none.
    """
    threads = execution.threads or cores()
    if settings.are_experts:
        working = threading.Semaphore(threads)
        made = ExpertCoders(needed, model, settings, threads, strands, working, batches)
        # threads work on different parts, and those that are free on slices
        at_once = share.parts if share else batches.held if batches else threads
        return Coders(needed, made.make, made.choose, at_once, threads, share, made.aligner, True, batches, working)
    if model is None:
        raise ValueError(f"model {needed} is not available")
    coder = model.coder(settings.experts, execution.device, execution.threads)
    return Coders(needed, lambda _: coder, threads=threads, share=share)


def coders_of(
    archive: Archive, model: "str | Path | CodingModel | None" = None, execution: Execution | None = None
) -> Coders:
    """What decodes an archive, all of it as the archive states; ``model`` counts when none is embedded.

    Threads are as many as fit into the memory that the archive may take; an error when not one does.
    """
    found, manifest, execution = find_model(archive, model), archive.manifest, execution or Execution()
    slices = sum(block.slices for block in manifest.blocks if not block.without_model)
    try:
        batches = expert_batches(manifest.settings, execution, slices)
    except GfzError as error:
        raise error.within(archive.label) from error
    most = execution.threads or cores()
    together = batches.held if batches else most if manifest.settings.are_experts else 1
    threads, share = _share_memory(archive, found, most, together)
    if batches:
        batches.hold(share.parts)
    if threads < most:
        execution = replace(execution, threads=threads)
    try:
        return make_coders(manifest.model.id, found, manifest.settings, execution, share=share, batches=batches)
    except GfzError as error:
        raise error.within(archive.label) from error


def check_memory(archive: Archive, model: CodingModel | None = None) -> None:
    """Refuse an archive that takes more memory than it may, even on one thread."""
    _share_memory(archive, model, 1)


def _share_memory(archive: Archive, model: CodingModel | None, threads: int, together: int = 1) -> tuple[int, Share]:
    manifest = archive.manifest
    model_bytes = model.memory_bytes if model else 0
    outside = 0 if manifest.model.embedded else manifest.model.bytes
    # a model that is here was allowed when it was read
    limit = archive.max_memory or max(archive.memory_limit(outside), FLOOR + model_bytes)
    if (experts := manifest.settings.experts) is not None:
        check_need(archive.label, PROCESS + experts.initial_state_bytes, limit)
        model_bytes += experts.table_bytes if model else 0
    return share_memory(manifest, archive.label, limit, model_bytes, threads, together)


def find_model(archive: Archive, given: str | Path | CodingModel | None = None) -> CodingModel | None:
    """The model that the archive needs, None when it needs none. ``given`` counts when none is embedded."""
    wanted = archive.manifest.model
    if not archive.manifest.needs_model:
        return None
    data = archive.model_data()
    if data is not None:
        from geneformer_codec.model.file import load_model

        model: CodingModel = load_model(data, f"{archive.label}: its embedded model", archive.max_memory)
        if model.id != wanted.id:
            raise FormatError(f"{archive.label}: its model is {model.id}, not {wanted.id}; the archive is damaged")
        return model
    found = open_model(given, archive.max_memory)
    if found is None:
        return _search(archive, wanted)
    if found.id != wanted.id:
        raise ModelMissingError(
            f"{archive.label}: needs model {wanted.id} ({wanted.name}), but {option('model')} gave {found.id} "
            f"({found.name}); give the model that the archive was compressed with"
        )
    return found


def _search(archive: Archive, wanted: ModelReference) -> CodingModel:
    """Look in ``models`` beside the archive, where the workflow keeps its models, and on the search path."""
    from geneformer_codec.model.file import read_model

    label, max_memory = archive.label, archive.max_memory
    directories = [Path(name) for name in os.environ.get(SEARCH_PATH, "").split(":") if name]
    if archive.directory is not None and (beside := archive.directory / BESIDE).is_dir():
        directories.insert(0, beside)
    files = [file for directory in directories for file in sorted(directory.glob("*.gfmodel"))]
    for file in sorted(files, key=lambda file: (file.stem != wanted.id, file.stem != wanted.name)):
        try:
            model: CodingModel = read_model(file, max_memory)
        except MemoryLimitError:
            if file.stem == wanted.id:
                raise
            continue
        except (GfzError, OSError):
            continue  # another model's damage does not matter here
        if model.id == wanted.id:
            return model
    raise ModelMissingError(
        f"{label}: needs model {wanted.id} ({wanted.name}), which is not in the archive"
        f"{' nor in ' + ', '.join(map(str, directories)) if directories else ''}; "
        f"give its file with {option('model')}, or its directory in {SEARCH_PATH}"
    )
