"""The command ``gfz``: its options and help, and how errors become messages and exit statuses.

Nothing heavy is imported here, so that ``gfz --help`` answers at once: ``parser.py`` has the options, ``commands.py``
does the work.
"""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from types import FrameType

from geneformer_codec import files
from geneformer_codec.cli.console import drop, open_standard_streams, say, say_error
from geneformer_codec.cli.parser import build_parser
from geneformer_codec.errors import GfzError

DONE, DATA_AT_FAULT, INTERRUPTED, TERMINATED = 0, 1, 130, 143


class Terminated(BaseException):
    """The process was asked to end (SIGTERM); raised so that temporaries are removed on the way out."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; gives its exit status."""
    open_standard_streams()
    files.WRITTEN.clear()
    try:
        with _signals():
            options = build_parser().parse_args(arguments)
            from geneformer_codec.cli import commands

            commands.run(options)
            sys.stdout.flush()
    except SystemExit as exit_:  # argparse: 0 after --help, 2 after a wrong call
        return int(exit_.code or 0)
    except GfzError as error:
        say_error("gfz", error)
        return error.exit_status
    except BrokenPipeError:
        drop(sys.stdout)
        return DATA_AT_FAULT
    except OSError as error:  # of standard output mostly; the rest has messages of its own
        drop(sys.stdout)
        say_error("gfz", files.os_error(error))
        return DATA_AT_FAULT
    except MemoryError:
        say("gfz: error: out of memory; use smaller parts (--part-bases) or more memory")
        return DATA_AT_FAULT
    except KeyboardInterrupt:
        say(f"gfz: interrupted; {_what_was_written()}")
        return INTERRUPTED
    except Terminated:
        say(f"gfz: terminated; {_what_was_written()}")
        return TERMINATED
    return DONE


def _what_was_written() -> str:
    """What there is of the outputs of a command that did not end."""
    return f"written before that: {', '.join(files.WRITTEN)}" if files.WRITTEN else "nothing was written"


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the work by an exception, so that temporaries are removed on the way out."""

    if threading.current_thread() is not threading.main_thread():
        yield  # the main thread deals with signals
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    caught = [number for number, action in before.items() if action is signal.SIG_DFL]  # nohup ignores SIGHUP

    def stop(number: int, frame: FrameType | None) -> None:
        for name in caught:
            signal.signal(name, signal.SIG_IGN)  # one is enough; another must not disturb the clearing up
        raise Terminated

    for number in caught:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in caught:
            signal.signal(number, before[number])
