"""Archives on web servers and in object stores, read by byte ranges through fsspec.

Only the needed bytes are downloaded: the two ends of the file when it is opened, and then exact ranges. All responses
must be of one file: they have the same strong ETag, or, where there is none, the end of the file, which has the
checksums of all entries, is read again after each fetch and must not have changed.
"""

import asyncio
import bisect
import http
import io
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard, cast

from geneformer_codec.errors import FormatError, GfzError, InputError, UsageError

_HEAD_BYTES = 77
"""The entry ``mimetype``, by which an archive is recognised, and no byte of an entry that is decoded."""
_TAIL_BYTES = 1 << 17
"""Has the directory and the manifest of all but archives of hundreds of parts."""
_LAST_BYTES = 1 << 10
"""Bytes at the end that show whether the file is still the same: they hold the SHA-256 of the manifest."""
_HELD_BYTES = 1 << 26
_AT_ONCE = 16
"""Requests to a server."""
_SILENCE = 60.0
"""Seconds without a byte after which a server is given up."""

Range = tuple[int, int]


def is_url(source: object) -> TypeGuard[str]:
    """Whether a source is a URL such as ``https://host/x.gfz`` or ``s3://bucket/x.gfz``."""
    return isinstance(source, str) and "://" in source


class RemoteFile(io.RawIOBase):
    """A file at a URL that can be sought in. Each read fetches its range, unless `hold` has fetched it already.

    ``FormatError`` when the file is replaced while it is read, ``InputError`` for whatever else goes wrong.
    """

    def __init__(self, url: str):
        self._url, self._place = url, 0
        self._held: list[tuple[int, bytes]] = []
        self._ends: list[tuple[int, bytes]] = []
        self._last = b""
        self._store = _store_of(url)
        self.size, head = self._store.begin(_HEAD_BYTES)
        tail = max(0, self.size - _TAIL_BYTES)
        if len(head) < self.size:
            self._held = [(0, head)] if tail else []
            self.hold([(tail, self.size)])
        elif head:
            self._held = [(0, head)]
        self._ends = self._held
        self._last = self._ends[-1][1][-_LAST_BYTES:] if self._ends else b""

    def hold(self, ranges: Sequence[Range]) -> None:
        """Fetch ranges at once, for the reads to come; ranges held before are released."""
        wanted = _joined([span for span in ranges if not self._find(*span)])
        self._held = self._held if not self._ends else list(self._ends)
        if sum(stop - start for start, stop in wanted) > _HELD_BYTES:
            return  # they are fetched one by one when they are read
        for (start, _), data in zip(wanted, self._fetch(wanted), strict=True):
            self._held.append((start, data))
        self._held.sort(key=lambda held: held[0])

    def _fetch(self, ranges: Sequence[Range]) -> list[bytes]:
        """Bytes of the file that was opened."""
        if not ranges:
            return []
        fetched, same = self._store.fetch(ranges)
        if not same and self._last:
            (last,), _ = self._store.fetch([(self.size - len(self._last), self.size)])
            if last != self._last:
                raise _replaced(self._url)
        return fetched

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

    def read(self, size: int | None = -1) -> bytes:
        """The next ``size`` bytes, fewer at the end of the file only."""
        stop = self.size if size is None or size < 0 else min(self.size, self._place + size)
        start, self._place = self._place, max(stop, self._place)
        if start >= stop:
            return b""
        if (found := self._find(start, stop)) is not None:
            return found
        return self._fetch([(start, stop)])[0]

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


def _store_of(url: str) -> "_ObjectStore | _WebServer":
    try:
        import fsspec

        system, path = cast(Any, fsspec).url_to_fs(url)
    except ImportError as error:
        raise UsageError(
            f"cannot read {url}: {error}. pip install 'geneformer-rules[remote]' (for S3, [s3])"
        ) from error
    except ValueError as error:  # an unknown scheme
        raise UsageError(f"cannot read {url}: {error}") from error
    return _WebServer(url, system, path) if url.startswith(("http://", "https://")) else _ObjectStore(url, system, path)


