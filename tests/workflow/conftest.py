"""A working directory with sheets and a configuration, in which the real snakemake runs."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from geneformer_codec.model.file import Experts, Model
from geneformer_codec.model.initial_state import InitialState
from geneformer_codec.model.panel import Panel, embed
from geneformer_codec.model.panel_coding import encode_panel
from geneformer_codec.predict.settings import ExpertSettings, without_panel
from geneformer_codec.training.data import read_records

from .ena_server import Server

ROOT = Path(__file__).resolve().parents[2]

MODULE = """
from geneformer_rules import snakefile

configfile: "config.yaml"

module archive:
    snakefile: snakefile()
    config: config

use rule * from archive
"""


@dataclass
class Project:
    """What a user of the workflow writes; ``run`` is what they type."""

    directory: Path
    settings: dict[str, Any] = field(default_factory=dict)
    samples: list[str] = field(default_factory=lambda: ["sample\tpath\tspecies"])
    species: list[str] = field(default_factory=lambda: ["species\tpanel\tmodel\tbase\tpreset\trecipe\tminutes\tepochs"])

    def add_sample(self, name: str, text: bytes, species: str, suffix: str = ".fa") -> Path:
        """Write a sample's file and its row."""
        path = self.directory / "data" / f"{name}{suffix}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text)
        self.samples.append(f"{name}\t{path.relative_to(self.directory)}\t{species}")
        return path

    def add_species(self, name: str, **cells: str) -> None:
        """Write a row of the species sheet."""
        self.species.append("\t".join([name, *(cells.get(column, "") for column in self.species[0].split("\t")[1:])]))

    def write(self) -> None:
        """Put the sheets and the configuration on the disk."""
        (self.directory / "samples.tsv").write_text("\n".join(self.samples) + "\n")
        (self.directory / "species.tsv").write_text("\n".join(self.species) + "\n")
        settings = {
            "samples": "samples.tsv",
            "species": "species.tsv",
            "device": "cpu",
            "threads": {"train": 1, "compress": 1, "decode": 1},
            **self.settings,
        }
        (self.directory / "config.yaml").write_text(yaml.safe_dump(settings))
        (self.directory / "Snakefile").write_text(MODULE)

    def command(self, *arguments: str) -> list[str]:
        """The call of snakemake."""
        return [sys.executable, "-m", "snakemake", "--cores", "2", "--scheduler", "greedy", *arguments]

    def run(self, *arguments: str, status: int = 0) -> str:
        """Run snakemake and return everything it printed; the status must be as expected."""
        self.write()
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.directory,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=1800,
        )
        logs = "" if done.returncode == status else self.all_logs()
        assert done.returncode == status, done.stdout + logs
        return done.stdout

    def all_logs(self) -> str:
        """The logs of all jobs, for the message of a test that fails."""
        logs = sorted((self.directory / "logs").rglob("*.log"))
        return "\n".join(f"--- {log.relative_to(self.directory)}\n{log.read_text()}" for log in logs)

    def result(self, *parts: str) -> Path:
        """A file below results/."""
        return self.directory.joinpath("results", *parts)

    def report(self, sample: str) -> dict[str, Any]:
        """The report of a published archive."""
        report: dict[str, Any] = json.loads(self.result("reports", f"{sample}.json").read_text())
        return report


def environment() -> dict[str, str]:
    """The environment of a user who has not activated anything: the workflow must find its own commands."""
    paths = [str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PATH": os.defpath, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def related(count: int, length: int, seed: int) -> bytes:
    """FASTA of ``count`` records that differ from one another at one base in fifty."""
    rng = random.Random(seed)
    ancestor = rng.choices("ACGT", k=length)
    lines = []
    for number in range(count):
        bases = "".join(base if rng.random() > 0.02 else rng.choice("ACGT") for base in ancestor)
        lines.append(f">record_{seed}.{number} simulated")
        lines += [bases[start : start + 70] for start in range(0, length, 70)]
    return ("\n".join(lines) + "\n").encode()


@pytest.fixture(scope="session")
def panel() -> bytes:
    return related(count=12, length=1500, seed=1)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory, panel: bytes) -> Path:
    """A small model of experts; how well it predicts does not matter here."""
    directory = tmp_path_factory.mktemp("model")
    (directory / "panel.fa").write_bytes(panel)
    records = Panel.of(read_records([directory / "panel.fa"]))
    source = embed(records, lambda bases: encode_panel(bases, without_panel("fast"), 1))
    experts = Experts(InitialState.untrained(ExpertSettings()), source)
    (directory / "small.gfmodel").write_bytes(Model.of(None, experts, {"name": "small"}).to_bytes())
    return directory / "small.gfmodel"


@pytest.fixture
def with_model(project: Project, model: Path) -> Project:
    """A project whose species ``small`` has a model already."""
    project.add_species("small", model=str(model))
    return project


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()
