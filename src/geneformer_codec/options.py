"""What ``gfz`` can be asked for: commands, options and their help. Imports nothing heavy."""

import argparse
from pathlib import Path
from typing import Any

from . import __version__
from .archive.manifest import DEFAULT_LANE_LENGTH, DEFAULT_LEVEL, DEFAULT_PART_BASES, LEVELS

_DESCRIPTION = "Archive nucleotide sequence with a learned model, and get every byte back."

_EXAMPLES = """\
examples:
  gfz train panel.fa.gz -o fish.gfmodel --name fish
  gfz compress genomes.fa.gz -o genomes.gfz --model fish.gfmodel --verify
  gfz info genomes.gfz
  gfz decompress genomes.gfz -o genomes.fa --model fish.gfmodel
  gfz decompress genomes.gfz -o - --model fish.gfmodel | grep -c '>'

'-' is standard input or output. Exit status: 0 done, 1 the data are at fault (the message says where), 2 the call is.
An archive made with a model that is not embedded needs that model again: give it with --model, or name the directories
that hold models in GFZ_MODEL_PATH. More about a command: gfz COMMAND --help
"""

EXPERTS = "experts"
"""The preset that trains no network."""
_TRAIN = """\
examples:
  gfz train panel.fa.gz -o fish.gfmodel --name fish
  gfz train panel.fa.gz -o fish.gfmodel --name fish --preset stream-small --minutes 30
  gfz train mine.fa -o mine.gfmodel --name mine --base fish.gfmodel --epochs 2
  gfz train panel.fa.gz -o net.gfmodel --name fish --preset stream-small --checkpoint net.ckpt   (again to resume)
"""

_COMPRESS = """\
examples:
  gfz compress genome.fa.gz -o genome.gfz                              (no model: it learns from the file itself)
  gfz compress genomes.fa -o genomes.gfz --model fish.gfmodel --verify
  cat *.fa | gfz compress - -o all.gfz --model fish.gfmodel --embed
  gfz compress --part parts/00000003.part -o 3.gfz --model fish.gfmodel   (one part of 'gfz split', for 'gfz gather')

The same input, model, level, strands, lane length, part size and name give the same bytes, whatever the threads,
device, arithmetic and lane batch.
"""

_GATHER = """\
example:
  gfz split genomes.fa.gz -o parts
  for p in parts/*.part; do gfz compress --part $p -o $p.gfz --model fish.gfmodel; done
  gfz gather parts/plan.json parts/*.gfz -o genomes.gfz
"""


_SIMULATE = """\
examples:
  gfz simulate -o panel.fa --genomes 40 --seed 1
  gfz simulate -o - --genomes 5 --length 30000 --divergence 0.05 | head

The same seed and settings give the same genomes everywhere. Their names say that they are simulated.
"""


def build_parser() -> argparse.ArgumentParser:
    """All commands and options."""
    parser = _Parser(prog="gfz", description=_DESCRIPTION, epilog=_EXAMPLES)
    parser.add_argument("--version", action="version", version=f"gfz {__version__} (geneformer-rules)")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)
    _train(_add(commands, "train", "learn a model from the FASTA files of a species", _TRAIN))
    _compress(_add(commands, "compress", "archive a FASTA file", _COMPRESS))
    _decompress(_add(commands, "decompress", "give back the exact text of an archive"))
    _verify(_add(commands, "verify", "decode an archive and check every checksum in it"))
    _info(_add(commands, "info", "show sizes, settings, model and checksums of an archive"))
    _split(_add(commands, "split", "cut a FASTA file into parts for jobs to compress", _GATHER))
    _gather(_add(commands, "gather", "join the archives of the parts, without compressing again", _GATHER))
    _simulate(_add(commands, "simulate", "write simulated genomes that are related, for trying things out", _SIMULATE))
    return parser


class _Parser(argparse.ArgumentParser):
    """Keeps the lines of examples, and takes options by full name only, so that new ones change no call."""

    def __init__(self, **settings: Any):
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **settings)


def _add(commands: Any, name: str, what: str, epilog: str = "") -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=what, description=f"{what[0].upper()}{what[1:]}.", epilog=epilog
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar and no summary on standard error")
    return parser


