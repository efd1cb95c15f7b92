"""Write an archive: blocks in order, then the model if it is embedded, then the manifest."""

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import BinaryIO

from geneformer_codec import __version__
from geneformer_codec.archive.block import encode_block
from geneformer_codec.archive.coders import Coders
from geneformer_codec.archive.container import ContainerWriter
from geneformer_codec.archive.manifest import Block, Manifest, ModelReference
from geneformer_codec.archive.settings import Settings
from geneformer_codec.coding.interface import Progress
from geneformer_codec.coding.threads import in_order
from geneformer_codec.inputs.sample import Sample
from geneformer_codec.sequence.parts import Part


class ArchiveWriter(contextlib.AbstractContextManager["ArchiveWriter"]):
    """Writes one archive to ``out``; memory is that of one block.

    >>> with ArchiveWriter(out, Settings(), ModelReference()) as writer:  # doctest: +SKIP
    ...     writer.add(*encode_block(part, coders, Settings()))
    ...     writer.finish(Sample("genome.fa", len(part.text), sha256, parts=1))
    """

    def __init__(self, out: BinaryIO, settings: Settings, model: ModelReference):
        self._container = ContainerWriter(out)
        self.settings, self._model = settings, model
        self._blocks: list[Block] = []

    def add(self, block: Block, data: bytes) -> None:
        """Add a block, in the order of the parts."""
        self._container.add(block.entry, data)
        self._blocks.append(block)

    def finish(self, sample: Sample, model_data: bytes = b"") -> Manifest:
        """Add the model when it is to be embedded, and the manifest."""
        if self._model.embedded:
            self._container.add(self._model.entry, model_data)
        alone = any(block.without_model for block in self._blocks)
        settings = self.settings if alone else replace(self.settings, without_model=None)
        manifest = Manifest(__version__, settings, self._model, sample, tuple(self._blocks))
        self._container.finish(manifest.dump())
        return manifest

    def __exit__(self, *details: object) -> None:
        self._container.__exit__(*details)


def write_archive(
    out: BinaryIO,
    parts: Iterable[Part],
    coders: Coders,
    settings: Settings,
    model: ModelReference,
    sample: Callable[[], Sample],
    model_data: bytes = b"",
    progress: Progress | None = None,
) -> Manifest:
    """Compress ``parts`` into an archive, as many at a time as ``coders`` choose.

    The ``sample`` is called when all parts were read. If it has no parts, the parts are the whole of it, and its
    sizes and digests are theirs.
    """
    taken = Taken(parts)

    def work(part: Part, report: Progress) -> tuple[Block, bytes]:
        return encode_block(part, coders, settings, report)

    results = in_order(work, taken, coders.parts_at_once, progress)
    with contextlib.closing(results), ArchiveWriter(out, settings, model) as writer:
        for block, data in results:
            writer.add(block, data)
        known = sample()
        return writer.finish(known if known.parts else taken.complete(known), model_data)


class Taken:
    """Parts as they are taken, and what all of them are."""

    def __init__(self, parts: Iterable[Part]) -> None:
        self._parts, self._count = parts, 0
        self._digests, self._bytes = (hashlib.sha256(), hashlib.sha256()), [0, 0]

    def __iter__(self) -> Iterator[Part]:
        for part in self._parts:
            for number, text in enumerate(part.texts):
                self._digests[number].update(text)
                self._bytes[number] += len(text)
            self._count += 1
            yield part

    def complete(self, sample: Sample) -> Sample:
        """The sample with its sizes and digests, when all parts were taken."""
        first, second = (digest.hexdigest() for digest in self._digests)
        mate = sample.mate and replace(sample.mate, bytes=self._bytes[1], sha256=second)
        return replace(sample, bytes=self._bytes[0], sha256=first, parts=self._count, mate=mate)
