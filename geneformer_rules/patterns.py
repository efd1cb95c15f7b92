"""Patterns of names in the paths of jobs: which samples, species and batches a rule is for."""

import re
from collections.abc import Collection, Iterable

BATCH = r"[^/+]+\+[0-9]+(?:-[0-9]+)*"
"""Matches the name of a batch (`batching`)."""
PARTS = r"[0-9]{8}-[0-9]{8}"
"""Matches the first and the last part of a job."""
NAME = r"[^/+]+"
"""Matches the name of a sample or species."""


def any_of(names: Iterable[str], among: Collection[str] = ()) -> str:
    """A pattern that matches these names and no others ``among`` all names.

    Snakemake reads the pattern again for each file of each job, so that of all names is short.

    >>> any_of(["a", "b.c"]), any_of([]), any_of(["a"], ["a"]) == NAME
    ('(?:a|b\\\\.c)', '(?:(?!))', True)
    """
    names = list(names)
    if among and len(names) == len(among):
        return NAME
    return f"(?:{'|'.join(map(re.escape, names)) or '(?!)'})"


def none_of(pattern: str, *suffixes: str) -> str:
    """A pattern that matches names that ``pattern`` does not match, in paths that end in one of the suffixes.

    >>> bool(re.fullmatch(f"{none_of(any_of('ab'), '.gfz')}.gfz", "a.gfz"))
    False
    """
    return rf"(?!{pattern}(?:{'|'.join(map(re.escape, suffixes))})$)[^/]+"
