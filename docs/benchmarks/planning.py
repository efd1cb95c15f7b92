"""How long Snakemake plans many samples, beside a bare workflow of as many jobs, which is as fast as Snakemake can be.

    python docs/benchmarks/planning.py [--samples 2000] [--runs 1000] [--repeat 3]

Both are dry runs, in turns; CPU seconds, user and system, the median. In the bare workflow, whose rules have a shell
command and nothing else, a checkpoint fetches each run, as here.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import geneformer_rules

MODULE = f"""
module archive:
    snakefile: {geneformer_rules.snakefile()!r}
    config: {{"samples": "samples.tsv", "species": "species.tsv", "device": "cpu"}}

use rule * from archive
"""

SUMMARY = """
rule all:
    input: [f"archives/s{{i}}.gfz" for i in range({count})], "summary.tsv"

rule summary:
    input: [f"reports/s{{i}}.json" for i in range({count})]
    output: "summary.tsv"
    shell: "touch {{output}}"
"""

BARE_FILES = """
rule publish:
    input: "data/s{i}.fa", lambda wildcards: f"unpublished/{int(wildcards.i) % 8}"
    output: "archives/s{i}.gfz", "reports/s{i}.json"
    shell: "touch {output}"

rule archive:
    output: directory("unpublished/{batch}")
    shell: "mkdir {output}"
"""

BARE_RUNS = """
rule publish:
    input: lambda wildcards: checkpoints.fetch.get(i=wildcards.i).output
    output: "archives/s{i}.gfz", "reports/s{i}.json"
    shell: "touch {output}"

checkpoint fetch:
    output: "fetched/s{i}.json"
    shell: "touch {output}"
"""


def make_project(directory: Path, paths: Sequence[str], bare_rules: str) -> dict[str, Path]:
    """Write the workflow and the bare one, with samples of these paths; return their Snakefiles."""
    (directory / "data").mkdir(parents=True)
    for path in paths:
        if "/" in path:
            (directory / path).write_text(">record\nACGT\n")
    rows = [f"s{number}\t{path}\tnone" for number, path in enumerate(paths)]
    (directory / "samples.tsv").write_text("\n".join(["sample\tpath\tspecies", *rows]) + "\n")
    (directory / "species.tsv").write_text("species\tpanel\n")
    texts = {"geneformer-rules": MODULE, "bare": SUMMARY.format(count=len(paths)) + bare_rules}
    for name, text in texts.items():
        (directory / name).write_text(text)
    return {name: directory / name for name in texts}


def seconds(snakefile: Path, target: str) -> float:
    """CPU seconds of a dry run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "snakemake", "-n", "--quiet", "rules", "--snakefile", str(snakefile), "--", target]
    subprocess.run(command, cwd=snakefile.parent, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compare(what: str, snakefiles: dict[str, Path], repeat: int) -> None:
    """Print the times of both workflows."""
    targets = {"geneformer-rules": "compress_all", "bare": "all"}
    times: dict[str, list[float]] = {name: [] for name in snakefiles}
    for _ in range(repeat):
        for name, snakefile in snakefiles.items():
            times[name].append(seconds(snakefile, targets[name]))
    ours, bare = (statistics.median(times[name]) for name in ("geneformer-rules", "bare"))
    print(f"{what}: {ours:.1f} s, bare {bare:.1f} s, {ours / bare:.2f} times", flush=True)


def main(arguments: Iterable[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args(None if arguments is None else list(arguments))
    with tempfile.TemporaryDirectory() as scratch:
        files = [f"data/s{number}.fa" for number in range(options.samples)]
        runs = [f"SRR{number:06}" for number in range(options.runs)]
        for name, paths, rules in (("samples", files, BARE_FILES), ("runs", runs, BARE_RUNS)):
            snakefiles = make_project(Path(scratch, name), paths, rules)
            compare(f"{len(paths):,} {name}", snakefiles, options.repeat)


if __name__ == "__main__":
    main()
