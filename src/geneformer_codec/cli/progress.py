"""Log messages of the library and a progress bar, on standard error."""

import argparse
import contextlib
import logging
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from geneformer_codec import api
from geneformer_codec.archive.remote import is_url
from geneformer_codec.cli.console import message_of, say
from geneformer_codec.coding.interface import Progress
from geneformer_codec.files import STREAM
from geneformer_codec.inputs.sources import sample_name_of

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


@contextlib.contextmanager
def progress_bar(options: argparse.Namespace, what: str, total: int | None) -> Iterator[Progress | None]:
    """A bar on a terminal, nothing elsewhere."""
    if not progress_shown(options):
        yield None
        return
    from tqdm import tqdm

    with tqdm(total=total, desc=what, unit="base", unit_scale=True, leave=False, file=sys.stderr) as bar:
        lock = threading.Lock()  # coders call from several threads

        def advance(bases: int) -> None:
            with lock:
                bar.update(bases)

        yield advance


def expected_bases(sources: Sequence[str | Path], twice: bool) -> int | None:
    """About how many bases there are to code, judged by the sizes of uncompressed files."""
    paths = list(map(Path, sources))
    with contextlib.suppress(OSError):  # reported when they are opened
        if all(str(path) != STREAM and path.is_file() and sample_name_of(path) == path.name for path in paths):
            return sum(path.stat().st_size for path in paths) * (1 + twice)
    return None


def archived_bases(options: argparse.Namespace, *sources: str) -> int | None:
    """The bases in archives, if progress is shown."""
    files = all(is_url(source) or Path(source).is_file() for source in sources)  # a pipe can be read only once
    if not files or not progress_shown(options):
        return None
    return sum(api.info(source, max_memory=options.max_memory).bases for source in sources)
