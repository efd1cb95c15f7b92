"""A real Slurm for the tests marked ``slurm``, and a project whose jobs run there."""

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from workflow.conftest import Project, environment

import geneformer_rules

SCRIPT = Path(__file__).with_name("slurm.sh")

# Notes every call. Without control groups the kernel does not end jobs that exceed their memory, so gfz is ended here.
# The GPUs are simulated, and the CPU does their work.
NODE_PROGRAM = """#!/usr/bin/env bash
memory=$(scontrol show job "$SLURM_JOB_ID" | sed -n 's/.*MinMemoryNode=\\([0-9]*\\)M.*/\\1/p')
echo "$SLURM_JOB_ID ${{CUDA_VISIBLE_DEVICES:--}} $*" >> {notes}/calls
[[ $1 != compress || $memory -ge $(cat {notes}/needed) ]] || kill -KILL $$
while [[ -s {notes}/held && "$*" == $(cat {notes}/held) ]]; do sleep 0.2; done
exec {python} -c 'import sys; from {module} import main; sys.exit(main())' "${{@/%cuda/cpu}}"
"""

# Within a job the executor drops every variable whose name begins with SLURM_, this Slurm's configuration too.
NODE_SRUN = """#!/bin/sh
SLURM_CONF={configuration} exec {srun} "$@"
"""


