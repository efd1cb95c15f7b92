"""Commands that show archives and models, write texts, merge, and complete."""

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from geneformer_codec.cli.main import main
from geneformer_codec.cli.parser import build_parser


def lines(captured: str) -> list[list[str]]:
    return [line.split("\t") for line in captured.splitlines()]


def test_ls(archive: Path, capfd: pytest.CaptureFixture[str]) -> None:
    sequences = {part.split("\n")[0].split()[0]: "".join(part.split("\n")[1:]) for part in
                 Path("in.fa").read_text().split(">")[1:]}  # fmt: skip
    assert main(["ls", "a.gfz", "a.gfz"]) == 0
    assert lines(capfd.readouterr().out) == 2 * [[name, str(len(text))] for name, text in sequences.items()]
    assert main(["ls", "--long", "a.gfz"]) == 0
    long = capfd.readouterr().out
    assert [row[6] for row in lines(long)] == [
        hashlib.md5(text.upper().encode()).hexdigest() for text in sequences.values()
    ]
    assert main(["info", "--records", "a.gfz"]) == 0
    assert capfd.readouterr().out == long
    assert main(["ls", "--json", "a.gfz"]) == 0
    listed = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert listed == [{"name": name, "residues": len(text)} for name, text in sequences.items()]
    assert main(["ls", "--json", "--long", "a.gfz"]) == 0
    assert json.loads(capfd.readouterr().out.splitlines()[0])["md5"] == lines(long)[0][6]


def test_stats(archive: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Path("b.fa").write_text(">a\nACGTN\n>b\nAC\n>c\nACG\n>d\n")
    assert main(["compress", "b.fa", "-o", "b.gfz", "-q"]) == 0
    assert main(["stats", "a.gfz", "b.gfz"]) == 0
    head, _, row = lines(capfd.readouterr().out)
    shown = dict(zip(head, row, strict=True))
    assert [shown[name] for name in ("archive", "sample", "records", "residues", "bases")] == [
        "b.gfz", "b.fa", "4", "10", "9",
    ]  # fmt: skip
    assert [shown[name] for name in ("min", "mean", "max", "n50")] == ["0", "2.5000", "5", "5"]
    assert main(["stats", "--json", "b.gfz"]) == 0
    (facts,) = json.loads(capfd.readouterr().out)
    assert facts["total_bytes"] == Path("b.gfz").stat().st_size
    Path("none.fa").touch()
    assert main(["compress", "none.fa", "-o", "none.gfz", "-q"]) == 0
    assert main(["stats", "--json", "none.gfz"]) == 0
    assert json.loads(capfd.readouterr().out)[0]["n50"] == 0


def test_cat_and_merge(archive: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    text = Path("in.fa").read_bytes()
    assert main(["cat", "a.gfz", "a.gfz"]) == 0
    assert capfdbinary.readouterr().out == 2 * text
    assert main(["merge", "a.gfz", "a.gfz", "-o", "b.gfz", "--name", "twice.fa"]) == 0
    assert capfdbinary.readouterr().err.startswith(b"twice.fa: ")
    assert main(["cat", "b.gfz"]) == 0
    assert capfdbinary.readouterr().out == 2 * text


def test_json_of_what_was_done(source: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["compress", "in.fa", "-o", "a.gfz", "--json", "-k", "-l", "fast", "-T", "1"]) == 0
    info = json.loads(capfd.readouterr().out)
    assert (info["sample"], info["level"], source.exists()) == ("in.fa", "fast", True)
    assert main(["verify", "a.gfz", "--json"]) == 0
    assert json.loads(capfd.readouterr().out) == info
    assert main(["compress", "in.fa", "-o", "-", "--json"]) == 2


def test_models(source: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    from networks import random_model

    model = random_model("stream")
    Path("models").mkdir()
    Path("models/x.gfmodel").write_bytes(model.to_bytes())
    Path("models/damaged.gfmodel").write_bytes(b"no model")
    row = ["stream", model.id, str(len(model.to_bytes())), "network", "models/x.gfmodel"]
    assert main(["model", "ls", "models"]) == 0
    assert lines(capfd.readouterr().out) == [row]
    monkeypatch.setenv("GFZ_MODEL_PATH", "none:models")
    assert main(["model", "ls", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)[0]["id"] == model.id
    assert main(["model", "show", "models/x.gfmodel"]) == 0
    assert model.id in capfd.readouterr().out
    assert main(["model", "show", "models/damaged.gfmodel"]) == 1
    monkeypatch.delenv("GFZ_MODEL_PATH")
    assert main(["model", "ls"]) == 1
    assert "GFZ_MODEL_PATH" in capfd.readouterr().err
    assert main(["model"]) == 2


def test_show_a_model_of_experts(source: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from geneformer_codec.model.file import Experts, Model
    from geneformer_codec.model.initial_state import InitialState
    from geneformer_codec.predict.settings import ExpertSettings

    decision = {"choice": "some seeds", "bits": 1.5, "saves": 0.1, "speed": 1.0, "kept": True}
    model = Model.of(
        None, Experts(InitialState.untrained(ExpertSettings()), None), {"name": "fish", "decisions": [decision]}
    )
    Path("x.gfmodel").write_bytes(model.to_bytes())
    assert main(["model", "show", "x.gfmodel", "--json"]) == 0
    facts = json.loads(capfd.readouterr().out)
    assert (facts["experts"], facts["network"], facts["metadata"]["decisions"]) == (True, None, [decision])


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion(shell: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capfd.readouterr().out
    assert "decompress" in script
    assert "--reverse-complement" in script or shell == "tcsh"


def test_completion_works_in_bash(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    main(["completion", "bash"])
    (tmp_path / "gfz.bash").write_text(capfd.readouterr().out)
    (tmp_path / "some.gfz").touch()
    cases = {"dec": "decompress", "compress --le": "--level", "compress --level ": "balanced", "verify som": "some.gfz"}
    for typed, wanted in cases.items():
        words = ["gfz", *typed.split(" ")]
        quoted = " ".join(f"'{word}'" for word in words)
        program = (
            f"source gfz.bash; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _shtab_gfz; "
            'printf "%s\\n" "${COMPREPLY[@]}"'
        )
        done = subprocess.run(["bash", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert wanted in done.stdout.split()


def test_every_command_has_examples() -> None:
    (commands,) = (action for action in build_parser()._actions if action.dest == "command")
    assert commands.choices is not None
    choices: dict[str, Any] = dict(commands.choices)  # type: ignore[call-overload]
    for name, parser in choices.items():
        assert "example" in parser.epilog
        assert f"gfz {name}" in parser.epilog
