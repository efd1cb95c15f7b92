"""What the command says while it works, on standard error: messages of the library, and a bar."""

import argparse
import contextlib
import logging
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from geneformer_codec import api
from geneformer_codec.archive.remote import is_url
from geneformer_codec.cli.console import say
from geneformer_codec.coding.interface import Progress
from geneformer_codec.files import STREAM
from geneformer_codec.inputs.sources import sample_name_of

_LOG = logging.getLogger("geneformer_codec")


class _Teller(logging.Handler):
    """Writes what the library has to tell to standard error, past the progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        kind = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        line = f"gfz: {kind}{record.getMessage()}"
        if "tqdm" in sys.modules:
            from tqdm import tqdm

            with tqdm.external_write_mode(file=sys.stderr):
                say(line)
        else:
            say(line)


@contextlib.contextmanager
def told(quiet: bool) -> Iterator[None]:
    """Show what the library tells; if ``quiet``, warnings alone."""
    teller, before = _Teller(), _LOG.level
    _LOG.addHandler(teller)
    _LOG.setLevel(logging.WARNING if quiet else logging.INFO)
    try:
        yield
    finally:
        _LOG.removeHandler(teller)
        _LOG.setLevel(before)


@contextlib.contextmanager
def progress_of(options: argparse.Namespace, what: str, total: int | None) -> Iterator[Progress | None]:
    """A bar on a terminal, nothing elsewhere."""
    if options.quiet or not sys.stderr.isatty():
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
    """About how many bases there are to code, where the sizes of the files tell."""
    paths = list(map(Path, sources))
    with contextlib.suppress(OSError):  # said when they are opened
        if all(str(path) != STREAM and path.is_file() and sample_name_of(path) == path.name for path in paths):
            return sum(path.stat().st_size for path in paths) * (1 + twice)
    return None


def archived_bases(options: argparse.Namespace, *sources: str) -> int | None:
    """How many bases archives hold, where it will be shown."""
    if options.quiet or not sys.stderr.isatty():
        return None
    if not all(is_url(source) or Path(source).is_file() for source in sources):
        return None  # what comes through a pipe can be read once only
    return sum(int(api.info(source, max_memory=options.max_memory)["bases"]) for source in sources)
