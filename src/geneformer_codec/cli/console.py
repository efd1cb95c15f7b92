"""Output for people, on standard streams that may be closed, and with names that may contain any character.

Programs get the exact bytes of names; people get escapes for what would move the cursor, hide text or end a line.
"""

import contextlib
import os
import sys
from typing import TextIO

from geneformer_codec.errors import GfzError


def open_standard_streams() -> None:
    """Have descriptors 0 to 2 open, so that no file that is opened later is taken for one of them.

    A closed standard error swallows messages. A closed standard output cannot be written to, which is an error only
    where something is to be written.
    """
    for descriptor, mode in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, mode)  # gets the lowest free descriptor: this one
    sys.stdout = sys.stdout or _writer(1)
    sys.stderr = sys.stderr or _writer(2)


def _writer(descriptor: int) -> TextIO:
    return open(descriptor, "w", encoding="utf-8", errors="backslashreplace", closefd=False)


def printable(text: str) -> str:
    r"""``text`` with escapes for control characters, for those that change the direction, and for what is no text.

    >>> printable("chr\x1b[31m1")
    'chr\\x1b[31m1'
    """
    return text if text.isprintable() else "".join(one if one.isprintable() else _escape(one) for one in text)


def _escape(character: str) -> str:
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:  # a byte that is no UTF-8
        number -= 0xDC00
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def show(text: str) -> None:
    """Print lines for people on standard output, whatever its encoding. Their names are to be `printable`."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))


def say(line: str) -> None:
    """Print a line on standard error. That it cannot be written there must not stop the work."""
    try:
        print(printable(line), file=sys.stderr, flush=True)
    except (OSError, ValueError):
        drop(sys.stderr)


def message_of(error: Exception) -> str:
    """The text of an error for the command: a message of ours with options for parameters, else file and reason."""
    if isinstance(error, GfzError):
        return error.command_message()
    if isinstance(error, OSError):
        return ": ".join(str(part) for part in (error.filename, error.strerror or error) if part)
    return str(error)


def say_error(program: str, error: Exception) -> None:
    """Print the error that stopped the work."""
    say(f"{program}: error: {message_of(error)}")


def drop(stream: TextIO) -> None:
    """Send what is left in the buffer nowhere, for Python would try to write it again at exit, and complain."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        stream.flush()
