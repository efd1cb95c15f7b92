"""Notices: what an archive does not keep of its sample, in sentences that `geneformer_codec.api.info` gives."""

from collections.abc import Mapping
from typing import Any

from geneformer_codec.cli.console import printable, say


def notices(facts: Mapping[str, Any]) -> list[str]:
    r"""The notices among the ``facts`` of an archive, each fit for a line of a terminal and a cell of a table.

    >>> notices({"notices": ["made from BAM; not kept: tags", "a name\twith a tab"]})
    ['made from BAM; not kept: tags', 'a name\\x09with a tab']
    """
    return [printable(str(notice)) for notice in facts.get("notices") or ()]


def print_notices(sample: str, facts: Mapping[str, Any]) -> None:
    """Write the notices of a sample's archive to standard error."""
    for notice in notices(facts):
        say(f"geneformer-rules: note: {sample}: {notice}")