def _train(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("panels", nargs="+", type=Path, metavar="PANEL", help="FASTA files of the species to learn from, gzip'd or not")
    add("-o", "--out", type=Path, required=True, metavar="MODEL", help="the model file to write (SPECIES.gfmodel)")
    add("--name", required=True, help="what to call the model: the species")
    add(
        "--preset",
        help=f"{EXPERTS} (counts, copies and attention over them: quick and small), or the size and form of a network "
        f"(default: {EXPERTS}, or that of --base)",
    )
    add("--refer-panel", action="store_true",
        help="of experts: leave the panel out of the model and name its records by their refget digests; "
        "they are then looked for in the FASTA files and directories of GFZ_REF_PATH")  # fmt: skip
    add(
        "--recipe", choices=("default", "paper"), default="default",
        help="how to train: a faster recipe, or the one of the GeneFormer paper (default: %(default)s)",
    )  # fmt: skip
    add("--base", type=Path, metavar="MODEL", help="start from this model (fine-tune) and take its preset")
    add("--hybrid", type=Path, action="append", default=[], metavar="FASTA",
        help="train on this other species as well, as much of it in each batch; may be given again")  # fmt: skip
    add("--epochs", type=float, metavar="N", help="stop after so many passes over the panel")
    add("--minutes", type=float, metavar="M", help="stop after so many minutes")
    add("--seed", type=int, default=0, metavar="S", help="for the split of the panel and all chance (default: 0)")
    add("--log", type=Path, metavar="FILE", help="write a line of JSON for each step that is reported")
    add(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="to save the state in, and go on from (default: MODEL.checkpoint)",
    )
    _force(parser)
    _machine(parser)


def _compress(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("source", nargs="?", metavar="IN", help="FASTA file, or '-'; gzip, bzip2, xz and zstandard are recognised")
    add("--part", type=Path, metavar="PART", help="instead of IN: compress one part made by 'gfz split'")
    _output(parser, "OUT.gfz", "the archive to write")
    add("--model", metavar="MODEL", help="the model to predict with; without one, each part is predicted from itself")
    add("--level", choices=LEVELS, default=DEFAULT_LEVEL,
        help="how hard to try: smaller archives take longer, to read as to write (default: %(default)s)")  # fmt: skip
    add("--strands", choices=("auto", "one", "both"), default="auto",
        help="without a model: learn from one strand or from both (default: what a measurement advises)")  # fmt: skip
    add("--lane-length", type=int, metavar="N",
        help="the most bases that must be decoded to read one "
        f"(default: {DEFAULT_LANE_LENGTH:,} with a model, all of the part without)")  # fmt: skip
    add("--part-bases", type=int, metavar="N",
        help=f"the most bases in a part; memory grows with it, and without a model with the threads, "
        f"each of which works on a part (default: {DEFAULT_PART_BASES:,})")  # fmt: skip
    add("--name", help="the name of the sample in the archive (default: that of the file)")
    add("--embed", action="store_true", help="put the model into the archive, so that it decodes by itself")
    add("--verify", action="store_true", help="decode the archive and compare before it is put in place")
    _force(parser)
    _machine(parser)
    _execution(parser)


def _decompress(parser: argparse.ArgumentParser) -> None:
    _archive(parser)
    _output(parser, "OUT", "the file to write")
    _model(parser)
    _force(parser)
    _machine(parser)
    _execution(parser)


def _verify(parser: argparse.ArgumentParser) -> None:
    _archive(parser)
    _model(parser)
    _machine(parser)
    _execution(parser)


def _info(parser: argparse.ArgumentParser) -> None:
    _archive(parser)
    parser.add_argument("--json", action="store_true", help="for programs: one JSON object")
    parser.add_argument(
        "--records", action="store_true",
        help="list the records: name, block, lane, offset in bases, residues, bases, MD5 and refget digest, by tabs",
    )  # fmt: skip
    _model(parser)


def _split(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("source", metavar="IN", help="FASTA file, or '-'; gzip, bzip2, xz and zstandard are recognised")
    add("-o", "--out", type=Path, required=True, metavar="DIR", help="the directory to write: plan.json and the parts")
    add("--part-bases", type=int, default=DEFAULT_PART_BASES, metavar="N",
        help="the most bases in a part (default: %(default)s)")  # fmt: skip
    add("--name", help="the name of the sample in the archive (default: that of the file)")
    _force(parser)


def _gather(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("plan", type=Path, metavar="PLAN", help="the plan.json that 'gfz split' wrote")
    add("parts", nargs="+", type=Path, metavar="PART.gfz", help="the archive of every part, in any order")
    _output(parser, "OUT.gfz", "the archive to write")
    add("--embed-model", metavar="MODEL", help="put this model into the archive, so that it decodes by itself")
    _force(parser)


def _simulate(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    _output(parser, "OUT.fa", "the FASTA file to write")
    add("--genomes", type=_count, default=20, metavar="N", help="how many (default: %(default)s)")
    add("--length", type=_count, default=16_000, metavar="N", help="bases in each, about (default: %(default)s)")
    add("--divergence", type=float, default=0.01, metavar="X",
        help="share of the bases in which each differs from the common ancestor (default: %(default)s)")  # fmt: skip
    add("--seed", type=_count, default=0, metavar="S", help="for all chance (default: %(default)s)")
    _force(parser)


def _archive(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="IN.gfz", help="the archive, or '-'")


def _output(parser: argparse.ArgumentParser, metavar: str, what: str) -> None:
    parser.add_argument("-o", "--out", required=True, metavar=metavar, help=f"{what}, or '-'")


def _model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="MODEL", help="the model, if it is neither embedded nor in GFZ_MODEL_PATH")


def _force(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--force", action="store_true", help="replace the output if it exists")


def _machine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=_count, default=0, metavar="N", help="CPU threads (default: all there are)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: %(default)s")


def _execution(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how to compute", "The archive does not depend on these.")
    group.add_argument(
        "--arithmetic", choices=("auto", "float32", "float64", "int32"), default="auto",
        help="how whole numbers are multiplied; all give the same (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--lane-batch", type=_count, default=0, metavar="N", help="lanes computed at once (default: as many as fit)"
    )


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return number
