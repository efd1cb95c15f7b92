"""Closed and full standard streams, and names that no terminal should see as they are."""

import fcntl
import json
import subprocess
import sys
from pathlib import Path

import pytest

from geneformer_codec.cli import console
from geneformer_codec.cli.main import main

from .conftest import GFZ, calls, environment, on_terminal

RULES = [sys.executable, "-m", "geneformer_rules.cli"]

CLOSED = b"error: cannot write standard output: it is closed"
FULL = b"error: cannot write standard output: the disk is full"


def shell(directory: Path, command: str, redirected: str, **more: str) -> "subprocess.CompletedProcess[bytes]":
    """Run a command with streams redirected by a shell; what is left of them is captured."""
    program = command.replace("gfz ", " ".join(GFZ) + " ", 1).replace("rules ", " ".join(RULES) + " ", 1)
    settings = environment() | more
    return subprocess.run(
        ["bash", "-c", f"{program} {redirected}"], cwd=directory, env=settings, capture_output=True, check=False
    )


@pytest.mark.parametrize(
    "redirected", ["<&- >&- 2>&-", *(pytest.param(to, marks=pytest.mark.slow) for to in ("2>&-", "2>/dev/full"))]
)
def test_work_is_done_without_them(archive: Path, redirected: str) -> None:
    """What is written does not depend on them, and no message, here a warning and a summary, gets into a file."""
    text = "no record\n"
    (archive.parent / "x.fa").write_text(text)
    assert main(["compress", "x.fa", "-o", "expected.gfz"]) == 0
    done = shell(archive.parent, "gfz compress x.fa -o x.gfz", redirected)
    assert done.returncode == 0
    assert (archive.parent / "x.gfz").read_bytes() == (archive.parent / "expected.gfz").read_bytes()
    assert shell(archive.parent, "gfz decompress x.gfz -o y.fa", redirected).returncode == 0
    assert (archive.parent / "y.fa").read_text() == text


@pytest.mark.parametrize(
    ("command", "redirected", "printed"),
    [
        ("cat a.gfz", ">&-", CLOSED),
        ("fetch a.gfz sim3_000", ">&-", CLOSED),
        ("ls a.gfz", ">&-", CLOSED),
        ("info --json a.gfz", ">&-", CLOSED),
        ("compress in.fa -o -", ">&-", CLOSED),
        ("--help", ">&-", CLOSED),
        ("info a.gfz", ">/dev/full", FULL),
        ("--version", ">/dev/full", FULL),
    ],
)
def test_what_cannot_be_written_is_an_error(archive: Path, command: str, redirected: str, printed: bytes) -> None:
    done = shell(archive.parent, f"gfz {command}", redirected)
    assert done.returncode == 1
    assert done.stderr.startswith(b"gfz: " + printed)
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("command", ["compress - -o b.gfz", "cat -", "fetch a.gfz -r -"])
def test_closed_standard_input(archive: Path, command: str) -> None:
    done = shell(archive.parent, f"gfz {command}", "<&-")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"gfz: error: standard input is closed; give a file, or leave it open\n"


def test_the_exit_status_is_right(archive: Path) -> None:
    for redirected in ("2>&-", "2>/dev/full"):
        assert shell(archive.parent, "gfz info none.gfz", redirected).returncode == 1
        assert shell(archive.parent, "gfz compress", redirected).returncode == 2
        assert shell(archive.parent, "rules profile none", redirected).returncode == 2
    done = shell(archive.parent, "rules profile slurm", ">&-")
    assert (done.returncode, done.stderr.split(b";")[0]) == (1, b"geneformer-rules: " + CLOSED)
    done = shell(archive.parent, "rules --help", ">/dev/full")
    assert (done.returncode, done.stderr.split(b";")[0]) == (1, b"geneformer-rules: " + FULL)
    assert shell(archive.parent, "rules decode a.gfz", "<&- >&- 2>&-").returncode == 0


def test_descriptors_are_reserved() -> None:
    program = (
        "import os, fcntl; from geneformer_codec.cli.console import open_standard_streams as o; o(); "
        "os.write(9, b'%d' % os.open('/dev/zero', os.O_RDONLY))"
    )
    command = f'exec 9>&1; {sys.executable} -c "{program}" <&- >&- 2>&-'
    done = subprocess.run(["bash", "-c", command], env=environment(), capture_output=True, check=True)
    assert int(done.stdout) > 2
    assert fcntl.fcntl(1, fcntl.F_GETFD) >= 0


NAMES = ["a\x1b[31mred", "été", "b\x85\u202ex", "bad\udcffbyte", "\U000e0041"]
SHOWN = ["a\\x1b[31mred", "été", "b\\x85\\u202ex", "bad\\xffbyte", "\\U000e0041"]


def test_printable() -> None:
    assert [console.printable(name) for name in NAMES] == SHOWN
    assert console.printable("two\nlines\ttab") == "two\\x0alines\\x09tab"


@pytest.fixture
def odd(archive: Path) -> Path:
    """An archive of a file, and of records, with such names."""
    directory = archive.parent
    source = directory / "n\x1b[1mé\n.fa"
    source.write_bytes(b"".join(b">%b\nACGT\n" % name.encode(errors="surrogateescape") for name in NAMES))
    assert main(["compress", str(source), "-o", "odd.gfz"]) == 0
    return directory / "odd.gfz"


@pytest.mark.parametrize(
    "settings", [{"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C.UTF-8"}], ids=["ASCII", "UTF-8"]
)
def test_people_see_no_control_characters_and_programs_the_bytes(odd: Path, settings: dict[str, str]) -> None:
    *seen, listed, fetched, json_lines = calls(
        ["info", "odd.gfz"],
        ["stats", "odd.gfz"],
        ["fetch", "odd.gfz", "no\x1b[1m\n"],
        ["compress", "n\x1b", "-o", "again.gfz"],
        ["ls", "odd.gfz"],
        ["fetch", "odd.gfz", NAMES[0]],
        ["ls", "--json", "odd.gfz"],
        **settings,
    )
    for done in seen:
        assert b"Traceback" not in done.stderr
        assert b"\\x1b" in done.stdout + done.stderr
        assert not {octet for octet in done.stdout + done.stderr if octet < 32} - set(b"\n\t")
    names = [name.encode(errors="surrogateescape") for name in NAMES]
    assert listed.stdout == b"".join(name + b"\t4\n" for name in names)
    assert fetched.stdout == b">" + names[0] + b"\nACGT\n"
    assert [json.loads(line)["name"] for line in json_lines.stdout.splitlines()] == NAMES


def test_a_list_on_a_terminal(odd: Path) -> None:
    for long in ([], ["--long"]):
        shown = on_terminal("ls", *long, "odd.gfz", stream="stdout")
        rows = [row.split(b"\t")[0].decode() for row in shown.replace(b"\r", b"").splitlines()]
        assert rows == SHOWN
