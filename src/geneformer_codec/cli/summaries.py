"""The data of ``gfz ls``, ``stats`` and ``model``."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from geneformer_codec.archive.info import archive_info
from geneformer_codec.archive.models import SEARCH_PATH
from geneformer_codec.archive.read import Archive
from geneformer_codec.archive.record_index import RecordIndex
from geneformer_codec.errors import GfzError, InputError
from geneformer_codec.model.file import Model, read_model


def stats(source: str | Path | BinaryIO, max_memory: int | None = None) -> dict[str, Any]:
    """Numbers and lengths of an archive's records, and sizes; nothing is decoded.

    ``n50`` is the length of the shortest of the longest records that have half of all residues.
    """
    with Archive(source, max_memory=max_memory) as archive:
        info, lengths = archive_info(archive), np.sort(RecordIndex.read(archive).lengths)
    half = np.searchsorted(np.cumsum(lengths[::-1]), lengths.sum() / 2)
    return {
        "archive": archive.label,
        "sample": info.sample,
        "records": len(lengths),
        "residues": int(lengths.sum()),
        "bases": info.bases,
        "min": int(lengths[0]) if len(lengths) else 0,
        "mean": round(float(lengths.mean()), 1) if len(lengths) else 0.0,
        "max": int(lengths[-1]) if len(lengths) else 0,
        "n50": int(lengths[::-1][half]) if len(lengths) else 0,
        "input_bytes": info.input_bytes,
        "total_bytes": info.total_bytes,
        "bpb_payload": info.bpb_payload,
        "bpb_total": info.bpb_total,
    }


def model_facts(path: Path, model: Model) -> dict[str, Any]:
    """What a model file holds."""
    panel = model.experts.panel if model.experts else None
    return {
        "file": str(path),
        "name": model.name,
        "id": model.id,
        "bytes": path.stat().st_size,
        "experts": model.experts is not None,
        "network": model.config.as_dict() if model.network else None,
        "panel_records": panel.records if panel else 0,
        "panel_bases": panel.bases if panel else 0,
        "sizes": model.sizes(),
        "metadata": model.metadata,
    }


def models(places: Iterable[str | Path]) -> list[dict[str, Any]]:
    """Facts of the model files in directories, and of files; of the directories of GFZ_MODEL_PATH if none are given.

    Other files are skipped in directories, and an error where they are named.
    """
    given = [Path(place) for place in places]
    found = []
    for place in given or [Path(name) for name in os.environ.get(SEARCH_PATH, "").split(":") if name]:
        if not place.is_dir():
            if given:
                found.append(model_facts(place, read_model(place)))
            continue
        for file in sorted(place.glob("*.gfmodel")):
            try:
                found.append(model_facts(file, read_model(file)))
            except (GfzError, OSError):
                continue
    if not given and not found and not os.environ.get(SEARCH_PATH):
        raise InputError(f"no place to search; name directories with models, or set {SEARCH_PATH}")
    return found
