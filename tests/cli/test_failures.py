"""What goes wrong for people: a message they can act on, and no damaged output."""

import contextlib
import functools
import os
import pty
import random
import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from networks import random_model
from unreadable import UNREADABLE, make_unreadable

from geneformer_codec.cli.main import Terminated, main
from geneformer_rules.cli import main as rules_main

from .conftest import GFZ, Gfz, environment, on_terminal, process


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize(("path", "printed"), list(UNREADABLE.items()))
@pytest.mark.parametrize(
    "command",
    [
        ["compress", "PATH", "-o", "b.gfz"],
        ["decompress", "PATH", "-o", "out"],
        ["compress", "in.fa", "-o", "b.gfz", "--model", "PATH"],
        ["split", "PATH", "-o", "parts"],
        ["info", "PATH"],
        ["fetch", "a.gfz", "-r", "PATH"],
        ["fetch", "a.gfz", "--bed", "PATH"],
        ["train", "PATH", "-o", "m.gfmodel", "--name", "x"],
        ["model", "show", "PATH"],
        ["gather", "PATH", "a.gfz", "-o", "b.gfz"],
    ],
    ids=" ".join,
)
def test_what_a_path_is_that_cannot_be_read(
    archive: Path, capfd: pytest.CaptureFixture[str], command: list[str], path: str, printed: str
) -> None:
    make_unreadable(archive.parent)
    before = names(archive.parent)
    assert main([path if word == "PATH" else word for word in command]) == 1
    reported = capfd.readouterr().err
    assert reported.startswith(f"gfz: error: {path}: {printed}")
    assert reported.count("\n") == 1
    assert names(archive.parent) == before


def random_record(bases: int) -> bytes:
    """A record that nothing makes smaller than 2 bits per base."""
    return b">a\n" + bytes(random.Random(1).choices(b"ACGT", k=bases)) + b"\n"


@pytest.mark.slow
def test_full_disk(source: Path, tmp_path: Path, tiny_disk: Path) -> None:
    (tmp_path / "large.fa").write_bytes(random_record(800_000))
    (tiny_disk / "out").write_bytes(b"old")
    process("compress", "large.fa", "-o", "large.gfz")
    for command in (["compress", "large.fa"], ["decompress", "large.gfz"]):
        done = process(*command, "-o", "disk/out", "-f")
        assert done.returncode == 1
        assert b"gfz: error: cannot write disk/out: the disk is full" in done.stderr
        assert names(tiny_disk) == ["out"]
        assert (tiny_disk / "out").read_bytes() == b"old"
        assert done.stderr.count(b"\n") == 1, "nothing after the message"
    with contextlib.suppress(OSError):
        (tiny_disk / "fill").write_bytes(bytes(64 << 10))
    for command in (["compress", "in.fa"], ["merge", "large.gfz"]):
        done = process(*command, "-o", "disk/out", "-f")
        assert done.stderr.startswith(b"gfz: error: cannot write disk/out: the disk is full")
        assert done.stderr.count(b"\n") == 1, "nothing after the message"
    (tiny_disk / "fill").unlink()
    done = process("split", "large.fa", "-o", "disk/parts")
    assert (done.returncode, b"the disk is full" in done.stderr) == (1, True)
    assert names(tiny_disk) == ["out"]


def test_limit_of_file_size(gfz: Gfz, source: Path) -> None:
    """The limit of ``ulimit -f`` stands in for a full disk where nothing can be mounted."""
    gfz("compress", "in.fa", "-o", "-")  # what is compiled when it is first used is on the disk then
    source.write_bytes(random_record(800_000))
    limit = functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (100_000, 100_000))
    done = process("compress", "in.fa", "-o", "a.gfz", preexec_fn=limit)
    assert done.returncode == 1
    assert b"cannot write a.gfz: the file would be larger" in done.stderr
    assert names(source.parent) == ["in.fa"]


def test_full_standard_output(archive: Path) -> None:
    for command in (["decompress", "a.gfz", "-o", "-"], ["info", "a.gfz"], ["compress", "in.fa", "-o", "-"]):
        with open("/dev/full", "wb") as full:  # noqa: PTH123
            done = process(*command, stdout=full)
        assert done.returncode == 1
        assert done.stderr.startswith(b"gfz: error: ")
        assert b"Traceback" not in done.stderr


def test_a_reader_that_goes_away(archive: Path) -> None:
    archive.with_name("in.fa").write_bytes(b">a\n" + b"ACGTTGCA" * 1_000_000)
    main(["compress", "in.fa", "-o", "a.gfz", "-f", "-q", "-l", "fast"])
    command = [*GFZ, "decompress", "a.gfz", "-o", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()) as reading:
        assert reading.stdout
        assert reading.stderr
        assert reading.stdout.read(3) == b">a\n"
        reading.stdout.close()
        assert reading.stderr.read() == b""
    assert reading.returncode == 1