class _ObjectStore:
    """Any store that fsspec supports, by what all of them can do."""

    def __init__(self, url: str, system: Any, path: str):
        self._url, self._system, self._path = url, system, path

    def begin(self, size: int) -> tuple[int, bytes]:
        """The size of the file, and its first ``size`` bytes or fewer."""
        try:
            found = self._system.info(self._path)["size"]
        except Exception as error:  # each kind of store has errors of its own
            raise _failure(self._url, error) from error
        if not isinstance(found, int):
            raise InputError(f"cannot read {self._url}: the server does not send its size; download it first")
        return found, self.fetch([(0, min(size, found))])[0][0] if found else b""

    def fetch(self, ranges: Sequence[Range]) -> tuple[list[bytes], bool]:
        """The bytes of each range, and whether they are certainly of the same file as the first."""
        starts, stops = [start for start, _ in ranges], [stop for _, stop in ranges]
        try:
            fetched = self._system.cat_ranges([self._path] * len(ranges), starts, stops, on_error="raise")
        except Exception as error:
            raise _failure(self._url, error) from error
        for (start, stop), data in zip(ranges, fetched, strict=True):
            if len(data) > stop - start:
                raise _no_ranges(self._url)
            if len(data) < stop - start:
                raise _replaced(self._url)
        return fetched, False


class _WebServer:
    """A file on a web server. fsspec has the session; requests are made here, as all headers of answers count."""

    def __init__(self, url: str, system: Any, path: str):
        self._url, self._system = url, system
        self._address = system.encode_url(path)
        self._size: int | None = None
        self._first: Mapping[str, str] = {}

    def begin(self, size: int) -> tuple[int, bytes]:
        """As that of `_ObjectStore`."""
        (head,), _ = self.fetch([(0, size)])
        return self._size or 0, head

    def fetch(self, ranges: Sequence[Range]) -> tuple[list[bytes], bool]:
        """As that of `_ObjectStore`."""
        from fsspec import asyn

        async def all_of_them() -> list[tuple[bytes, bool]]:
            at_once, session = asyncio.Semaphore(_AT_ONCE), await self._system.set_session()
            return await asyncio.gather(*(self._get(session, at_once, *span) for span in ranges))

        try:
            answers = cast(Any, asyn).sync(self._system.loop, all_of_them)
        except GfzError:
            raise
        except Exception as error:
            raise _failure(self._url, error) from error
        return [data for data, _ in answers], all(same for _, same in answers)

    async def _get(self, session: Any, at_once: asyncio.Semaphore, start: int, stop: int) -> tuple[bytes, bool]:
        import aiohttp

        options = dict(self._system.kwargs)
        headers = {**options.pop("headers", {}), "Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}
        patience = aiohttp.ClientTimeout(total=None, sock_connect=_SILENCE, sock_read=_SILENCE)
        options = {"timeout": patience} | options
        async with at_once, session.get(self._address, headers=headers, **options) as answer:
            self._check_status(answer.status, answer.headers)
            if answer.status == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not self._size:
                return b"", True
            stop = min(stop, self._size)
            sent = re.fullmatch(r"bytes (\d+)-(\d+)/\d+", answer.headers.get("Content-Range", ""))
            if sent is None or (int(sent[1]), int(sent[2])) != (start, stop - 1):
                raise _no_ranges(self._url)
            try:
                data = await answer.content.readexactly(stop - start)
            except (asyncio.IncompleteReadError, aiohttp.ClientPayloadError) as error:
                raise _too_short(self._url) from error
            if await answer.content.read(1):
                raise _no_ranges(self._url)
            return data, self._is_first(answer.headers)

    def _check_status(self, status: int, headers: Mapping[str, str]) -> None:
        """Whether an answer is part of a file, and of a file of the same size as before; its size is taken first."""
        asked, reason = self._size is not None, _reason(status)
        if status in (http.HTTPStatus.NOT_FOUND, http.HTTPStatus.GONE):
            if asked:
                raise _replaced(self._url)
            raise _failure(self._url, FileNotFoundError()) from FileNotFoundError(self._url)
        if status in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN):
            raise InputError(f"cannot read {self._url}: no permission, the server answers {reason}; ask for access")
        if status == http.HTTPStatus.OK:
            if asked or headers.get("Content-Length") != "0":
                raise _no_ranges(self._url)
            self._size = 0
            return
        if status == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            if asked:
                raise _replaced(self._url)
            if not re.fullmatch(r"bytes \*/0+", headers.get("Content-Range", "")):
                raise _no_ranges(self._url)
            self._size = 0
            return
        if status != http.HTTPStatus.PARTIAL_CONTENT:
            advice = "try again later" if status >= 500 or status in (408, 425, 429) else "check the address"
            where = " without saying where to" if 300 <= status < 400 else ""
            raise InputError(f"cannot read {self._url}: the server answers {reason}{where}; {advice}")
        total = re.fullmatch(r"bytes \d+-\d+/(\d+)", headers.get("Content-Range", ""))
        if total is None:
            raise InputError(
                f"cannot read {self._url}: the server does not send its size, or the range of its answer; "
                "download it first"
            )
        if not asked:
            self._size, self._first = int(total[1]), headers  # names of headers have no case
        elif int(total[1]) != self._size:
            raise _replaced(self._url)

    def _is_first(self, headers: Mapping[str, str]) -> bool:
        """Whether an answer is certainly of the first one's file; ``FormatError`` when it is not."""
        first, now = (given.get("ETag", "") for given in (self._first, headers))
        if first and now and first.removeprefix("W/") != now.removeprefix("W/"):
            raise _replaced(self._url)
        if first == now and now.startswith('"'):
            return True
        changed = [given.get("Last-Modified", "") for given in (self._first, headers)]
        if all(changed) and changed[0] != changed[1]:
            raise _replaced(self._url)
        return False


