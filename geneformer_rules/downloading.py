"""Download files over HTTP: resume what broke off, skip what is complete, refuse what has another checksum."""

import hashlib
import http.client
import json
import random
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from geneformer_codec.errors import InputError
from geneformer_codec.files import output_error
from geneformer_rules import __version__

_CHUNK = 1 << 20
_SECONDS = 60
"""Timeout of a connection."""

_LONGEST_PAUSE = 300.0
_PASSING = (408, 425, 429)
"""Refusals that may be over in a while, as those from 500 on."""

Result = TypeVar("Result")


class NetworkError(InputError):
    """Something on the network did not answer as it should, and may do so later."""


class RefusedError(InputError):
    """The server will not give what was asked for, with this HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Patience:
    """How often something is tried that fails without having got any further, and how long to wait at first."""

    tries: int = 6
    seconds: float = 5.0

    def persist(self, work: Callable[[], Result], progress: Callable[[], int] = lambda: 0) -> Result:
        """Do ``work``, again while it ends in a NetworkError, after longer pauses; ``progress`` resets these."""
        failures, reached = 0, progress()
        while True:
            try:
                return work()
            except NetworkError as error:
                failures = 1 if progress() > reached else failures + 1
                reached = progress()
                if failures >= self.tries:
                    raise NetworkError(f"{error} (tried {failures} times); run the workflow again later") from error
                pause = min(self.seconds * 2 ** (failures - 1) * random.uniform(0.8, 1.2), _LONGEST_PAUSE)
                print(f"{error}; trying again in {pause:.0f} s", file=sys.stderr)
                time.sleep(pause)


def get_json(url: str, patience: Patience) -> Any:
    """The JSON at ``url``; None if the server has none for it."""

    def ask() -> bytes:
        with _opened(url) as response:
            try:
                return bytes(response.read())
            except (OSError, http.client.HTTPException) as error:
                raise NetworkError(f"{url}: the connection broke ({_reason(error)})") from error

    answer = patience.persist(ask)
    try:
        return json.loads(answer) if answer.strip() else None
    except ValueError:
        raise InputError(f"{url}: the answer is not JSON but begins with {answer[:60]!r}; check this address") from None


def download(url: str, path: Path, size: int, md5: str, patience: Patience) -> None:
    """Fetch ``url`` to ``path``, which appears when it has this size and MD5; ``path.part`` is gone on with."""
    if path.is_file() and path.stat().st_size == size and file_md5(path) == md5:
        return
    part = path.with_name(f"{path.name}.part")

    def held() -> int:
        return part.stat().st_size if part.is_file() else 0

    def attempt() -> None:
        if held() > size:
            part.unlink()
        if held() < size or size == 0:
            _go_on(url, part, held())
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


def _go_on(url: str, part: Path, held: int) -> None:
    """Append what is missing, or begin again if the server cannot send from the middle."""
    with _opened(url, held) as response:
        goes_on = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {held}-")
        try:
            file = part.open("ab" if goes_on else "wb")
        except OSError as error:
            raise output_error(part, error) from error
        with file:
            while True:
                try:
                    piece = response.read(_CHUNK)
                except (OSError, http.client.HTTPException) as error:
                    raise NetworkError(f"{url}: the connection broke ({_reason(error)})") from error
                if not piece:
                    return
                try:
                    file.write(piece)
                except OSError as error:
                    raise output_error(part, error) from error


def _opened(url: str, start: int = 0) -> Any:
    headers = {"User-Agent": f"geneformer-rules/{__version__}"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_SECONDS)
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
