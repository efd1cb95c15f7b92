"""Coding slices of reads, their qualities and differences, on a device."""

from collections.abc import Mapping, Sequence
from typing import Any

from geneformer_codec.align.difference_slices import DifferenceCodec
from geneformer_codec.coding.interface import Progress
from geneformer_codec.coding.slices import SliceCodec, check_end, code_slices
from geneformer_codec.cuda.coder import Batches, Job
from geneformer_codec.cuda.differences import Differences, difference_works
from geneformer_codec.cuda.layout import Family, Work
from geneformer_codec.cuda.qualities import Qualities, quality_works
from geneformer_codec.streams.qualities.slices import QualityCodec


def code_read_slices(
    batches: Batches,
    codec: SliceCodec,
    slices: Sequence[Any],
    streams: Sequence[bytes] | None,
    threads: int,
    progress: Progress | None,
) -> list[bytes]:
    """As `code_slices`, together with slices of other parts on a device; or on so many threads, if these are few."""
    coded = [b""] * len(slices)
    works: Mapping[int, Work]
    family: Family
    if isinstance(codec, QualityCodec):
        if len(codec.alphabet.values) == 1:
            return code_slices(codec, slices, streams, threads)
        family, works = Qualities(codec.profile, codec.effort), quality_works(codec, slices, streams)
    else:
        assert isinstance(codec, DifferenceCodec)
        family, works = Differences(codec.reference.panel), difference_works(codec, slices, streams)
    if not works:
        return code_slices(codec, slices, streams, threads)
    is_done = False

    def on_cpu() -> None:
        nonlocal is_done
        coded[:] = code_slices(codec, slices, streams, threads)
        is_done = True

    def stopping(_: int) -> None:
        if progress is not None:
            progress(0)  # which counts bases

    batches.do(Job(family, streams is not None, list(works.values()), on_cpu, stopping))
    for number, work in works.items() if not is_done else ():
        if streams is None:
            coded[number] = work.stream
        else:
            check_end(work.place, streams[number], codec.what)
    return coded