@dataclass
class Cluster:
    """One node, with partitions ``cpu`` and ``gpu`` and an account ``lab``."""

    state: Path

    def ask(self, command: str) -> str:
        """Run a command of Slurm's and return what it says."""
        return subprocess.run(shlex.split(command), check=True, capture_output=True, text=True, timeout=1800).stdout

    def script(self, step: str) -> None:
        """Run a step of the script."""
        with (self.state / f"{step}.out").open("w+") as printed:
            done = subprocess.run([SCRIPT, step, self.state], stdout=printed, stderr=subprocess.STDOUT, timeout=1800)
            printed.seek(0)
            assert done.returncode == 0, printed.read()

    def end(self, daemon: str) -> None:
        """End a daemon, which saves its state; killed outright, it would forget the last seconds."""
        ended = psutil.Process(int((self.state / "run" / f"{daemon}.pid").read_text()))
        ended.terminate()
        until(lambda: not ended.is_running() or ended.status() == psutil.STATUS_ZOMBIE)

    def steps(self, job: str) -> list[Path]:
        """The sockets of the processes by which the node looks after a job."""
        return list((self.state / "node").glob(f"*_{job}.*"))

    @property
    def node(self) -> str:
        """The only node there is."""
        return self.ask("sinfo -h -o %n").strip()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Slurm, for as long as the tests take."""
    missing = subprocess.run([SCRIPT, "missing"], check=True, capture_output=True, text=True).stdout.split()
    if missing:
        pytest.skip(f"no Slurm: install the Debian packages {' '.join(missing)}")
    cluster = Cluster(tmp_path_factory.mktemp("slurm"))
    configured = pytest.MonkeyPatch()
    configured.setenv("SLURM_CONF", str(cluster.state / "slurm.conf"))
    try:
        cluster.script("start")
        yield cluster
    finally:
        cluster.script("stop")
        configured.undo()


@dataclass
class ClusterProject(Project):
    """A project whose jobs go through ``sbatch``, and whose node notes every call of our commands."""

    cluster: Cluster = field(kw_only=True)
    # Snakemake asks after its jobs when this has passed, and then ever more rarely.
    job_seconds: int = 10
    started: "list[subprocess.Popen[str]]" = field(default_factory=list)

    @classmethod
    def on(cls, cluster: Cluster, directory: Path) -> "ClusterProject":
        """A new project, whose account is the one there is."""
        project = cls(directory, settings={"slurm": {"account": "lab"}}, cluster=cluster)
        project.prepare()
        return project

    @property
    def notes(self) -> Path:
        """Where the node writes down what it does, and is reported what to do."""
        return self.directory / "notes"

    def prepare(self) -> None:
        """Put the programs of the node where jobs find them first."""
        self.notes.mkdir()
        self.need_memory(0)
        place = {"notes": shlex.quote(str(self.notes)), "python": shlex.quote(sys.executable)}
        programs = {
            "gfz": NODE_PROGRAM.format(module="geneformer_codec.cli.main", **place),
            "geneformer-rules": NODE_PROGRAM.format(module="geneformer_rules.cli", **place),
            "srun": NODE_SRUN.format(configuration=os.environ["SLURM_CONF"], srun=shutil.which("srun")),
        }
        (self.notes / "bin").mkdir()
        for name, program in programs.items():
            (self.notes / "bin" / name).write_text(program)
            (self.notes / "bin" / name).chmod(0o755)

    def command(self, *arguments: str) -> list[str]:
        """The call of snakemake, with the packaged profile."""
        patience = ["--latency-wait", "5", "--slurm-init-seconds-before-status-checks", f"{self.job_seconds}"]
        profile = ["--profile", geneformer_rules.profile("slurm")]
        return [sys.executable, "-m", "snakemake", *profile, *patience, *arguments]

    def environment(self) -> dict[str, str]:
        """As on a login node."""
        bare = environment()
        return {**bare, "PATH": os.pathsep.join([str(self.notes / "bin"), bare["PATH"]])}

    def start(self, *arguments: str, snakefile: str | None = None) -> "subprocess.Popen[str]":
        """Start snakemake, and return while it runs; ``snakefile`` is the text of one that is not the module's."""
        self.write()
        if snakefile is not None:
            (self.directory / "Snakefile").write_text(snakefile)
        with (self.directory / "printed").open("w") as printed:
            process = subprocess.Popen(
                self.command(*arguments),
                cwd=self.directory,
                env=self.environment(),
                stdout=printed,
                stderr=subprocess.STDOUT,
                text=True,
            )
        self.started.append(process)
        return process

    def finish(self, process: "subprocess.Popen[str]", status: int = 0) -> str:
        """Wait for snakemake and return everything it printed."""
        try:
            process.wait(timeout=1800)
        except subprocess.TimeoutExpired:
            process.kill()
        assert process.returncode == status, self.printed() + self.all_logs()
        return self.printed()

    def printed(self) -> str:
        """What snakemake has printed up to now."""
        return (self.directory / "printed").read_text()

    def run(self, *arguments: str, status: int = 0, snakefile: str | None = None) -> str:
        """Run snakemake and return everything it printed."""
        return self.finish(self.start(*arguments, snakefile=snakefile), status)

    def stop(self) -> None:
        """End what is left running here: by a test that failed, or of a job that Slurm lost with its node."""
        for process in self.started:
            process.kill()
            process.wait()
        for left in psutil.process_iter(["cwd"]):
            if left.info["cwd"] == str(self.directory):
                left.kill()

    def need_memory(self, megabytes: int) -> None:
        """From now on, compressing takes this much."""
        (self.notes / "needed").write_text(f"{megabytes}\n")

    def hold(self, pattern: str) -> None:
        """From now on, jobs whose call of ``gfz`` matches a pattern of the shell wait; an empty one lets them go on."""
        (self.notes / "held").write_text(pattern)

    def calls(self, pattern: str) -> list[str]:
        """The Slurm jobs that called our commands with these words, in their order."""
        notes = self.notes / "calls"
        lines = notes.read_text().splitlines() if notes.exists() else []
        return [line.split()[0] for line in lines if pattern in line]

    def accounted(self, rule: str, *columns: str) -> list[list[str]]:
        """What Slurm's accounting says of the jobs of a rule, perhaps of one with certain wildcards, in their order."""
        printed = self.cluster.ask(f"sacct -XnP -D -o Comment,WorkDir,{','.join(columns)}")
        rows = [line.split("|") for line in printed.splitlines()]
        own = [row for row in rows if f"{row[0]}_".startswith(f"rule_{rule}_") and row[1] == str(self.directory)]
        return [row[2:] for row in own]

    def wait_for_call(self, pattern: str, count: int = 1) -> list[str]:
        """Wait until ``gfz`` has been called so, and so often."""
        until(lambda: len(self.calls(pattern)) >= count)
        return self.calls(pattern)


@pytest.fixture
def on_cluster(cluster: Cluster, tmp_path: Path) -> Iterator[ClusterProject]:
    """A project of one account."""
    project = ClusterProject.on(cluster, tmp_path)
    yield project
    project.stop()


def until(happened: Callable[[], bool], seconds: float = 1800) -> None:
    """Wait for something that another process does."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.2)
