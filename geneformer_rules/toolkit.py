"""Fetch a run with the SRA toolkit: prefetch, which goes on with what broke off, vdb-validate, fasterq-dump."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from geneformer_codec.errors import InputError
from geneformer_rules.accessions import Accession, choose
from geneformer_rules.downloading import NetworkError, Patience

_TOOLS = ("prefetch", "vdb-validate", "fasterq-dump")
_UNKNOWN = re.compile(
    r"not found|unknown|404|no data|invalid accession|cannot resolve|name incorrect|is not a run", re.I
)
_OFFLINE = re.compile(r"network|connection|timeout|timed out|resolve host|dns|mbedtls", re.I)
_WRITTEN = re.compile(r"reads written\s*:\s*([0-9,]+)")


def fetch(accession: Accession, directory: Path, threads: int, patience: Patience) -> tuple[list[Path], int | None]:
    """Bring the reads of a run into ``directory``, a file or a pair, and say how many there are, if these are all."""
    for tool in _TOOLS:
        if shutil.which(tool) is None:
            raise InputError(
                f"{tool}: there is no such command; install the SRA toolkit (Debian: sra-toolkit, conda: sra-tools), "
                "let Snakemake do it (--sdm conda), or take reads from ENA, which needs no tool ('sra.source: ena')"
            )
    run = directory / accession.run
    patience.persist(lambda: _prefetch(accession.run, directory), lambda: _held(run))
    try:
        _call(["vdb-validate", str(run)], f"{run}: what was downloaded is damaged")
    except InputError:
        shutil.rmtree(run)  # or it would be found again when the job is
        raise
    command = ["fasterq-dump", str(run), "--split-3", "--skip-technical", "--force", "--threads", str(threads)]
    command += ["--outdir", str(directory), "--temp", str(directory)]
    said = _call(command, f"{run}: its reads cannot be extracted")
    files = {path.name: path for path in sorted(directory.glob(f"{accession.run}*.fastq"))}
    if not files:
        raise InputError(f"{accession.run}: holds no reads")
    chosen = choose(accession, files)
    written = _WRITTEN.search(said)
    return chosen, int(written[1].replace(",", "")) if written and len(chosen) == len(files) else None


def _prefetch(run: str, directory: Path) -> None:
    for lock in (directory / run).glob("*.lock"):
        lock.unlink()  # of a prefetch that was killed; the directory is ours alone
    try:
        _call(["prefetch", run, "--output-directory", str(directory), "--max-size", "u"], f"{run}: cannot be fetched")
    except InputError as error:
        if _UNKNOWN.search(str(error)) and not _OFFLINE.search(str(error)):
            raise InputError(
                f"{error}\n{run}: correct the accession in the sample sheet, if SRA knows no such run"
            ) from error
        raise NetworkError(str(error)) from error


def _held(run: Path) -> int:
    return sum(path.stat().st_size for path in run.rglob("*") if path.is_file())


def _call(command: list[str], failure: str) -> str:
    """What the command says; an InputError with its last lines if it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ})
    if done.returncode:
        last = "\n".join(done.stdout.strip().splitlines()[-4:])
        raise InputError(f"{failure}; {command[0]} says:\n{last}")
    return done.stdout
