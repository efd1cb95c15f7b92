"""A panel made of the reads of a sample: contigs, if most reads can be mapped to them."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.align.aligner import Aligner
from geneformer_codec.align.assemble import Assembler
from geneformer_codec.archive.settings import READ_PANEL_BASES
from geneformer_codec.coding.interface import Progress
from geneformer_codec.coding.threads import in_order
from geneformer_codec.predict.panel_tables import PackedPanel
from geneformer_codec.predict.predictor import Predictor
from geneformer_codec.predict.settings import with_panel_alone
from geneformer_codec.sequence.parts import Part
from geneformer_codec.streams.interface import PartContent

LEAST_BASES = 1 << 17
"""Bases of reads below which no panel is made: a model takes some kilobytes."""
LEAST_DEPTH = 3
"""Bases of mapped reads for each base of the panel."""
TRIED = 1 << 12
"""Reads that are mapped to see whether the panel pays, about."""

Bases = NDArray[np.uint8]


def read_contigs(parts: Iterable[Part], level: str, threads: int, progress: Progress | None = None) -> list[Bases]:
    """The contigs of reads, none if they do not pay."""
    assembler, sample = Assembler(), _Sample()
    for bases, lengths in in_order(_reads, parts, threads, progress):
        assembler.add(bases, lengths)
        sample.add(bases, lengths)
    if sample.bases < LEAST_BASES:
        return []
    contigs = assembler.contigs(min(READ_PANEL_BASES, sample.bases // LEAST_DEPTH))
    return contigs if contigs and _pay(contigs, sample, level) else []


def _reads(part: Part, progress: Progress) -> tuple[Bases, NDArray[np.int64]]:
    """The bases of a part's reads, and how many each has."""
    content = PartContent.parse(part)
    progress(content.base_count)
    return content.bases, content.fasta.fragment_bases


class _Sample:
    """Reads from all over, one in so many."""

    def __init__(self) -> None:
        self.bases = self.reads = 0
        self._every = 1
        self._kept: list[tuple[int, Bases]] = []

    def add(self, bases: Bases, lengths: NDArray[np.int64]) -> None:
        """Add the reads of a part."""
        ends = np.cumsum(lengths)
        for number in range(-self.reads % self._every, len(lengths), self._every):
            if self.reads + number < self.reads + len(lengths):
                read = bases[ends[number] - lengths[number] : ends[number]]
                self._kept.append((self.reads + number, read.copy()))
        self.bases += len(bases)
        self.reads += len(lengths)
        while len(self._kept) > 2 * TRIED:
            self._every *= 2
            self._kept = [kept for kept in self._kept if kept[0] % self._every == 0]

    def kept(self) -> tuple[Bases, NDArray[np.int64]]:
        """Their bases, and how many each has."""
        reads = [read for _, read in self._kept]
        return np.concatenate(reads), np.array([len(read) for read in reads], np.int64)


def _pay(contigs: list[Bases], sample: _Sample, level: str) -> bool:
    """Whether enough reads lie on the contigs, by those of the sample."""
    settings = with_panel_alone(level)
    tables = Predictor(settings, PackedPanel.of(np.concatenate(contigs))).tables
    bases, lengths = sample.kept()
    assert tables is not None
    alignment = Aligner(tables, settings.panel_seed_length, settings.panel_sampling).align(
        bases, lengths, [len(lengths)]
    )
    if alignment is None:
        return False
    mapped = sample.bases * (len(bases) - len(alignment.own)) // len(bases)
    return mapped >= LEAST_DEPTH * sum(map(len, contigs))
