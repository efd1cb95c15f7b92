"""Twenty runs of a sequencing centre, of mixed size, on a real Slurm of one node: how busy it is, and its messages.

    PYTHONPATH=src:.:tests python tests/cluster/centre.py DIRECTORY [--large 5000] [--small 40] [--level fast]

A local server in place of ENA has one large run (``--large`` MB of text), pairs, pairs with orphans, long reads, a run
that it refuses, one without files and one that is unknown. Checks that failures are reported once and nothing is
requested again, runs again, for which nothing must be left to do, and verifies all archives. The use of the cores is in
DIRECTORY/use.tsv, one row per second.
"""

import argparse
import contextlib
import gzip
import hashlib
import mmap
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import psutil
from workflow.ena_server import Server

from cluster.conftest import Cluster, ClusterProject, until
from geneformer_codec.sequence.simulate_reads import write_fastq

RECORD = 360
"""About how many bytes a read takes."""
REFUSED, WITHOUT_FILES, UNKNOWN = "SRR000018", "SRR000019", "SRR000020"
FAILURES = {
    REFUSED: "the server answers 403",
    WITHOUT_FILES: "ENA has no FASTQ files of this run",
    UNKNOWN: "ENA has no such run",
}


class TextFile:
    """A compressed file of reads, the digest of its text, and its numbers of reads and bases."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self._file = path, gzip.open(path, "wb", compresslevel=1)  # noqa: SIM115
        self.digest, self.text_bytes, self.reads, self.bases = hashlib.sha256(), 0, 0, 0

    def write(self, record: bytes) -> None:
        """Write a record of FASTQ."""
        self._file.write(record)
        self.digest.update(record)
        self.text_bytes, self.reads = self.text_bytes + len(record), self.reads + 1
        self.bases += len(record.split(b"\n", 2)[1])

    def __enter__(self) -> "TextFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def write_long_reads(file: TextFile, bases: int, seed: int) -> None:
    """Write noisy long reads, about so many bases."""
    random = np.random.default_rng(seed)
    genome = random.choice(np.frombuffer(b"ACGT", np.uint8), 200_000)
    while file.bases < bases:
        length = int(np.clip(random.lognormal(8, 0.8), 200, 100_000))
        start = int(random.integers(len(genome) - length))
        read = genome[start : start + length].copy()
        wrong = random.random(length) < 0.06
        read[wrong] = random.choice(genome, int(wrong.sum()))
        qualities = np.clip(random.normal(51, 6, length), 34, 80).astype(np.uint8)
        file.write(b"@read_%d\n%b\n+\n%b\n" % (file.reads + 1, read.tobytes(), qualities.tobytes()))


@dataclass
class Centre:
    """The runs that a server has, in a directory, and the SHA-256 of their texts, but of those that are joined."""

    directory: Path
    server: Server
    digests: dict[str, list[str]] = field(default_factory=dict)
    text_bytes: int = 0
    rows: list[str] = field(default_factory=list)

    def add(self, run: str, files: dict[str, TextFile]) -> None:
        """Let the server have the files of a run, by the end of their names, without holding them in memory."""
        self.server.runs[run] = []
        for part, file in files.items():
            name = f"/{run}{part}.fastq.gz"
            self.server.runs[run].append(name)
            self.server.files[name] = _mapped(file.path)
        reads, bases = sum(file.reads for file in files.values()), sum(file.bases for file in files.values())
        self.server.counts[run] = reads - (files["_2"].reads if "_2" in files else 0), bases
        self.text_bytes += sum(file.text_bytes for file in files.values())
        self.digests[run] = [file.digest.hexdigest() for part, file in files.items() if len(files) < 3 or part == "_2"]
        self.rows.append(f"{run}\t{run}\tnone\t{sum(len(self.server.files[n]) for n in self.server.runs[run])}")

    def make(self, large: float, small: float) -> None:
        """Simulate 17 runs, of ``large`` and about ``small`` MB of text, and three that fail."""
        for number in range(1, 18):
            run, size = f"SRR{number:06}", large if number == 3 else small * (0.2 + number / 8)
            if number in (5, 11):
                with TextFile(self.directory / f"{run}.fastq.gz") as file:
                    write_long_reads(file, int(5e5 * size), number)
                self.add(run, {"": file})
                continue
            mates = (1, 2)[: 1 + number % 2]
            reads = int(1e6 * size / len(mates) / RECORD)
            with contextlib.ExitStack() as stack:
                parts = ["_1", "_2"] if len(mates) == 2 else [""]
                files = {
                    part: stack.enter_context(TextFile(self.directory / f"{run}{part}.fastq.gz")) for part in parts
                }
                genome = max(20_000, min(10 * reads, 40_000_000))
                write_fastq([cast(BinaryIO, file) for file in files.values()], reads, genome=genome, seed=number)
                if number in (7, 13):  # reads without a mate beside pairs
                    files[""] = stack.enter_context(TextFile(self.directory / f"{run}.fastq.gz"))
                    write_fastq([cast(BinaryIO, files[""])], reads // 20, genome=genome, seed=number + 100)
            self.add(run, files)
        for run in (REFUSED, WITHOUT_FILES):
            self.server.add(run, _=b"@r\nA\n+\nF\n")
            self.server.files[f"/{run}.fastq.gz"] *= run == REFUSED
        self.server.lies[f"/{REFUSED}.fastq.gz"] = lambda handler: handler.send_error(403)
        self.server.runs[WITHOUT_FILES] = []
        self.rows += [f"{run}\t{run}\tnone\t" for run in FAILURES]


def _mapped(path: Path) -> memoryview:
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


class Use(threading.Thread):
    """Notes each second how busy the cores are, with what a project started and with all else, and what the queue has.

    ``wanted`` are the threads of the project that run or wait for a core: where there are as many as cores, all would
    be busy with it if nobody else used the machine.
    """

    def __init__(self, project: ClusterProject, table: Path) -> None:
        super().__init__(daemon=True)
        self.project, self.table, self.ended = project, table, threading.Event()
        self.rows: list[tuple[float, ...]] = []

    def run(self) -> None:
        began = before = time.monotonic()
        seen: dict[int, float] = {}
        psutil.cpu_percent()
        with self.table.open("w") as out:
            print("seconds", *self.COLUMNS, sep="\t", file=out)
            while not self.ended.wait(1):
                used, wanted = 0.0, 0
                for process in psutil.process_iter(["cwd", "cpu_times"]):
                    if str(process.info["cwd"]).startswith(str(self.project.directory)):
                        spent = sum(process.info["cpu_times"][:2])
                        used += spent - seen.get(process.pid, 0)
                        seen[process.pid] = spent
                        wanted += _threads_wanting(process.pid)
                now = time.monotonic()
                states = subprocess.run(["squeue", "-h", "-o", "%T"], capture_output=True, text=True).stdout.split()
                machine = psutil.cpu_percent() / 100 * (psutil.cpu_count() or 1)
                jobs = states.count("RUNNING"), states.count("PENDING")
                self.rows.append((now - began, machine, used / (now - before), wanted, *jobs))
                before = now
                print(*(f"{value:.2f}" for value in self.rows[-1]), sep="\t", file=out, flush=True)

    COLUMNS = ("machine", "own", "wanted", "running", "waiting")

    def show(self, stretches: int = 20) -> None:
        """Print the use of cores in equal stretches of time."""
        cores = psutil.cpu_count() or 1
        print("  seconds", *(f"{column:>8}" for column in self.COLUMNS), "all cores wanted")
        step = max(1, -(-len(self.rows) // stretches))
        for start in range(0, len(self.rows), step):
            rows = self.rows[start : start + step]
            mean = [sum(row[column] for row in rows) / len(rows) for column in range(1, 6)]
            full = sum(row[3] >= cores for row in rows) / len(rows)
            print(f"{rows[-1][0]:9.0f}", *(f"{value:8.2f}" for value in mean), f"{full:16.0%}")
        own = sum(row[2] for row in self.rows) / len(self.rows)
        full = sum(row[3] >= cores for row in self.rows) / len(self.rows)
        print(f"{own:.2f} of {cores} cores used, all of them wanted {full:.0%} of the time", flush=True)


def _threads_wanting(process: int) -> int:
    """The threads of a process that run or wait for a core."""
    try:
        tasks = list(Path(f"/proc/{process}/task").iterdir())
        return sum((task / "stat").read_text().rpartition(")")[2].split()[0] == "R" for task in tasks)
    except OSError:  # it has ended
        return 0


def archive(centre: Centre, project: ClusterProject, table: Path, disturb: Callable[[], None] = lambda: None) -> str:
    """Archive all runs, and check what was printed and asked; ``disturb`` is called while jobs are at work."""
    project.samples[:] = ["sample\tpath\tspecies\tbytes", *centre.rows]
    use = Use(project, table)
    use.start()
    began = time.monotonic()
    process = project.start("compress_all")
    try:
        disturb()
        printed = project.finish(process, status=1)
    finally:
        use.ended.set()
        use.join()
    print(f"{centre.text_bytes / 1e6:,.0f} MB of text in {time.monotonic() - began:.0f} s")
    use.show()
    check(centre, project, printed)
    return printed


def check(centre: Centre, project: ClusterProject, printed: str) -> None:
    """Check archives, failures and requests."""
    asked = centre.server.asked
    print(*(line for line in printed.splitlines() if line.startswith("geneformer-rules: ")), sep="\n")
    archived = {path.stem for path in project.result("archives").glob("*.gfz")}
    assert archived == {f"SRR{number:06}" for number in range(1, 18)}, archived
    for run, digests in centre.digests.items():
        facts = project.report(run)
        held = [facts["sha256"], *([facts["mate"]["sha256"]] if facts["mate"] else [])]
        assert held[-len(digests) :] == digests, run
    for run, reason in FAILURES.items():
        reported = [line for line in printed.splitlines() if line.startswith(f"geneformer-rules: failed: {run}: ")]
        assert len(reported) == 1, reported
        assert reason in reported[0]
        assert len(re.findall(rf"^{run}: .*{re.escape(reason)}", printed, re.M)) <= 1
    files = [path for path in asked if path.endswith(".gz")]
    assert len(files) == len(set(files)), "a file was asked for twice"
    assert asked.count("/filereport") == 20


def run_again(centre: Centre, project: ClusterProject) -> None:
    """Once more: only what has failed is tried; without it nothing is to be done. Then verify all archives."""
    before = {path: path.stat().st_mtime_ns for path in project.result("archives").glob("*.gfz")}
    asked = len(centre.server.asked)
    project.run("compress_all", status=1)
    assert sorted(centre.server.asked[asked:]) == ["/SRR000018.fastq.gz", *["/filereport"] * 3]
    project.samples[:] = [row for row in project.samples if row.split("\t")[0] not in FAILURES]
    assert "Nothing to be done" in project.run("-n", "compress_all") + project.run("compress_all")
    assert before == {path: path.stat().st_mtime_ns for path in before}
    left = [place for place in ("downloads", "parts", "blocks", "fetched") if project.result(place).exists()]
    print("left:", *left)
    began = time.monotonic()
    project.run("verify_all")
    print(f"verify_all: {time.monotonic() - began:.0f} s")
    checks = project.result("checks.tsv").read_text()
    assert checks.count("\tverification\tpassed") == 17


def disturbing(project: ClusterProject) -> Callable[[], None]:
    """Cancel a job, and restart the controller, while jobs are at work."""

    def disturb() -> None:
        until(lambda: bool(project.calls("compress --part")))
        job = project.calls("compress --part")[-1]
        project.cluster.ask(f"scancel {job}")
        print(f"cancelled job {job}: {project.cluster.ask(f'squeue -h -o %k -j {job}').strip()}")
        project.cluster.end("slurmctld")
        time.sleep(15)
        project.cluster.script("start-controller")
        print("restarted slurmctld", flush=True)

    return disturb


def main() -> None:
    """Simulate, archive, check and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--large", type=float, default=5000, help="MB of text of the largest run")
    parser.add_argument("--small", type=float, default=40, help="MB of text of others, about")
    parser.add_argument("--level", default="fast")
    parser.add_argument("--downloads", type=int, default=4)
    parser.add_argument("--job-bases", type=int, help="bases that a job works on (default: a minute's work)")
    parser.add_argument("--cpus", type=int, default=4, help="of the node, as Slurm sees it")
    parser.add_argument("--disturb", action="store_true", help="cancel a job and restart the controller meanwhile")
    options = parser.parse_args()
    directory = options.directory.resolve()
    directory.mkdir(parents=True)
    centre = Centre(directory / "ena", Server())
    centre.make(options.large, options.small)
    print(f"{len(centre.rows)} runs, {centre.text_bytes / 1e6:,.0f} MB of text", flush=True)
    cluster = Cluster(directory / "slurm")
    os.environ["SLURM_CONF"] = str(cluster.state / "slurm.conf")
    os.environ["SLURM_TEST_CPUS"] = str(options.cpus)
    cluster.state.mkdir()
    try:
        cluster.script("start")
        (directory / "project").mkdir()
        project = ClusterProject.on(cluster, directory / "project")
        project.settings |= {"level": options.level, "threads": {"compress": 2, "decode": 2}}
        project.settings["planning"] = {"job_bases": options.job_bases}
        project.settings["sra"] = {"ena_url": centre.server.reports, "max_downloads": options.downloads}
        try:
            archive(centre, project, directory / "use.tsv", disturbing(project) if options.disturb else lambda: None)
            run_again(centre, project)
        finally:
            project.stop()
    finally:
        cluster.script("stop")


if __name__ == "__main__":
    main()
