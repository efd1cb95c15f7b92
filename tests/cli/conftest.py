"""Run ``gfz`` as people do, in a process of its own, or quickly in this one."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

GFZ = [sys.executable, "-m", "geneformer_codec"]


@pytest.fixture
def gfz(tmp_path: Path) -> Callable[..., "subprocess.CompletedProcess[bytes]"]:
    """Run the command in the test's directory."""

    def run(*arguments: str, stdin: bytes = b"", **settings: object) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            [*GFZ, *arguments],
            input=stdin,
            capture_output=True,
            cwd=tmp_path,
            timeout=1800,
            env=environment(),
            check=False,
        )

    return run


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A FASTA file of three simulated records in the test's directory."""
    from geneformer_codec.sequence.simulate import write_fasta

    path = tmp_path / "in.fa"
    write_fasta(path, 3, 2000, seed=3)
    return path


def environment() -> dict[str, str]:
    """The environment with the imports of this process."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
