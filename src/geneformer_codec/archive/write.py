"""Write an archive: blocks as they come, then the model if it is to travel inside, then the manifest."""

import contextlib
import hashlib
from collections.abc import Iterable
from typing import BinaryIO

from .. import __version__
from ..coding.coder import BaseCoder, Progress
from ..sequence.parts import Part
from .block import encode_block
from .container import ContainerWriter
from .manifest import Block, Manifest, ModelReference, Sample, Settings


class ArchiveWriter(contextlib.AbstractContextManager["ArchiveWriter"]):
    """Writes one archive to ``out``; memory is that of one block.

    >>> with ArchiveWriter(out, Settings(), ModelReference()) as writer:  # doctest: +SKIP
    ...     writer.add(*encode_block(part, coder, 65536))
    ...     writer.finish(Sample("genome.fa", len(part.text), sha256, parts=1))
    """

    def __init__(self, out: BinaryIO, settings: Settings, model: ModelReference):
        self._container = ContainerWriter(out)
        self._settings, self._model = settings, model
        self._blocks: list[Block] = []

    def add(self, block: Block, data: bytes) -> None:
        """Add a block, in the order of the parts."""
        self._container.add(block.entry, data)
        self._blocks.append(block)

    def finish(self, sample: Sample, model_data: bytes = b"") -> Manifest:
        """Add the model when it is to be embedded, and the manifest."""
        if self._model.embedded:
            self._container.add(self._model.entry, model_data)
        manifest = Manifest(__version__, self._settings, self._model, sample, tuple(self._blocks))
        self._container.finish(manifest.dump())
        return manifest

    def __exit__(self, *details: object) -> None:
        self._container.__exit__(*details)


def write_archive(
    out: BinaryIO,
    parts: Iterable[Part],
    coder: BaseCoder,
    settings: Settings,
    model: ModelReference,
    sample: Sample | str,
    model_data: bytes = b"",
    progress: Progress | None = None,
) -> Manifest:
    """Compress ``parts`` into an archive. When ``sample`` is a name, the parts are the whole of it."""
    digest, size, count = hashlib.sha256(), 0, 0
    with ArchiveWriter(out, settings, model) as writer:
        for part in parts:
            digest.update(part.text)
            size, count = size + len(part.text), count + 1
            writer.add(*encode_block(part, coder, settings.lane_length, progress))
        if isinstance(sample, str):
            sample = Sample(sample, size, digest.hexdigest(), count)
        return writer.finish(sample, model_data)
