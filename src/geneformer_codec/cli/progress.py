"""Log messages of the library and a progress bar, on standard error."""

import argparse
import contextlib
import io
import logging
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from geneformer_codec import api
from geneformer_codec.archive.remote import is_url
from geneformer_codec.cli.console import message_of, say
from geneformer_codec.coding.interface import Progress
from geneformer_codec.errors import InputError
from geneformer_codec.files import STREAM
from geneformer_codec.inputs.decompress import open_input

_SAMPLED_BYTES, _MOST_TEXT = 1 << 20, 1 << 25
"""How much of a file is read to judge how many bases are in it, and what that may expand to."""
_LOG = logging.getLogger("geneformer_codec")


class _Handler(logging.Handler):
    """Writes log messages to standard error, above the progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        kind = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        if isinstance(record.args, tuple):
            record.args = tuple(message_of(arg) if isinstance(arg, Exception) else arg for arg in record.args)
        line = f"gfz: {kind}{record.getMessage()}"
        if "tqdm" in sys.modules:
            from tqdm import tqdm

            with tqdm.external_write_mode(file=sys.stderr):
                say(line)
        else:
            say(line)


@contextlib.contextmanager
def log_shown(quiet: bool) -> Iterator[None]:
    """Show what the library logs; if ``quiet``, warnings alone."""
    handler, before = _Handler(), _LOG.level
    _LOG.addHandler(handler)
    _LOG.setLevel(logging.WARNING if quiet else logging.INFO)
    try:
        yield
    finally:
        _LOG.removeHandler(handler)
        _LOG.setLevel(before)


def progress_shown(options: argparse.Namespace) -> bool:
    """Whether progress is to be shown: on a terminal, unless the command is to be quiet."""
    return not options.quiet and sys.stderr.isatty()


class Bar:
    """A progress bar; ``phase`` replaces it by one for other work on the same bases, or on some of them."""

    def __init__(self, what: str, total: int | None) -> None:
        self._total, self._lock = total, threading.Lock()  # coders call from several threads
        self._bar = self._open(what, total)

    def _open(self, what: str, total: int | None) -> Any:
        from tqdm import tqdm

        return tqdm(total=total, desc=what, unit="base", unit_scale=True, leave=False, file=sys.stderr)

    def __call__(self, bases: int) -> None:
        """So many bases more are done."""
        with self._lock:
            if self._bar.total is not None and self._bar.n + bases > self._bar.total:
                self._bar.total = self._bar.n + bases  # it was an estimate
            self._bar.update(bases)

    def phase(self, what: str, bases: int | None) -> None:
        """Other work begins, on so many bases, or on as many as before."""
        with self._lock:
            self._bar.close()
            self._bar = self._open(what, self._total if bases is None else bases)

    def close(self) -> None:
        """Remove it from the screen."""
        with self._lock:
            self._bar.close()


@contextlib.contextmanager
def progress_bar(
    options: argparse.Namespace, what: str, total: Callable[[], int | None] = lambda: None
) -> Iterator[Progress | None]:
    """A bar on a terminal, nothing elsewhere; ``total`` is called for the number of bases if there is one."""
    if not progress_shown(options):
        yield None
        return
    with contextlib.closing(Bar(what, total())) as bar:
        yield bar


def expected_bases(sources: Sequence[str | Path]) -> int | None:
    """About how many bases are in files, estimated from their beginnings and sizes; None where that is impossible."""
    try:
        found = [_expected(Path(source)) if str(source) != STREAM else None for source in sources]
    except OSError:  # reported when they are opened
        return None
    known = [bases for bases in found if bases is not None]
    return sum(known) if len(known) == len(found) else None


def _expected(path: Path) -> int | None:
    if not path.is_file():
        return None
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_SAMPLED_BYTES)
    text = _text_of(head)
    if not text or len(text) >= _MOST_TEXT:
        return None
    first, lines = text[:1], text.splitlines()
    if first == b"@":
        bases = sum(map(len, lines[1::4]))
    elif first in (b">", b";"):
        bases = sum(len(line) for line in lines if line[:1] != first)
    else:
        bases = len(text)  # a part, or no sequence at all
    return bases * size // min(size, _SAMPLED_BYTES)


def _text_of(head: bytes) -> bytes:
    """The text of the beginning of a file, compressed or not."""
    text = bytearray()
    with contextlib.suppress(InputError), open_input(io.BytesIO(head), on_trailing=lambda size: None) as opened:
        while (piece := opened.raw.read(1 << 14)) and len(text) < _MOST_TEXT:  # a buffer would keep what came last
            text += piece
    return bytes(text)


def archived_bases(options: argparse.Namespace, *sources: str) -> int | None:
    """The bases in archives; None if some cannot be read twice."""
    if not all(is_url(source) or Path(source).is_file() for source in sources):  # a pipe
        return None
    return sum(api.info(source, max_memory=options.max_memory).bases for source in sources)
