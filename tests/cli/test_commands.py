"""The command's contract: what it writes where, and its exit status."""

import functools
import inspect
import json
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

import geneformer_codec
from geneformer_codec.cli.main import main
from geneformer_codec.cli.parser import build_parser

from .conftest import calls, environment, process

COMMANDS = [
    "train", "compress", "decompress", "cat", "fetch", "faidx", "verify", "info", "ls", "stats", "merge", "split",
    "gather", "model", "cache", "simulate", "completion",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _in_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_help_lists_the_commands() -> None:
    done = process("--help")
    for command in COMMANDS:
        assert f"    {command}".encode() in done.stdout


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys, geneformer_codec, geneformer_codec.cli.main as cli; cli.main(['compress', '--help']);"
        "print([name for name in ('numpy', 'numba', 'torch', 'tqdm', 'zstandard') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, env=environment(), check=True)
    assert done.stdout.endswith(b"\n[]\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert "options:" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"gfz {geneformer_codec.__version__} (geneformer-rules)\n"


def test_public_names_are_there() -> None:
    for name in geneformer_codec.__all__:
        assert getattr(geneformer_codec, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = geneformer_codec.nothing


def test_there_and_back(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compress", "in.fa", "-o", "a.gfz", "--verify", "--threads", "1", "--level", "fast"]) == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("in.fa: ")
    assert "payload" in printed.err
    assert "total" in printed.err
    assert main(["verify", "a.gfz"]) == 0
    assert main(["decompress", "a.gfz", "-o", "out.fa"]) == 0
    assert Path("out.fa").read_bytes() == source.read_bytes()
    assert main(["-q"]) == 2


def test_quiet(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compress", "in.fa", "-o", "a.gfz", "-q"]) == 0
    assert main(["verify", "a.gfz", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_pipes(source: Path) -> None:
    text = source.read_bytes()
    archived = process("compress", "-", "-o", "-", "--name", "in.fa", stdin=text)
    assert archived.returncode == 0
    assert main(["compress", "in.fa", "-o", "a.gfz", "-q"]) == 0
    assert Path("a.gfz").read_bytes() == archived.stdout
    assert process("decompress", "-", "-o", "-", stdin=archived.stdout).stdout == text
    assert json.loads(process("info", "-", "--json", stdin=archived.stdout).stdout)["input_bytes"] == len(text)


def test_info(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["compress", "in.fa", "-o", "a.gfz", "-q"])
    assert main(["info", "a.gfz", "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    contract = {
        "format", "records", "bases", "input_bytes", "payload_bytes", "side_bytes", "index_bytes", "model_bytes",
        "total_bytes", "bpb_payload", "bpb_total", "model_id", "level", "sha256",
    }  # fmt: skip
    assert contract <= info.keys()
    assert (info["format"], info["records"], info["level"], info["model_id"]) == ("gfz", 3, "balanced", "experts")
    assert info["total_bytes"] == Path("a.gfz").stat().st_size
    assert main(["info", "a.gfz"]) == 0
    table = capsys.readouterr().out
    assert f"{info['total_bytes']:,} bytes" in table
    assert info["sha256"] in table
    assert "model        none, predicted from the part itself\nwritten by" in table
    assert main(["info", "a.gfz", "--records"]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == ["sim3_000", "sim3_001", "sim3_002"]
    assert all(len(row) == 8 and row[7].startswith("SQ.") for row in rows)


def test_split_and_gather(source: Path) -> None:
    assert main(["split", "in.fa", "-o", "parts", "--part-bases", "1500", "--name", "s"]) == 0
    archives = []
    for part in sorted(Path("parts").glob("*.part")):
        archives.append(f"{part.stem}.gfz")
        assert main(["compress", "--part", str(part), "-o", archives[-1], "--level", "max"]) == 0
    assert main(["gather", "parts/plan.json", *archives, "-o", "a.gfz"]) == 0
    assert main(["compress", "in.fa", "-o", "b.gfz", "--part-bases", "1500", "--level", "max", "--name", "s"]) == 0
    assert Path("a.gfz").read_bytes() == Path("b.gfz").read_bytes()


def test_simulate(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "-o", "a.fa", "--genomes", "4", "--length", "500", "--seed", "9"]) == 0
    assert main(["simulate", "-o", "b.fa", "--genomes", "4", "--length", "500", "--seed", "9"]) == 0
    assert Path("a.fa").read_bytes() == Path("b.fa").read_bytes()
    assert Path("a.fa").read_bytes().count(b">") == 4
    assert main(["simulate", "-o", "c.fa", "--divergence", "2"]) == 2


def test_train_hands_its_options_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from geneformer_codec.training import train as module

    calls: list[dict[str, Any]] = []

    @functools.wraps(module.train)
    def train(**given: Any) -> Any:
        calls.append(given)
        sizes: dict[str, int] = {}
        return types.SimpleNamespace(
            name="fish", experts=None, sizes=lambda: sizes, to_bytes=lambda: b"123", id="0" * 64, metadata={}
        )

    monkeypatch.setattr(module, "train", train)
    options = ["--preset", "stream-tiny", "--minutes", "0.5", "--seed", "7", "--base", "b", "--log", "l"]
    options += ["--checkpoint", "c", "--hybrid", "h.fa"]
    assert main(["train", "a.fa", "b.fa", "-o", "fish.gfmodel", "--name", "fish", *options]) == 0
    (given,) = calls
    inspect.signature(module.train).bind(**given)
    wanted = {
        "panels": [Path("a.fa"), Path("b.fa")], "out": Path("fish.gfmodel"), "name": "fish", "preset": "stream-tiny",
        "minutes": 0.5, "seed": 7, "base": Path("b"), "log": Path("l"), "checkpoint": Path("c"),
        "hybrid": [Path("h.fa")],
    }  # fmt: skip
    assert wanted.items() <= given.items()
    assert "epochs" not in given


def test_every_option_is_a_parameter_of_the_library() -> None:
    """What a command passes on by name reaches the function that does the work."""
    (commands,) = (action for action in build_parser()._actions if action.dest == "command")
    used_here = {"help", "quiet", "json", "keep", "threads", "device"}
    also = {command: {"sources"} for command in ("decompress", "cat", "verify")}
    also["compress"] = {"sources", "parts"}
    for command in ("compress", "decompress", "cat", "verify", "merge", "split", "gather"):
        options = {action.dest for action in commands.choices[command]._actions}  # type: ignore[index, call-overload]
        known = set(inspect.signature(getattr(geneformer_codec, command)).parameters)
        assert options - used_here - also.get(command, set()) <= known


WITHOUT_TORCH = """
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

sys.meta_path.insert(0, Refuse())
"""


def test_without_pytorch(source: Path) -> None:
    """Experts are trained and used without it; networks, and CUDA for training, name the extra that brings it."""
    from networks import random_model

    from geneformer_codec.model.file import Experts, Model
    from geneformer_codec.model.initial_state import InitialState
    from geneformer_codec.predict.settings import ExpertSettings

    network, experts = random_model("stream"), Experts(InitialState.untrained(ExpertSettings(network=True)), None)
    Path("net.gfmodel").write_bytes(network.to_bytes())
    Path("both.gfmodel").write_bytes(Model.of(network.network, experts, {"name": "both"}).to_bytes())
    assert main(["compress", "in.fa", "-o", "net.gfz", "--model", "net.gfmodel", "--embed", "-q"]) == 0

    work = []
    for number, model in enumerate(([], ["--model", "both.gfmodel"])):
        out = f"{number}.gfz"
        work.append(["compress", "in.fa", "-o", out, "-l", "fast", "--verify", *model])
        work.append(["decompress", out, "-o", f"{number}.fa", *model])
    work += [["info", "net.gfz"], ["model", "show", "net.gfmodel"]]
    refused = [
        ["verify", "net.gfz"],
        ["decompress", "net.gfz", "-o", "x"],
        ["compress", "in.fa", "-o", "x", "--model", "net.gfmodel"],
        ["train", "in.fa", "-o", "x", "--name", "x", "--device", "cuda"],
        ["train", "in.fa", "-o", "x", "--name", "x", "--preset", "stream-tiny", "--epochs", "1"],
        ["train", "in.fa", "-o", "x", "--name", "x", "--network", "net.gfmodel"],
    ]
    done = calls(*work, *refused, before=WITHOUT_TORCH)
    assert not any(call.returncode for call in done[: len(work)])
    for number in range(2):
        assert Path(f"{number}.fa").read_bytes() == source.read_bytes()
    for call in done[len(work) :]:
        assert (call.returncode, call.stderr.count(b"\n")) == (2, 1), call.stderr
        assert b"pip install 'geneformer-rules[network]'" in call.stderr
    assert not Path("x").exists()


def test_paths_that_begin_with_a_dash(source: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """After ``--`` of every command, wherever its options stand; and as the value of an option after ``=``."""
    text = source.read_bytes()
    Path("-x.fa").write_bytes(text)
    Path("-r").write_bytes(b"@a\nACGT\n+\nIIII\n")
    for call in (
        ["compress", "-o=-x.gfz", "--", "-x.fa"],
        ["compress", "-q", "-o", "y.gfz", "--level=fast", "--", "-x.fa"],
        ["compress", "--mate=-r", "-o", "r.gfz", "--", "-r"],
        ["--", "compress", "-x.fa", "-o"],
        ["decompress", "-f", "-o=-y.fa", "--", "-x.gfz"],
        ["verify", "--", "-x.gfz"],
        ["info", "--json", "--", "-x.gfz"],
        ["ls", "--", "-x.gfz", "-x.gfz"],
        ["stats", "--", "-x.gfz"],
        ["faidx", "-o", "x.fai", "--", "-x.gfz"],
        ["fetch", "-n", "5", "--", "-x.gfz", "sim3_000:1-10"],
        ["cat", "--", "-x.gfz"],
        ["merge", "-o", "m.gfz", "--", "-x.gfz", "-x.gfz"],
        ["split", "-o", "parts", "--", "-x.fa"],
    ):
        assert main(call) == (2 if call[0] == "--" else 0), call
    assert Path("-y.fa").read_bytes() == text
    assert main(["compress", "-o", "z.gfz", "-x.fa"]) == 2
    assert main(["compress", "-o", "z.gfz", "--", "-x.fa", "-q"]) == 2
    assert not Path("z.gfz").exists()


def test_warnings_are_shown_once(capsys: pytest.CaptureFixture[str]) -> None:
    Path("x.fa").write_text("no record\n")
    warning = "gfz: warning: x.fa: no FASTA or FASTQ record in it: stored as plain text (10 bytes), not predicted\n"
    assert main(["compress", "x.fa", "-o", "a.gfz", "-q"]) == 0
    assert capsys.readouterr() == ("", warning)
    assert main(["compress", "x.fa", "-o", "a.gfz", "-f"]) == 0
    reported = capsys.readouterr().err
    assert reported.startswith(warning)
    assert reported.endswith("; 1 warning, also in 'gfz info'\n")
    assert reported.count("no FASTA") == 1


def test_messages_speak_of_options_here_and_of_parameters_in_python(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    geneformer_codec.compress("in.fa", "a.gfz")
    gfz, packed = geneformer_codec, ["compress", "in.fa", "-o", "b.gfz"]
    for call, run, here, there in (
        ([*packed[:3], "a.gfz"], lambda: gfz.compress("in.fa", "a.gfz"), "add -f to", "add force=True to"),
        ([*packed, "--embed"], lambda: gfz.compress("in.fa", "b.gfz", embed=True),
         "one with --model, or leave --embed out", "one with model=, or leave embed= out"),
        ([*packed, "--part-bases", "5"], lambda: gfz.compress("in.fa", "b.gfz", part_bases=5),
         "--part-bases 5 is out of range", "part_bases=5 is out of range"),
        (["decompress", "a.gfz", "-o", "b", "--mate", "c"], lambda: gfz.decompress("a.gfz", "b", mate="c"),
         "leave --mate out", "leave mate= out"),
    ):  # fmt: skip
        assert main(call) in (1, 2)
        assert here in capsys.readouterr().err
        with pytest.raises(geneformer_codec.GfzError, match=there):
            run()
    with pytest.raises(geneformer_codec.InputError, match=r"^none\.gfmodel: no such file"):
        geneformer_codec.read_model("none.gfmodel")


@pytest.mark.parametrize(
    "call",
    [
        ["compact"],
        ["compress"],
        ["compress", "in.fa", "more.fa"],
        ["compress", "-o", "a.gfz"],
        ["compress", "in.fa", "--part", "x", "-o", "a.gfz"],
        ["compress", "in.fa", "-o", "a.gfz", "--threads", "-1"],
        ["compress", "in.fa", "-o", "a.gfz", "--device", "tpu"],
        ["info"],
    ],
)
def test_calls_that_are_at_fault(source: Path, call: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(call) == 2
    assert "error" in capsys.readouterr().err
    assert not Path("a.gfz").exists()
