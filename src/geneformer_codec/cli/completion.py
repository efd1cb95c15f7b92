"""The script that completes ``gfz`` in a shell."""

import argparse
from typing import Any

from geneformer_codec.cli.parser import build_parser


def script(shell: str) -> str:
    """The script for a shell that shtab supports."""
    import shtab

    parser = build_parser()
    _complete_files(parser, shtab.FILE)
    return shtab.complete(parser, shell)


def _complete_files(parser: argparse.ArgumentParser, how: Any) -> None:
    """Have arguments that are paths complete as such."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                _complete_files(sub, how)
        elif action.dest in _PATHS and action.nargs != 0:
            action.complete = how  # type: ignore[attr-defined]


_PATHS = {
    "source", "sources", "out", "mate", "part", "parts", "plan", "model", "embed_model", "panels", "base", "hybrid",
    "log", "checkpoint", "region_file", "bed", "places",
}  # fmt: skip
"""Arguments that are files or directories."""
