"""Errors for users: one small hierarchy, each with the exit status of the command.

A message names the file (and record and line where there is one), what is wrong, and what to do about it. Where
it names a parameter, `option` marks it, so that Python users read ``force=True`` and those of the command ``-f``.
"""

import re
from collections.abc import Iterable
from typing import Any, Self

_MARKED = re.compile("\0(.*?)=(.*?)\0", re.DOTALL)
_SHORT = {"force": "-f"}
"""Options that have a short form only worth naming; others are ``--name``."""


def option(name: str, value: Any = None) -> str:
    """A parameter, and the ``value`` to give it, for use in the message of an error.

    >>> error = UsageError(f"try {option('device', 'cpu')}, or leave {option('embed')} out")
    >>> str(error), error.command_message()
    ("try device='cpu', or leave embed= out", 'try --device cpu, or leave --embed out')
    """
    return f"\0{name}={'' if value is None else repr(value)}\0"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A guess at what was meant, to be put behind a message; nothing if no known word is near.

    >>> did_you_mean("comprss", ["compress", "cat"])
    " (did you mean 'compress'?)"
    """
    import difflib

    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""


class GfzError(Exception):
    """Anything that stops the work. ``exit_status`` is what ``gfz`` returns: 1, the data are at fault."""

    exit_status = 1

    def __str__(self) -> str:
        return _MARKED.sub(r"\1=\2", super().__str__())

    def command_message(self) -> str:
        """The message in the words of the command, with options for parameters."""
        return _MARKED.sub(_as_option, super().__str__())

    def within(self, place: str) -> Self:
        """The same error, with the file or part that it was met in before the message."""
        return type(self)(f"{place}: {super().__str__()}")


def _as_option(marked: re.Match[str]) -> str:
    name, value = marked.groups()
    if name == "max_memory" and value:
        value = f"{-(-int(value) >> 20)}M"
    called = _SHORT.get(name, f"--{name.replace('_', '-')}")
    if value == "False":
        return f"--no-{name.replace('_', '-')}"
    return called if value in ("", "True") else f"{called} {value.strip(chr(39))}"


class InputError(GfzError):
    """A source file cannot be read: missing, not permitted, truncated or corrupt compression."""


class FormatError(GfzError):
    """An archive or model file is damaged, foreign or of another version."""


class ModelMissingError(GfzError):
    """An archive refers to a model that was not found."""


class OutputError(GfzError):
    """An output cannot be written: exists already, no permission, disk full."""


class UsageError(GfzError):
    """The call is at fault, not the data."""

    exit_status = 2
