"""Archive several samples with one start of Python and one load of their model."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geneformer_codec import api
from geneformer_codec.archive.models import CodingModel, Execution, open_model
from geneformer_codec.errors import GfzError
from geneformer_codec.files import atomic_directory

if TYPE_CHECKING:
    from geneformer_codec.coding.coder import BaseCoder
    from geneformer_codec.model.experts.settings import ExpertSettings


class ReadyModel:
    """A model that is made ready to code once, however many samples it codes."""

    def __init__(self, model: CodingModel) -> None:
        self._model = model
        self.id, self.name, self.data = model.id, model.name, model.data
        self._coders: dict[Any, BaseCoder] = {}

    def expert_settings(self, level: str) -> "ExpertSettings | None":
        """How the experts predict at a level."""
        return self._model.expert_settings(level)

    def coder(
        self,
        settings: "ExpertSettings | None",
        device: str = "auto",
        threads: int = 0,
        *,
        arithmetic: str = "auto",
        lane_batch: int = 0,
    ) -> "BaseCoder":
        """The model ready to code."""
        key = settings, device, threads, arithmetic, lane_batch
        if key not in self._coders:
            self._coders[key] = self._model.coder(
                settings, device, threads, arithmetic=arithmetic, lane_batch=lane_batch
            )
        return self._coders[key]


def archive_samples(
    samples: Sequence[tuple[str, Path]],
    directory: Path,
    *,
    model: Path | None,
    level: str,
    part_bases: int,
    embed: bool,
    execution: Execution,
) -> list[str]:
    """Archive each sample, a name and a file, as ``directory/NAME.gfz``, and prove it by decoding.

    A sample that cannot be archived does not stop the others: ``directory/NAME.error`` says why, and so does the list
    that is returned.
    """
    ready = ReadyModel(opened) if (opened := open_model(model)) else None
    errors = []
    with atomic_directory(directory, force=True) as out:
        for name, source in samples:
            try:
                api.compress(
                    source,
                    out / f"{name}.gfz",
                    part_bases=part_bases,
                    name=name,
                    model=ready,
                    level=level,
                    embed=embed and ready is not None,
                    verify=True,
                    execution=execution,
                )
            except (GfzError, OSError) as error:
                errors.append(f"{name}: {error}")
                (out / f"{name}.error").write_text(f"{error}\n", encoding="utf-8")
    return errors
