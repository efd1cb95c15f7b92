"""Archives on web servers and in object stores, read by byte ranges through fsspec.

Nothing is downloaded but what is asked for: the two ends of the file when it is opened, and then exact ranges.
"""

import bisect
import io
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeGuard, TypeVar, cast

from ..errors import FormatError, GfzError, InputError, UsageError

_HEAD_BYTES = 1 << 10
_TAIL_BYTES = 1 << 17
"""Has the directory and the manifest of all but archives of hundreds of parts."""
_HELD_BYTES = 1 << 26

_Result = TypeVar("_Result")


def is_url(source: object) -> TypeGuard[str]:
    """Whether a source is a URL such as ``https://host/x.gfz`` or ``s3://bucket/x.gfz``."""
    return isinstance(source, str) and "://" in source


class RemoteFile(io.RawIOBase):
    """A file at a URL that can be sought in. Each read asks for its range, unless `hold` has fetched it already."""

    def __init__(self, url: str):
        self._url, self._place = url, 0
        try:
            import fsspec

            self._system, self._path = cast(Any, fsspec).url_to_fs(url)
        except ImportError as error:
            raise UsageError(
                f"cannot read {url}: {error}. pip install 'geneformer-rules[remote]' (for S3, [s3])"
            ) from error
        except ValueError as error:  # a scheme that nobody knows
            raise UsageError(f"cannot read {url}: {error}") from error
        size = self._asking(lambda: self._system.info(self._path)["size"])
        if not isinstance(size, int):
            raise InputError(f"cannot read {url}: the server does not tell its size; download it first")
        self.size = size
        self._held: list[tuple[int, bytes]] = []
        self._ends: list[tuple[int, bytes]] = []
        tail = max(0, size - _TAIL_BYTES)
        self.hold([(0, min(_HEAD_BYTES, tail)), (tail, size)])
        self._ends = self._held

    def hold(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Fetch ranges at once, for the reads to come; what was held before is let go of."""
        wanted = _joined([span for span in ranges if not self._find(*span)])
        self._held = list(self._ends)
        if sum(stop - start for start, stop in wanted) > _HELD_BYTES:
            return  # they are fetched one by one when they are read
        starts, stops = [start for start, _ in wanted], [stop for _, stop in wanted]
        paths = [self._path] * len(wanted)
        fetched = self._asking(lambda: self._system.cat_ranges(paths, starts, stops, on_error="raise")) if paths else []
        for start, stop, data in zip(starts, stops, fetched, strict=True):
            self._held.append((start, self._checked(data, stop - start)))
        self._held.sort(key=lambda held: held[0])

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a place, which is not read yet."""
        self._place = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self.size}[whence]
        if self._place < 0:
            raise ValueError("before the start of the file")
        return self._place

    def tell(self) -> int:
        """Where the next read begins."""
        return self._place

    def read(self, size: int | None = -1) -> bytes:
        """The next ``size`` bytes, fewer at the end of the file only."""
        stop = self.size if size is None or size < 0 else min(self.size, self._place + size)
        start, self._place = self._place, max(stop, self._place)
        if start >= stop:
            return b""
        if (found := self._find(start, stop)) is not None:
            return found
        data = self._asking(lambda: self._system.cat_file(self._path, start=start, end=stop))
        return self._checked(data, stop - start)

    def readinto(self, buffer: Any) -> int:
        """As `read`, into a buffer."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _find(self, start: int, stop: int) -> bytes | None:
        at = bisect.bisect_right(self._held, start, key=lambda held: held[0]) - 1
        if at < 0:
            return None
        begin, data = self._held[at]
        return data[start - begin : stop - begin] if stop <= begin + len(data) else None

    def _checked(self, data: bytes, size: int) -> bytes:
        if len(data) > size:
            raise InputError(f"cannot read {self._url}: the server does not give parts of files; download it first")
        if len(data) < size:
            raise FormatError(f"{self._url}: ended too early; it was replaced or truncated while it was read")
        return data

    def _asking(self, ask: Callable[[], _Result]) -> _Result:
        """Ask the server; whatever goes wrong is an ``InputError`` that names the URL."""
        try:
            return ask()
        except GfzError:
            raise
        except FileNotFoundError as error:
            raise InputError(f"{self._url}: there is no such file; check the address") from error
        except Exception as error:  # each kind of server has errors of its own
            raise InputError(f"cannot read {self._url}: {error or type(error).__name__}") from error


def _joined(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same bytes in as few ranges as can be, none of them empty."""
    joined: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(stop, joined[-1][1])
        elif start < stop:
            joined.append((start, stop))
    return joined
