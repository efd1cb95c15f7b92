"""One part as one entry of the archive: its streams, end to end."""

import contextlib
import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from geneformer_codec.archive.coders import Coders
from geneformer_codec.archive.manifest import Block
from geneformer_codec.archive.settings import AUTO, DIGEST_SHARE, Settings
from geneformer_codec.coding.interface import Progress
from geneformer_codec.errors import FormatError, GfzError, option
from geneformer_codec.limits import MemoryLimitError, streams_within
from geneformer_codec.sequence.parts import Part
from geneformer_codec.streams.interface import Coding, PartContent, Stream
from geneformer_codec.streams.table import STREAM_IDS, STREAMS


def encode_block(
    part: Part, coders: Coders, settings: Settings, progress: Progress | None = None
) -> tuple[Block, bytes]:
    """Compress a part: what the manifest has of the block, and the bytes of its entry."""
    with coders.working:
        content = PartContent.parse(part)
        if content.base_count and part.is_reads and (aligner := coders.aligner()):
            content.align(aligner)
        if not part.is_reads and coders.chooses_bases:
            content.fill()
    coding = Coding(settings.level, settings.slice_length, coders, progress, settings.slice_bits)

    def encode(stream: Stream) -> bytes:
        with coders.working:
            return stream.encode(content, coding)

    with ThreadPoolExecutor(1) if coders.threads > 1 and part.is_reads else contextlib.nullcontext() as pool:
        beside = {stream.id: pool.submit(encode, stream) for stream in STREAMS if pool and stream.concurrent}
        # in reverse, as the table of slices has the sizes of the payload
        data = {stream.id: encode(stream) for stream in reversed(STREAMS) if stream.id not in beside}
        data |= {name: future.result() for name, future in beside.items()}
    if settings.digests == AUTO and len(data["digests"]) > DIGEST_SHARE * sum(map(len, data.values())):
        data["digests"] = b""  # they can be computed
    block = Block(
        part=part.number,
        text_bytes=content.text_bytes,
        sha256=_sha256(part.texts),
        records=content.record_count,
        residues=content.residue_count,
        bases=content.base_count,
        slice_bases=len(content.own_bases),
        slices=content.slice_count,
        **content.choice._asdict(),
        streams={name: len(data[name]) for name in STREAM_IDS},
        starts_record=part.starts_record,
        ends_record=part.ends_record,
    )
    return block, b"".join(data[name] for name in STREAM_IDS)


def decode_streams(
    block: Block,
    settings: Settings,
    streams: dict[str, bytes],
    coders: Coders | None = None,
    progress: Progress | None = None,
) -> PartContent:
    """Decode some streams of a block, or all of them: a stream may need others before it in the table."""
    content = PartContent(
        text_bytes=block.text_bytes,
        is_reads=block.is_reads,
        record_count=block.records,
        residue_count=block.residues,
        base_count=block.bases,
        own_count=block.slice_bases,
        slice_count=block.slices,
        choice=block.choice,
        payload_bytes=block.streams["payload"],
    )
    coding = Coding(settings.level, settings.slice_length, coders, progress)
    for stream in STREAMS:
        if stream.id in streams:
            stream.decode(streams[stream.id], content, coding)
    return content


def decode_block(
    block: Block, settings: Settings, data: bytes, coders: Coders, label: str, progress: Progress | None = None
) -> PartContent:
    """Decode a part and check it against its SHA-256. ``label`` names the archive in messages."""

    def decode() -> PartContent:
        content = decode_streams(block, settings, split_streams(block, data), coders, progress)
        if sum(map(len, content.texts)) != block.text_bytes or _sha256(content.texts) != block.sha256:
            raise FormatError(
                "the decoded text does not match its SHA-256. Either the archive is damaged, or the computer that "
                f"wrote it erred; try another copy of the archive, and {option('device', 'cpu')}"
            )
        return content

    with ErrorContext(label, block):
        if (share := coders.share) is None:
            with coders.working:
                return decode()
        try:
            with coders.working, streams_within(share.each):
                return decode()
        except MemoryLimitError:
            if share.most <= share.each:
                raise
        with share.alone, coders.working, streams_within(share.most):
            return decode()


class ErrorContext(contextlib.AbstractContextManager[None]):
    """Have errors name the archive, and the part, and make one kind of all that damage can cause.

    A generator would do, but from Python 3.12 on an error that it translates is in a reference cycle with the frames,
    and so with the arrays, of what failed, which takes up memory until the garbage is collected.
    """

    def __init__(self, label: str, block: Block | None = None) -> None:
        self._place = label if block is None else f"{label}: part {block.part}"

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, GfzError):
            raise error.within(self._place) from error
        if isinstance(error, ArithmeticError | LookupError | ValueError):
            raise FormatError(f"{self._place}: decoding failed ({error}); the archive is damaged") from error


def split_streams(block: Block, data: bytes, names: Iterable[str] = STREAM_IDS) -> dict[str, bytes]:
    """The streams of these ``names`` from their bytes ``data``: a block's entry, or a piece of it."""
    streams, start = {}, 0
    for name in names:
        streams[name] = data[start : start + block.streams[name]]
        start += block.streams[name]
    return streams


def _sha256(texts: Sequence[bytes]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text)
    return digest.hexdigest()