def _reason(status: int) -> str:
    try:
        return f"{status} {http.HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _replaced(url: str) -> FormatError:
    return FormatError(f"{url}: the file was replaced or truncated while it was read; read it again")


def _too_short(url: str) -> FormatError:
    return FormatError(
        f"{url}: an answer ended too early: the connection broke, or the file was replaced while it was read; try again"
    )


def _no_ranges(url: str) -> InputError:
    return InputError(f"cannot read {url}: the server does not give parts of files as it should; download it first")


def _failure(url: str, error: Exception) -> InputError:
    """The message for an error of a store or of the connection."""
    name = type(error).__name__
    text = str(error) or name
    if isinstance(error, FileNotFoundError):
        return InputError(f"{url}: there is no such file; check the address")
    if isinstance(error, PermissionError):
        return InputError(f"cannot read {url}: no permission ({text}); check the address and your credentials")
    if isinstance(error, TimeoutError):
        return InputError(f"cannot read {url}: the server does not answer in time; try again later")
    if "SSL" in name or "Certificate" in name:
        return InputError(f"cannot read {url}: no secure connection ({text}); check the address and its certificate")
    if name == "TooManyRedirects":
        return InputError(f"cannot read {url}: the server redirects without end; check the address")
    if "Redirect" in name:
        return InputError(f"cannot read {url}: the server redirects to an address that is not followed ({text})")
    if isinstance(error, ConnectionError) or "Connector" in name:
        return InputError(f"cannot read {url}: cannot connect to the server ({text}); check the address, or try later")
    return InputError(f"cannot read {url}: {text}")


def _joined(ranges: Sequence[Range]) -> list[Range]:
    """The same bytes in as few ranges as can be, none of them empty."""
    joined: list[Range] = []
    for start, stop in sorted(ranges):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(stop, joined[-1][1])
        elif start < stop:
            joined.append((start, stop))
    return joined
