"""Read an archive: its form and manifest are checked when it is opened, each block when it is decoded."""

import contextlib
import hashlib
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from geneformer_codec.archive.block import ErrorContext, decode_block, decode_streams, split_streams
from geneformer_codec.archive.coders import Coders
from geneformer_codec.archive.container import AGAIN, HEAD_BYTES, ContainerReader, check_head
from geneformer_codec.archive.manifest import MAX_MANIFEST_BYTES, Block, Manifest
from geneformer_codec.archive.memory import text_bytes
from geneformer_codec.archive.remote import RemoteFile, is_url
from geneformer_codec.coding.interface import Progress
from geneformer_codec.coding.threads import in_order
from geneformer_codec.errors import FormatError, UsageError
from geneformer_codec.files import STREAM, open_readable, read_stream, spooled, standard_input
from geneformer_codec.limits import PROCESS, check_need, check_text, default_limit, streams_within
from geneformer_codec.streams.interface import PartContent
from geneformer_codec.streams.table import INDEX_STREAMS, STREAM_IDS, TEXT_STREAMS

_FROM_PIPE = "if it came through a pipe, see whether the command before it failed"


class Archive(contextlib.AbstractContextManager["Archive"]):
    """An open archive: a path, a URL, ``-`` for standard input, or a binary stream.

    Reading may take ``max_memory`` bytes of memory; by default, an amount in proportion to its size.
    A stream without random access, such as a pipe, is copied to a temporary file, as an archive is read from its end.
    Whatever is wrong with it is a ``FormatError`` that names the file.

    >>> with Archive("genome.gfz") as archive:  # doctest: +SKIP
    ...     print(archive.manifest.sample.name, archive.file_bytes)
    """

    def __init__(self, source: str | Path | BinaryIO, label: str | None = None, max_memory: int | None = None):
        if max_memory is not None and max_memory < 1:
            raise UsageError(f"invalid max_memory {max_memory}; give a positive number of bytes")
        self.max_memory = max_memory
        self._owned: BinaryIO | None = None
        self._file, self.label, again = self._opened(source, label)
        is_file = isinstance(source, str | Path) and str(source) != STREAM and not is_url(source)
        self.directory = Path(str(source)).parent if is_file else None
        """Where the archive lies, if it is a file."""
        try:
            self._container = ContainerReader(self._file, self.label, again)
            self.manifest = Manifest.parse(self._container.manifest(MAX_MANIFEST_BYTES), self.label)
            self._check_entries()
        except BaseException:
            self.close()
            raise

    def _opened(self, source: str | Path | BinaryIO, label: str | None) -> tuple[BinaryIO, str, str]:
        """A file that can be sought in, what it is called, and what to do when it is damaged."""
        if is_url(source):
            self._owned = cast(BinaryIO, RemoteFile(source))
            return self._owned, label or source, AGAIN
        standard = isinstance(source, str | Path) and str(source) == STREAM
        if standard:
            stream, label = standard_input(), label or "standard input"
        elif isinstance(source, str | Path):
            stream = self._owned = open_readable(Path(source))
            label = label or str(source)
        else:
            stream, label = source, label or str(getattr(source, "name", "the stream"))
        if stream.seekable() and not standard:
            return stream, label, AGAIN
        with contextlib.ExitStack() as stack:
            if self._owned:
                stack.callback(self._owned.close)
            head = read_stream(stream, HEAD_BYTES, label)
            check_head(head, label, _FROM_PIPE)  # before the rest of what may be anything is copied
            self._owned = spooled(stream, head, label)
        return self._owned, label, _FROM_PIPE

    def close(self) -> None:
        """Close the file if it was opened here."""
        if self._owned:
            self._owned.close()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def file_bytes(self) -> int:
        """The size of the file."""
        return self._container.file_bytes

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks in the order of the sample's text."""
        return self.manifest.blocks

    def block_data(self, block: Block) -> bytes:
        """The bytes of a block's entry, checked against their CRC-32."""
        return self._container.read(block.entry)

    def memory_limit(self, model_bytes: int = 0) -> int:
        """How much memory reading may take, with a model file of that size that is not in the archive."""
        return self.max_memory or default_limit(self.file_bytes + model_bytes)

    def check_text(self, max_memory: int | None = None) -> None:
        """Refuse to decode all of an archive whose text is out of proportion to its size."""
        text = sum(block.text_bytes for block in self.blocks)
        check_text(self.label, text, self.file_bytes, max_memory)

    @contextlib.contextmanager
    def expanding(self, *blocks: Block) -> Iterator[None]:
        """Side streams, or texts of ``blocks`` of no known bases, are made in here, within the limit."""
        needed, limit = PROCESS + max(map(text_bytes, blocks), default=0), self.memory_limit()
        check_need(self.label, needed, limit)
        with streams_within(limit - needed):
            yield

    @property
    def remote(self) -> bool:
        """Whether its bytes come from elsewhere, so that as few as can be are to be read."""
        return isinstance(self._file, RemoteFile)

    def stream_range(self, block: Block, first: str, last: str | None = None) -> tuple[int, int]:
        """Where in a block's entry the streams from ``first`` to ``last`` are."""
        begin, end = STREAM_IDS.index(first), STREAM_IDS.index(last or first) + 1
        sizes = list(block.streams.values())
        return sum(sizes[:begin]), sum(sizes[:end])

    def hold(self, ranges: Iterable[tuple[Block, int, int]], whole: Iterable[Block] = ()) -> None:
        """Say which bytes of blocks' entries will be read, so that those of a remote archive are fetched at once.

        ``whole`` are blocks whose `block_data` will be needed.
        """
        if isinstance(self._file, RemoteFile):
            places = ((self._container.place(block.entry), start, stop) for block, start, stop in ranges)
            spans = [(place + start, place + stop) for place, start, stop in places]
            self._file.hold([*spans, *(self._container.span(block.entry) for block in whole)])

    def read_range(self, block: Block, start: int, stop: int) -> bytes:
        """Bytes of a block's entry, unchecked: for reading a part of a block."""
        return self._container.read_range(block.entry, start, stop)

    def model_data(self) -> bytes | None:
        """The model file that travels in the archive, if one does."""
        return self._container.read(self.manifest.model.entry) if self.manifest.model.embedded else None

    def decode(self, block: Block, coders: Coders, data: bytes | None = None) -> PartContent:
        """One part, checked against its SHA-256; ``data`` is its entry, if it was read before."""
        self._check_coders(coders)
        data = self.block_data(block) if data is None else data
        return decode_block(block, self.manifest.settings, data, coders, self.label)

    def decode_blocks(self, coders: Coders, progress: Progress | None = None) -> Generator[PartContent, None, None]:
        """Every part that is here, in order, as many at a time as ``coders`` choose."""
        self._check_coders(coders)
        self.check_text(self.max_memory)

        def work(item: tuple[Block, bytes], report: Progress) -> PartContent:
            return decode_block(item[0], self.manifest.settings, item[1], coders, self.label, report)

        return in_order(
            work, ((block, self.block_data(block)) for block in self.blocks), coders.parts_at_once, progress
        )

    def decode_all(self, coders: Coders, progress: Progress | None = None) -> Generator[PartContent, None, None]:
        """Every part in order; if the iteration ends without an error, the sample's SHA-256 was right too."""
        self.check_complete()
        sample = self.manifest.sample
        expected = [sample.sha256, *([sample.mate.sha256] if sample.mate else [])]
        digests = [hashlib.sha256() for _ in expected]
        for block, decoded in zip(self.blocks, self.decode_blocks(coders, progress), strict=True):
            if len(decoded.texts) != len(digests):
                raise FormatError(f"{self.label}: part {block.part} is of a pair, or of none; the archive is damaged")
            for digest, text in zip(digests, decoded.texts, strict=True):
                digest.update(text)
            yield decoded
        if [digest.hexdigest() for digest in digests] != expected:
            raise FormatError(f"{self.label}: the parts are sound but not their order; the archive is damaged")

    def content(self, block: Block, streams: dict[str, bytes]) -> PartContent:
        """Decode some streams of a part, the payload and qualities not among them."""
        with self.expanding(), ErrorContext(self.label, block):
            return decode_streams(block, self.manifest.settings, streams)

    def text_content(self, block: Block, data: bytes | None = None) -> PartContent:
        """All of a part but its bases and qualities; ``data`` is its entry, if it was read before."""
        return self.content(block, self._text_streams(block, self.block_data(block) if data is None else data))

    def layout_texts(self, block: Block) -> tuple[bytes, ...]:
        """The text of one part, or those of a pair, with arbitrary bases and qualities: only the layout is right."""
        streams = self._text_streams(block, self.block_data(block))
        with self.expanding(block), ErrorContext(self.label, block):
            content = decode_streams(block, self.manifest.settings, streams)
            content.bases = np.zeros(content.fasta.base_count, np.uint8)
            content.qualities = np.full(block.residues, ord("I"), np.uint8)
            return content.texts

    def _text_streams(self, block: Block, data: bytes) -> dict[str, bytes]:
        streams = split_streams(block, data)
        return {name: streams[name] for name in (*TEXT_STREAMS, *INDEX_STREAMS)}

    def check_complete(self) -> None:
        """Refuse an archive of some parts of a sample."""
        if not self.manifest.complete:
            held, parts = len(self.blocks), self.manifest.sample.parts
            raise FormatError(
                f"{self.label}: holds {held} of the {parts} parts of {self.manifest.sample.name!r}; "
                "join it with the archives of the other parts by 'gfz gather'"
            )

    def _check_coders(self, coders: Coders) -> None:
        if coders.model_id != self.manifest.model.id:
            raise ValueError(f"the archive needs model {self.manifest.model.id}, the coders are of {coders.model_id}")

    def _check_entries(self) -> None:
        """The entries must be those of the manifest, in its order and of its sizes, before anything is read by them."""
        expected = [(block.entry, block.stored_bytes) for block in self.blocks]
        if self.manifest.model.embedded:
            expected.append((self.manifest.model.entry, self.manifest.model.bytes))
        found = [(name, self._container.size(name)) for name in self._container.names()]
        if found != expected:
            raise FormatError(f"{self.label}: its entries are not those of its manifest; the archive is damaged")
