"""The command ``gfz``: its options and help, and how errors become messages and exit statuses.

Nothing heavy is imported here, so that ``gfz --help`` answers at once: ``options.py`` says what can be asked for, and
``commands.py`` does it.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from types import FrameType

from .errors import GfzError
from .options import build_parser

DONE, DATA_AT_FAULT, INTERRUPTED, TERMINATED = 0, 1, 130, 143


class Terminated(BaseException):
    """The process was asked to end (SIGTERM); raised so that temporaries are removed on the way out."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; gives its exit status."""
    try:
        with _signals():
            options = build_parser().parse_args(arguments)
            from . import commands

            commands.run(options)
            sys.stdout.flush()
    except SystemExit as exit_:  # argparse: 0 after --help, 2 after a wrong call
        return int(exit_.code or 0)
    except GfzError as error:
        print(f"gfz: error: {error}", file=sys.stderr)
        return error.exit_status
    except BrokenPipeError:
        _drop_stdout()
        return DATA_AT_FAULT
    except OSError as error:  # of standard output mostly; the rest has messages of its own
        _drop_stdout()
        print(f"gfz: error: {error.strerror or error}", file=sys.stderr)
        return DATA_AT_FAULT
    except MemoryError:
        print("gfz: error: out of memory; use smaller parts (--part-bases) or more memory", file=sys.stderr)
        return DATA_AT_FAULT
    except KeyboardInterrupt:
        print("gfz: interrupted; nothing was written", file=sys.stderr)
        return INTERRUPTED
    except Terminated:
        print("gfz: terminated; nothing was written", file=sys.stderr)
        return TERMINATED
    return DONE


def _drop_stdout() -> None:
    """Send what is left in the buffer nowhere, for Python would try to write it again at exit, and complain."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the work by an exception, so that temporaries are removed on the way out."""

    if threading.current_thread() is not threading.main_thread():
        yield  # whoever runs us in a thread deals with signals
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
