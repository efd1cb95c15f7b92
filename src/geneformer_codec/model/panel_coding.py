"""A panel's bases coded by the experts, without a panel of their own: a line of JSON, then one stream per slice."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.errors import FormatError
from geneformer_codec.limits import FLOOR, check_need
from geneformer_codec.model.initial_states import shipped_initial_state
from geneformer_codec.predict.predictor import MAX_PLACES, Predictor
from geneformer_codec.predict.settings import ExpertSettings

SLICE_BASES = 1 << 27
"""Bases that are coded in one go, each from all before it; longer panels are unpacked by several threads."""
MAX_HEADER_BYTES = 1 << 16

Report = Callable[[int], None]


def encode_panel(
    bases: NDArray[np.uint8],
    settings: ExpertSettings,
    threads: int = 1,
    report: Report | None = None,
    slice_: int = SLICE_BASES,
) -> bytes:
    """The coded panel. ``bases`` uint8 [n] of 0..3."""
    predictor = _predictor(settings)
    pieces = [bases[at : at + slice_] for at in range(0, len(bases), slice_)]
    with ThreadPoolExecutor(max(1, min(threads, len(pieces)))) as pool:
        streams = list(pool.map(lambda piece: predictor.encode(piece, report), pieces))
    header = {"slice": slice_, "settings": settings.as_dict(), "sizes": [len(stream) for stream in streams]}
    return json.dumps(header, sort_keys=True, separators=(",", ":")).encode() + b"\n" + b"".join(streams)


def decode_panel(coded: bytes, count: int, threads: int = 1) -> NDArray[np.uint8]:
    """The ``count`` bases of a coded panel; ``FormatError`` for what no `encode_panel` has written."""
    settings, slice_, sizes, at = _header(coded, count)
    each = settings.table_bytes + settings.slice_bytes(min(slice_, count))
    check_need("the model's panel", each, FLOOR)
    threads = min(threads, FLOOR // each)
    predictor = _predictor(settings)
    jobs = []
    for number, size in enumerate(sizes):
        jobs.append((coded[at : at + size], min(slice_, count - number * slice_)))
        at += size
    if at != len(coded):
        raise FormatError("the model's panel has other sizes than it states")
    with ThreadPoolExecutor(max(1, min(threads, len(jobs)))) as pool:
        pieces = list(pool.map(lambda job: predictor.decode(*job), jobs))
    return np.concatenate([np.zeros(0, np.uint8), *pieces])


def _predictor(settings: ExpertSettings) -> Predictor:
    state = shipped_initial_state(settings)
    return Predictor(settings, mixer=state.mixer, low=state.low)


def _header(coded: bytes, count: int) -> tuple[ExpertSettings, int, list[int], int]:
    end = coded.find(b"\n", 0, MAX_HEADER_BYTES)
    try:
        header = json.loads(coded[: max(end, 0)])
        slice_, sizes = header["slice"], header["sizes"]
        settings = ExpertSettings.from_dict(header["settings"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FormatError("the model's panel does not begin with its settings") from error
    if type(slice_) is not int or not 0 < slice_ <= MAX_PLACES or not 0 <= count <= MAX_PLACES:
        raise FormatError("the model's panel has an invalid slice length")
    if not isinstance(sizes, list) or len(sizes) != -(-count // slice_):
        raise FormatError("the model's panel has another number of slices than it needs")
    if not all(type(size) is int and 0 <= size <= len(coded) for size in sizes):
        raise FormatError("the model's panel has a slice of an invalid size")
    return settings, slice_, sizes, end + 1
