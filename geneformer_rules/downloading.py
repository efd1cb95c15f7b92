"""Download files over HTTP: resume what broke off, skip what is complete, refuse what has another checksum.

Servers are not trusted: only named hosts are contacted, over HTTP and HTTPS, also by redirects, and no
more bytes are read than were announced.
"""

import hashlib
import http.client
import random
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from geneformer_codec.cli.console import say
from geneformer_codec.errors import InputError
from geneformer_codec.files import guarded, output_error
from geneformer_rules import __version__

_CHUNK = 1 << 20
_SECONDS = 60
"""Timeout of a connection."""

_LONGEST_PAUSE = 300.0
_PASSING = (408, 425, 429)
"""Refusals that may be over in a while, as those from 500 on."""

Result = TypeVar("Result")


class PassingError(InputError):
    """Something is in the way that may be over later."""


class NetworkError(PassingError):
    """Something on the network did not answer as it should, and may do so later."""


class RefusedError(InputError):
    """The server refused the request with this HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Patience:
    """How often something is tried that fails without having got any further, and how long to wait at first."""

    tries: int = 6
    seconds: float = 5.0

    def persist(self, work: Callable[[], Result], progress: Callable[[], int] = lambda: 0) -> Result:
        """Do ``work``, again while it ends in a PassingError, after longer pauses; ``progress`` resets these."""
        failures, reached = 0, progress()
        while True:
            try:
                return work()
            except PassingError as error:
                failures = 1 if progress() > reached else failures + 1
                reached = progress()
                if failures >= self.tries:
                    raise type(error)(f"{error} (tried {failures} times); try again later") from error
                pause = min(self.seconds * 2 ** (failures - 1) * random.uniform(0.8, 1.2), _LONGEST_PAUSE)
                say(f"{error}; trying again in {pause:.0f} s")
                time.sleep(pause)


def host_of(url: str) -> str:
    """The host of an address, in lower case; ``InputError`` if it is none of HTTP or HTTPS."""
    try:
        parts = urllib.parse.urlsplit(url)
        host = parts.hostname
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or parts.username is not None:
        raise InputError(f"{url}: is not an HTTP or HTTPS address; correct it")
    return host.rstrip(".").lower()


def check_host(url: str, hosts: Collection[str]) -> None:
    """``InputError`` unless the address is one of these hosts, or below one of them."""
    host = host_of(url)
    if not any(host == known or host.endswith(f".{known}") for known in hosts):
        raise InputError(
            f"{url}: the host {host} is not one of those that runs are downloaded from ({', '.join(sorted(hosts))}); "
            "if it is to be trusted, add it to 'sra.hosts' in the configuration"
        )


def get(url: str, out: BinaryIO, most: int, hosts: Collection[str], patience: Patience) -> None:
    """Write what is at ``url``, at most so many bytes, to a temporary file, and go to its start."""

    def attempt() -> None:
        out.seek(0)
        out.truncate()
        with _opened(url, hosts) as response:
            left = most
            for piece in _pieces(url, response):
                left -= len(piece)
                if left < 0:
                    raise InputError(f"{url}: the answer has more than {most:,} bytes; check this address")
                with guarded("a temporary file"):
                    out.write(piece)

    patience.persist(attempt)
    out.seek(0)


def download(url: str, path: Path, size: int, md5: str, hosts: Collection[str], patience: Patience) -> None:
    """Fetch ``url`` to ``path``, which appears when it has this size and MD5; ``path.part`` is gone on with."""
    check_host(url, hosts)
    if path.is_file() and path.stat().st_size == size and file_md5(path) == md5:
        return
    part = path.with_name(f"{path.name}.part")

    def held() -> int:
        return part.stat().st_size if part.is_file() else 0

    def attempt() -> None:
        if held() > size:
            part.unlink()
        if held() < size or size == 0:
            _go_on(url, part, held(), size, hosts)
        if held() < size:
            raise NetworkError(f"{url}: the connection broke after {held():,} of {size:,} bytes")
        if held() > size or file_md5(part) != md5:
            part.unlink()
            raise NetworkError(f"{url}: what came is not what was announced ({size:,} bytes, MD5 {md5})")

    patience.persist(attempt, held)
    part.replace(path)


def file_md5(path: Path) -> str:
    """Return the MD5 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _go_on(url: str, part: Path, held: int, size: int, hosts: Collection[str]) -> None:
    """Append what is missing, or begin again if the server cannot send from the middle; never beyond ``size``."""
    with _opened(url, hosts, held) as response:
        goes_on = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {held}-")
        left = size - held if goes_on else size
        if response.length is not None and response.length != left:
            raise NetworkError(f"{url}: {left:,} bytes were announced, and the server sends {response.length:,}")
        try:
            file = part.open("ab" if goes_on else "wb")
        except OSError as error:
            raise output_error(part, error) from error
        with file:
            for piece in _pieces(url, response):
                left -= len(piece)
                if left < 0:
                    part.unlink()
                    raise NetworkError(f"{url}: the server sends more than the {size:,} bytes that were announced")
                with guarded(part):
                    file.write(piece)


def _pieces(url: str, response: Any) -> Iterator[bytes]:
    """The body of an answer; ``NetworkError`` if it breaks off."""
    while True:
        try:
            piece = response.read(_CHUNK)
        except (OSError, http.client.HTTPException) as error:
            raise NetworkError(f"{url}: the connection broke ({_reason(error)})") from error
        if piece:
            yield piece
        elif response.length:
            raise NetworkError(f"{url}: the connection broke, {response.length:,} bytes before the end")
        else:
            return


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to known hosts alone, and none from HTTPS to HTTP."""

    def __init__(self, hosts: Collection[str]) -> None:
        self._hosts = hosts

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """As the base class."""
        check_host(newurl, self._hosts)
        if req.type == "https" and not newurl.startswith("https:"):
            raise InputError(f"{req.full_url}: redirects to {newurl}, which is not encrypted; check this address")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opened(url: str, hosts: Collection[str], start: int = 0) -> Any:
    headers = {"User-Agent": f"geneformer-rules/{__version__}"}
    if start:
        headers["Range"] = f"bytes={start}-"
    opener = urllib.request.OpenerDirector()  # the usual one would read file: and data: as well
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        _Redirects(hosts),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    check_host(url, hosts)
    try:
        return opener.open(urllib.request.Request(url, headers=headers), timeout=_SECONDS)
    except urllib.error.HTTPError as error:
        message = f"{url}: the server answers {error.code} {error.reason}"
        if error.code >= 500 or error.code in _PASSING:
            raise NetworkError(message) from error
        raise RefusedError(message, error.code) from error
    except (OSError, http.client.HTTPException) as error:
        raise NetworkError(f"{url}: no connection ({_reason(error)})") from error
    except ValueError as error:
        raise InputError(f"{url}: invalid address ({error}); correct it in the configuration") from error


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", "") or error or type(error).__name__)
