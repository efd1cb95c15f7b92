"""Run ``gfz`` as people do, in a process of its own, or quickly in this one."""

import contextlib
import json
import os
import pty
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from geneformer_codec import api
from geneformer_codec.cli.main import main
from geneformer_codec.sequence.simulate import write_fasta

GFZ = [sys.executable, "-m", "geneformer_codec"]
Done = subprocess.CompletedProcess[bytes]
Gfz = Callable[..., Done]


def environment() -> dict[str, str]:
    """The environment with the imports of this process."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def process(*arguments: str, stdin: bytes = b"", **how: Any) -> Done:
    """Run the command in a process of its own."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | ({} if "stdin" in how else {"input": stdin})
    return subprocess.run([*GFZ, *arguments], **{"env": environment(), "check": False, **streams, **how})


def on_terminal(*arguments: str, stream: str = "stderr", status: int = 0, **how: Any) -> bytes:
    """What the command writes to a terminal of 200 columns that is one of its streams."""
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, 200))
    done = process(*arguments, **{stream: follower}, **how)
    os.close(follower)
    pieces = []
    with contextlib.suppress(OSError):  # at the end
        while True:
            pieces.append(os.read(leader, 65_536))
    os.close(leader)
    assert done.returncode == status, done
    return b"".join(pieces)


@pytest.fixture
def gfz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Gfz:
    """Run the command in the test's directory, in this process."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Done:
        status = main(list(arguments))
        return subprocess.CompletedProcess(arguments, status, *capfdbinary.readouterr())

    return run


CALLS = """
import json, os, sys, tempfile
{before}
from geneformer_codec.cli.main import main
answer, done = os.dup(1), []
for call in json.loads(sys.argv[1]):
    files = [tempfile.TemporaryFile(), tempfile.TemporaryFile()]
    for number, file in enumerate(files, 1):
        os.dup2(file.fileno(), number)
    status = main(call)
    sys.stdout.flush()
    sys.stderr.flush()
    done.append([status, *(os.pread(file.fileno(), 1 << 20, 0).decode("latin-1") for file in files)])
os.write(answer, json.dumps(done).encode())
"""


def calls(*lists: list[str], before: str = "", **variables: str) -> list[Done]:
    """Run the command several times in one process, which has other variables or does something before."""
    program = [sys.executable, "-c", CALLS.replace("{before}", before), json.dumps(lists)]
    answer = subprocess.run(program, env=environment() | variables, stdout=subprocess.PIPE, check=True).stdout
    return [
        subprocess.CompletedProcess(call, status, out.encode("latin-1"), error.encode("latin-1"))
        for call, (status, out, error) in zip(lists, json.loads(answer), strict=True)
    ]


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``in.fa``, of three simulated records, in the test's directory, where the test is then."""
    monkeypatch.chdir(tmp_path)
    write_fasta(tmp_path / "in.fa", 3, 2000, seed=3)
    return tmp_path / "in.fa"


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The archive of that file."""
    directory = tmp_path_factory.mktemp("packed")
    write_fasta(directory / "in.fa", 3, 2000, seed=3)
    api.compress(directory / "in.fa", directory / "a.gfz")
    return (directory / "a.gfz").read_bytes()


@pytest.fixture
def archive(source: Path, packed: bytes) -> Path:
    """``a.gfz``, the archive of ``in.fa``, beside it."""
    path = source.with_name("a.gfz")
    path.write_bytes(packed)
    return path
