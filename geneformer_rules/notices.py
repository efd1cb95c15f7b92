"""Messages about an archive from its `geneformer_codec.api.info`: sizes, and what it does not keep."""

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


def print_sizes(sample: str, facts: Mapping[str, Any]) -> None:
    """Write the sizes of a verified archive and of its text to standard error."""
    per_base = f", {facts['bpb_total']:.3f} bits per base" if facts["bases"] else ""
    say(
        f"{sample}: {facts['input_bytes']:,} bytes of text -> {facts['total_bytes']:,} bytes{per_base}; "
        f"decoded, and equal to the text (SHA-256 {facts['sha256']})"
    )
