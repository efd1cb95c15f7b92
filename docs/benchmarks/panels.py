"""What a model costs and saves: ``python docs/benchmarks/panels.py [--refer] [--train "OPTIONS"] PANEL SAMPLE...``.

Trains a model on the FASTA file PANEL and compresses each SAMPLE without it and twice with it, in a fresh cache
directory. Prints bytes with everything counted, CPU seconds and the most private memory of a process: the first one
with the model builds the panel's tables, later ones map them, and four at once share them. Archives made with and
without tables in the cache must be equal.
"""

import argparse
import json
import os
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

GFZ = (sys.executable, "-m", "geneformer_codec")


def private_bytes(process: int) -> int:
    """Memory of a process that no other shares and no file holds."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Anonymous:"))


def run(what: str, *commands: list[str]) -> None:
    """Run commands at once, and print CPU seconds, wall seconds and the largest private memory of one."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    processes = [subprocess.Popen([*GFZ, *command]) for command in commands]
    most, done = 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.05):
            most = max(most, *(private_bytes(process.pid) for process in processes))

    watcher = threading.Thread(target=watch)
    watcher.start()
    failed = [process.wait() for process in processes]
    done.set()
    watcher.join()
    if any(failed):
        raise SystemExit(f"{what} failed")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{what:40} {seconds:8.1f} CPU s {time.perf_counter() - begun:8.1f} s {most / 2**20:8.0f} MiB private")


def warm_up(scratch: str, samples: list[Path], levels: list[str]) -> None:
    """Let all kernels be compiled, which is done once per machine and is no part of what a panel costs."""
    tiny, model = f"{scratch}/tiny.fa", f"{scratch}/tiny.gfmodel"
    run("compile", ["simulate", "-o", tiny, "--genomes", "20", "--length", "2000", "--seed", "1", "-q"])
    run("compile", ["train", tiny, "-o", model, "--name", "tiny", "-q"])
    for sample in samples:
        for level in levels:
            for given in ([], ["--model", model]):
                run("compile", ["compress", str(sample), "-o", f"{scratch}/tiny.gfz", "-q", "-f", "-l", level, *given])
    shutil.rmtree(f"{scratch}/cache/panels")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("panel", type=Path)
    parser.add_argument("samples", nargs="+", type=Path)
    parser.add_argument("--refer", action="store_true", help="let the model refer to the panel")
    parser.add_argument("--train", default="", help="options of gfz train")
    parser.add_argument("--levels", default="balanced", help="with commas between")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        model, out = f"{scratch}/m.gfmodel", f"{scratch}/a.gfz"
        os.environ |= {"GFZ_REF_PATH": str(options.panel.resolve()), "GFZ_CACHE": f"{scratch}/cache"}
        levels = options.levels.split(",")
        warm_up(scratch, options.samples, levels)
        refer = ["--refer-panel"] if options.refer else []
        run(
            "train",
            ["train", str(options.panel), "-o", model, "--name", "m", "-q", *refer, *shlex.split(options.train)],
        )
        print(f"model: {Path(model).stat().st_size:,} bytes")
        for level in levels:
            for sample in options.samples:
                archives = set[bytes]()
                for given in ([], ["--model", model], ["--model", model]):
                    command = ["compress", str(sample), "-o", out, "-q", "-f", "-T", "1", "--level", level, *given]
                    run(f"{sample.name} {level} {'with the model' if given else ''}", command)
                    info = json.loads(subprocess.check_output([*GFZ, "info", "--json", out]))
                    print(f"    {info['total_bytes']:,} bytes, payload {info['payload_bytes']:,}, "
                          f"{info['bpb_payload']:.4f} bits per base")  # fmt: skip
                    archives.add(Path(out).read_bytes())
                if len(archives) != 2:
                    raise SystemExit("a panel from the cache gave another archive")
        tables = sum(file.stat().st_size for file in Path(scratch).glob("cache/panels/*/*"))
        print(f"tables: {tables:,} bytes on the disk")
        command = ["compress", str(options.samples[0]), "--model", model, "-q", "-f", "-T", "1"]
        run("four at once", *([*command, "-o", f"{scratch}/{number}.gfz"] for number in range(4)))


if __name__ == "__main__":
    main()