def test_archive_to_a_terminal(source: Path) -> None:
    leader, follower = pty.openpty()
    done = subprocess.run(
        [*GFZ, "compress", "in.fa", "-o", "-"],
        stdin=follower, stdout=follower, stderr=subprocess.PIPE, env=environment(), check=False,
    )  # fmt: skip
    os.close(leader)
    os.close(follower)
    assert done.returncode == 2
    assert b"not writing an archive to a terminal" in done.stderr


def test_progress_on_a_terminal_only(source: Path) -> None:
    for quiet in ([], ["-q"]):
        assert (b"compress:" in on_terminal("compress", "in.fa", "-o", "a.gfz", "-f", *quiet)) == (not quiet)


def heed_signals() -> None:
    """A test run in the background, or under nohup, hands on that some are ignored."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.mark.parametrize(
    ("error", "status", "how"), [(Terminated, 143, "terminated"), (KeyboardInterrupt, 130, "interrupted")]
)
def test_ended_after_the_output_was_complete(
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    error: type[BaseException],
    status: int,
    how: str,
) -> None:
    """The message states whether the archive was written."""

    def end(*_: object) -> None:
        raise error

    monkeypatch.setattr("geneformer_codec.cli.commands.summary", end)
    assert main(["compress", "in.fa", "-o", "a.gfz"]) == status
    assert capfd.readouterr().err == f"gfz: {how}; written before that: a.gfz\n"
    assert main(["verify", "-q", "a.gfz"]) == 0
    monkeypatch.setattr("geneformer_codec.files.sync_directory", end)
    assert main(["compress", "in.fa", "-o", "b.gfz"]) == status
    assert capfd.readouterr().err == f"gfz: {how}; written before that: b.gfz\n"
    monkeypatch.setattr("geneformer_codec.files.check_absent", end)
    assert main(["compress", "in.fa", "-o", "a.gfz", "-f"]) == status
    assert capfd.readouterr().err == f"gfz: {how}; nothing was written\n"
    assert main(["decompress", "a.gfz", "-o", "-"]) == 0
    monkeypatch.setattr("geneformer_codec.archive.read.Archive.decode_all", end)
    assert main(["decompress", "a.gfz", "-o", "-"]) == status
    assert capfd.readouterr().err == f"gfz: {how}; written before that: standard output, in part\n"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_no_cuda_device(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Refused where a network or experts would run; for training experts a message reports that it has no effect."""
    network = ["--preset", "stream-tiny", "--epochs", "1"]
    assert main(["train", "in.fa", "-o", "x.gfmodel", "--name", "x", "--device", "cuda", *network]) == 2
    refused = "gfz: error: PyTorch finds no CUDA device; give --device cpu, or leave it out\n"
    assert capsys.readouterr().err == refused
    Path("x.gfmodel").write_bytes(random_model("stream").to_bytes())
    with_model = ["--model", "x.gfmodel", "--device", "cuda"]
    assert main(["compress", "in.fa", "-o", "a.gfz", *with_model]) == 2
    assert capsys.readouterr().err == refused
    rules = ["archive", "--sample", "a", "in.fa", "-o", "out", "--level", "fast", "--part-bases", "10000"]
    rules += ["--species", "x"]
    rules_main([*rules, *with_model])
    reported = capsys.readouterr().err
    assert "give --device cpu" in reported
    assert "Traceback" not in reported
    assert main(["compress", "in.fa", "-o", "a.gfz", "--access", "fine", "--device", "cuda"]) == 2
    refused = "gfz: error: there is no GPU here: NVIDIA's driver, libcuda.so.1, is not found"
    assert capsys.readouterr().err == f"{refused}; give --device cpu, or leave it out\n"
    assert main(["train", "in.fa", "-o", "y.gfmodel", "--name", "y", "--device", "cuda"]) == 0
    assert "gfz: no network is used, so everything runs on the CPU\n" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
@pytest.mark.parametrize("command", ["compress", "split"])
def test_killed_in_the_middle(tmp_path: Path, number: signal.Signals, command: str) -> None:
    """The old output stays; after a signal that can be caught, nothing else does; a rerun succeeds."""
    old = tmp_path / "out"
    if command == "split":
        old.mkdir()
        (old / "old").touch()
    else:
        old.write_bytes(b"old")
    with subprocess.Popen(
        [*GFZ, command, "-", "-o", "out", "-f", "--part-bases", "4096"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=environment(),
        preexec_fn=heed_signals,
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(b">a\n" + b"ACGTTGCAAC\n" * 500_000)
        process.stdin.flush()
        deadline = time.monotonic() + 1800
        while len(names(tmp_path)) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.5)
        assert len(names(tmp_path)) == 2, "the temporary is there"
        process.send_signal(number)
        message = process.stderr.read()
    if number == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
        assert len(names(tmp_path)) == 2
    else:
        assert process.returncode == (130 if number == signal.SIGINT else 143)
        assert b"nothing was written" in message
        assert names(tmp_path) == ["out"]
    assert (old / "old").exists() if command == "split" else old.read_bytes() == b"old"
    again = subprocess.run(
        [*GFZ, command, "-", "-o", "out", "-f"], input=b">a\nAC\n", cwd=tmp_path, env=environment(), check=False
    )
    assert again.returncode == 0
    assert not (tmp_path / "out.tmp").exists()
