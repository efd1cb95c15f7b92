"""Notices: what an archive does not keep of its sample, in sentences that `geneformer_codec.api.info` gives."""

import sys
from collections.abc import Mapping
from typing import Any


def notices(facts: Mapping[str, Any]) -> list[str]:
    r"""The notices among the ``facts`` of an archive, each fit for a line of a terminal and a cell of a table.

    >>> notices({"notices": ["made from BAM; not kept: tags", "a name\twith a tab"]})
    ['made from BAM; not kept: tags', 'a name\\twith a tab']
    """
    return [_printable(str(notice)) for notice in facts.get("notices") or ()]


def print_notices(sample: str, facts: Mapping[str, Any]) -> None:
    """Write the notices of a sample's archive to standard error."""
    for notice in notices(facts):
        print(f"geneformer-rules: note: {sample}: {notice}", file=sys.stderr)


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
