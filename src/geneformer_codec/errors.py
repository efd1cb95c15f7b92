"""The errors that users meet: one small hierarchy, each with the exit status of the command.

A message names the file (and record and line where there is one), says what was wrong, and what to do about it.
"""


class GfzError(Exception):
    """Anything that stops the work. ``exit_status`` is what ``gfz`` returns: 1, the data are at fault."""

    exit_status = 1


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
