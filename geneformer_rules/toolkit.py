"""Fetch a run with the SRA toolkit: prefetch, which resumes downloads, vdb-validate, sra-stat, fasterq-dump."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from geneformer_codec.errors import InputError
from geneformer_codec.inputs.decompress import open_input
from geneformer_rules.accessions import Accession, Fetched, choose, join_unpaired
from geneformer_rules.downloading import NetworkError, Patience

_TOOLS = ("prefetch", "vdb-validate", "sra-stat", "fasterq-dump")
_UNKNOWN = re.compile(
    r"not found|unknown|404|no data|invalid accession|cannot resolve|name incorrect|is not a run", re.I
)
_DENIED = re.compile(r"access denied|unauthori[sz]ed|permission to access|dbgap|\( ?403 ?\)", re.I)
_OFFLINE = re.compile(r"network|connection|timeout|timed out|resolve host|dns|mbedtls", re.I)
_RUN = re.compile(r"<Run [^>]*>")
_ATTRIBUTE = re.compile(r'(\w+)="([0-9]+)"')
_COUNT = re.compile(r"^((?:spots|reads|technical) [a-z0-9 -]*?)\s*:\s*([0-9,]+)$", re.M)


class ToolError(InputError):
    """A tool failed, or its output is not complete; it may succeed the next time."""


@dataclass(frozen=True)
class _Content:
    """The content of a run by its metadata; ``technical`` are the bases of technical reads."""

    spots: int
    bases: int
    technical: int

    def __str__(self) -> str:
        technical = f", {self.technical:,} of them in technical reads" if self.technical else ""
        return f"the run holds {self.spots:,} spots with {self.bases:,} bases{technical}"


def fetch(accession: Accession, directory: Path, threads: int, patience: Patience, ngc: Path | None = None) -> Fetched:
    """Bring all reads of a run into ``directory``, technical ones as well, as a file or a pair, and count them.

    ``ngc`` is the repository key of protected runs. Reads without a mate are put behind those of the first file,
    unless they are chosen apart.
    """
    key = [] if ngc is None else ["--ngc", str(ngc)]
    for tool in _TOOLS:
        if shutil.which(tool) is None:
            raise InputError(
                f"{tool}: command not found; install the SRA toolkit (Debian: sra-toolkit, conda: sra-tools), "
                "let Snakemake do it (--sdm conda), or take reads from ENA, which needs no tool ('sra.source: ena')"
            )
    run = directory / accession.run
    patience.persist(lambda: _prefetch(accession.run, directory, key), lambda: _held(run))
    try:
        _call(["vdb-validate", *key, str(run)], f"{run}: what was downloaded is damaged")
    except InputError:
        shutil.rmtree(run)  # or it would be found again when the job is
        raise
    content = _content(run, key)
    print(f"{accession.run}: {_held(run):,} bytes were downloaded; {content}", file=sys.stderr)
    files, reads = _extract(run, content, threads, key)
    chosen = choose(accession, {path.name: path for path in files})
    others = [count_reads(path) for path in files if path not in chosen]
    reads -= sum(count for count, _ in others)
    bases = content.bases - sum(count for _, count in others)
    return Fetched(
        join_unpaired(chosen), (reads,), bases, str(content), "The disk may be full or faulty; run the workflow again"
    )


def _prefetch(run: str, directory: Path, key: list[str]) -> None:
    for lock in (directory / run).glob("*.lock"):
        lock.unlink()  # of a prefetch that was killed; the directory is ours alone
    try:
        command = ["prefetch", run, *key, "--output-directory", str(directory), "--max-size", "u"]
        _call(command, f"{run}: the download failed")
    except InputError as error:
        if _DENIED.search(str(error)):
            raise InputError(
                f"{error}\n{run}: the run is protected"
                + (
                    ", and the key in 'sra.ngc' gives no access to it; ask dbGaP for it"
                    if key
                    else "; ask dbGaP for access, and name the file of your repository key (.ngc) in 'sra.ngc'"
                )
            ) from error
        if _UNKNOWN.search(str(error)) and not _OFFLINE.search(str(error)):
            raise InputError(
                f"{error}\n{run}: correct the accession in the sample sheet, if SRA has no such run"
            ) from error
        raise NetworkError(str(error)) from error


def _held(run: Path) -> int:
    return sum(path.stat().st_size for path in run.rglob("*") if path.is_file())


def _content(run: Path, key: list[str]) -> _Content:
    for options in (["--quick"], []):  # from the run's metadata; where these have no numbers, from all of its reads
        output = _call(["sra-stat", *key, *options, "--xml", str(run)], f"{run}: counting its reads failed")
        element = _RUN.search(output)
        numbers = {name: int(number) for name, number in _ATTRIBUTE.findall(element[0])} if element else {}
        if numbers.get("spot_count") and {"base_count", "base_count_bio"} <= numbers.keys():
            bases = numbers["base_count"]
            return _Content(numbers["spot_count"], bases, bases - numbers["base_count_bio"])
    raise InputError(f"{run.name}: holds no reads")


def _extract(run: Path, content: _Content, threads: int, key: list[str]) -> tuple[list[Path], int]:
    """Write all reads of a run as FASTQ beside it, and return the files and the number of reads.

    ``--split-3`` separates reads without a mate from pairs, but never writes technical reads. If there are any, each
    read of a spot goes to a file of its own.
    """
    directory = run.parent
    for old in (*_texts(run), *directory.glob("fasterq.tmp.*")):
        shutil.rmtree(old) if old.is_dir() else old.unlink()  # of a job that failed or was killed
    layout = ["--split-files", "--include-technical"] if content.technical else ["--split-3", "--skip-technical"]
    command = ["fasterq-dump", *key, str(run), *layout, "--force", "--threads", str(threads)]
    command += ["--outdir", str(directory), "--temp", str(directory)]
    output = _call(command, f"{run}: extracting its reads failed")
    counts = {name: int(number.replace(",", "")) for name, number in _COUNT.findall(output)}
    summary = ", ".join(f"{name} {number:,}" for name, number in counts.items()) or "no numbers"
    files = _texts(run)
    print(f"{run.name}: extracted {', '.join(path.name for path in files)} ({summary})", file=sys.stderr)
    # Reads of no length, such as the missing mates of single reads, are not written. Technical reads are skipped only
    # where none of them has a base.
    left_out = counts.get("reads 0-length", 0) + (0 if content.technical else counts.get("technical reads", 0))
    written = counts.get("reads written", 0)
    if not written or counts.get("reads read") != written + left_out or counts.get("spots read") != content.spots:
        raise ToolError(
            f"{run.name}: not all reads were extracted: {content}, and fasterq-dump reports: {summary}. Nothing was "
            f"archived, and the download is kept in {directory}; run the workflow again, or extract the reads yourself "
            "and name the files in the sample sheet"
        )
    return files, written


def _texts(run: Path) -> list[Path]:
    return sorted([*run.parent.glob(f"{run.name}.fastq"), *run.parent.glob(f"{run.name}_*.fastq")])


def count_reads(text: Path) -> tuple[int, int]:
    """The reads and bases of a file of an archive, compressed or not, whose records have four lines each."""
    reads = bases = 0
    with open_input(text) as file:
        for number, line in enumerate(file):
            if number % 4 == 1:
                reads, bases = reads + 1, bases + len(line.rstrip())
    return reads, bases


def _call(command: list[str], failure: str) -> str:
    """Return the output of a command, or raise an InputError with its last lines."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ})
    if done.returncode:
        last = "\n".join(done.stdout.strip().splitlines()[-4:])
        raise ToolError(f"{failure}; {command[0]} reports:\n{last}")
    return done.stdout
