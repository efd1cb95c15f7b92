"""The examples in docs are right."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from geneformer_codec.cli.parser import build_parser

from .conftest import environment

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.M | re.S)
COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.M)


def test_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    failed, tried = doctest.testfile(str(DOCS / "library.md"), module_relative=False)
    assert tried > 30
    assert failed == 0


@pytest.mark.slow
def test_command(tmp_path: Path) -> None:
    commands = [match for block in BLOCK.findall((DOCS / "command.md").read_text()) for match in COMMAND.findall(block)]
    assert len(commands) > 12
    gfz = tmp_path / "bin" / "gfz"
    gfz.parent.mkdir()
    gfz.write_text(f'#!/bin/sh\nexec {sys.executable} -m geneformer_codec "$@"\n')
    gfz.chmod(0o755)
    settings = environment() | {"PATH": f"{gfz.parent}{os.pathsep}{os.environ['PATH']}"}
    for command, expected in commands:
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=settings, text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        shown = done.stdout
        assert doctest.OutputChecker().check_output(expected, shown, doctest.ELLIPSIS), f"{command}: {shown}"


def test_every_command_is_documented() -> None:
    text = (DOCS / "command.md").read_text()
    (commands,) = (action for action in build_parser()._actions if action.dest == "command")
    assert commands.choices is not None
    for name in commands.choices:
        assert f"`{name}" in text
