"""The commands of ``gfz``, their options and help. Imports nothing heavy."""

import argparse
from pathlib import Path

from geneformer_codec import __version__
from geneformer_codec.archive.settings import (
    ACCESS,
    AUTO,
    COARSE,
    DEFAULT_LEVEL,
    DEFAULT_PART_BASES,
    DIGESTS,
    FINE_SLICE_LENGTH,
    LEVELS,
)
from geneformer_codec.cli import help as examples
from geneformer_codec.cli.command_parser import CommandParser
from geneformer_codec.limits import memory_size
from geneformer_codec.training import EXPERTS, GENOMES, PURPOSES

_DESCRIPTION = "Lossless archives of nucleotide sequence, predicted by a learned model."


def build_parser() -> argparse.ArgumentParser:
    """All commands and options."""
    parser = CommandParser(prog="gfz", description=_DESCRIPTION, epilog=examples.GFZ)
    parser.add_argument("--version", action="version", version=f"gfz {__version__} (geneformer-rules)")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=CommandParser)
    for name, (add_options, what) in _COMMANDS.items():
        about = f"{what[0].upper()}{what[1:]}."
        command = commands.add_parser(name, help=what, description=about, epilog=getattr(examples, name.upper()))
        command.add_argument("-q", "--quiet", action="store_true", help="print warnings and errors only")
        add_options(command)
    return parser


def _train(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("panels", nargs="+", type=Path, metavar="PANEL", help="FASTA files of the species, compressed or not")
    add("-o", "--out", type=Path, required=True, metavar="MODEL", help="the model file to write (SPECIES.gfmodel)")
    add("--name", required=True, help="the name of the model: the species")
    add("--preset",
        help=f"'{EXPERTS}' (fast to train, small models), or the size and form of a network "
        f"(default: {EXPERTS}, or with --base its preset)")  # fmt: skip
    add("--base", type=Path, metavar="MODEL",
        help="extend the panel of this model and continue its training, or fine-tune its network")  # fmt: skip
    add("--seed", type=int, default=0, metavar="S", help="random seed (default: 0)")
    add("--log", type=Path, metavar="FILE", help="write a JSON object per line for each reported step")
    _force(parser)
    _execution(parser)
    add = parser.add_argument_group("experts").add_argument
    add("--for", "--purpose", dest="purpose", choices=PURPOSES, default=GENOMES,
        help="what will be compressed: the model is tuned on held-out records, or on reads simulated from the "
        "panel (default: %(default)s)")  # fmt: skip
    add("--tune", type=Path, metavar="FILE",
        help="FASTA or FASTQ like what will be compressed: the model is tuned on its first bases instead")  # fmt: skip
    add("--network", type=Path, metavar="MODEL",
        help="a model whose network is added as an expert, at level max, if it reduces the size")  # fmt: skip
    add("--recurring", action="store_true",
        help="make the panel of what recurs in several of the files instead of their whole content")  # fmt: skip
    add("--refer-panel", action="store_true",
        help="leave the panel out of the model and name its records by their refget digests; "
        "they are then searched for in GFZ_REF_PATH, REF_CACHE and REF_PATH")  # fmt: skip
    add = parser.add_argument_group(
        "networks", "They need PyTorch: pip install 'geneformer-rules[network]'"
    ).add_argument
    add("--recipe", choices=("default", "paper"), default="default",
        help="a fast recipe, or that of the GeneFormer paper (default: %(default)s)")  # fmt: skip
    add("--hybrid", type=Path, action="append", default=[], metavar="FASTA",
        help="train on this species as well, with an equal share of each batch; may be repeated")  # fmt: skip
    add("--epochs", type=float, metavar="N", help="stop after this many passes over the panel")
    add("--minutes", type=float, metavar="M", help="stop after this many minutes")
    add("--checkpoint", type=Path, metavar="FILE",
        help="save the state here and continue from it (default: MODEL.checkpoint)")  # fmt: skip


def _compress(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("sources", nargs="*", metavar="IN",
        help="FASTA or FASTQ file, or '-'; gzip, bzip2, xz and zstandard are recognised. "
        "Or BAM, CRAM, GenBank or EMBL: the reads or records in them are archived")  # fmt: skip
    add("--mate", metavar="IN2", help="the second FASTQ file of a pair, for both in one archive")
    add("--part", dest="parts", type=Path, nargs="+", metavar="PART",
        help="instead of IN: compress one part made by 'gfz split', or several into one file")  # fmt: skip
    _output(parser, "OUT.gfz", "the archive to write", "of x.fa or x.fa.gz, x.fa.gfz")
    add("--model", metavar="MODEL", help="the model to predict with; without one, each part is predicted from itself")
    add("-l", "--level", choices=LEVELS, default=DEFAULT_LEVEL,
        help="smaller archives take longer to write and to read (default: %(default)s)")  # fmt: skip
    add("--strands", choices=("auto", "one", "both"), default="auto",
        help="learn from one strand or from both (default: measured for each part)")  # fmt: skip
    add("--access", type=_access, default=COARSE, metavar="{fine,coarse,N}",
        help="how much is decoded to read a base: a part (coarse, the smallest archives), "
        f"{FINE_SLICE_LENGTH:,} bases (fine, to read regions often) or N bases (default: %(default)s)")  # fmt: skip
    add("--digests", choices=DIGESTS, default=AUTO,
        help="store MD5 and refget digests of records where they take less than a hundredth of a part, or always "
        "(default: %(default)s)")  # fmt: skip
    add("--part-bases", type=_size, metavar="N",
        help="maximum bases in a part, such as 64M; larger parts take more memory, without a model one part per "
        f"thread (default: {DEFAULT_PART_BASES >> 20}M)")  # fmt: skip
    add("--name", help="the name of the sample in the archive (default: that of the file)")
    _as_is(parser)
    _bin_qualities(parser)
    _any_order(parser)
    _self_panel(parser)
    add("--embed", action="store_true", help="put the model into the archive, so that decoding needs no other file")
    add("--verify", action="store_true", help="decode the archive and compare before it is put in place")
    _json(parser, "print what 'gfz info --json' prints, instead of the summary")
    _keep(parser)
    _force(parser)
    _execution(parser)


def _self_panel(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-self-panel", dest="self_panel", action="store_false",
        help="without a model, predict each part from itself alone, not from a panel that is made of the "
        "input")  # fmt: skip


def _decompress(parser: argparse.ArgumentParser) -> None:
    _archives(parser)
    _output(parser, "OUT", "the file to write", "of x.fa.gfz, x.fa")
    parser.add_argument("--mate", metavar="OUT2", help="of a pair, the file to write the second text to")
    _model(parser)
    _max_memory(parser)
    _keep(parser)
    _force(parser)
    _execution(parser)


def _cat(parser: argparse.ArgumentParser) -> None:
    _archives(parser)
    parser.add_argument("--mate", action="store_true", help="of pairs, write the second text instead of the first")
    _model(parser)
    _max_memory(parser)
    _execution(parser)


def _fetch(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("source", metavar="IN.gfz",
        help="the archive, its URL, or '-'")  # fmt: skip
    add("regions", nargs="*", metavar="REGION", help="name, name:start, name:start-end; from 1, both ends included")
    add("-r", "--region-file", metavar="FILE", help="a list of regions, one per line ('-': standard input)")
    add("--bed", metavar="FILE", help="regions as BED ('-': standard input); of strand -, the reverse complement")
    add("-i", "--reverse-complement", dest="reverse", action="store_true", help="write the reverse complement")
    add("--mark-strand", choices=("rc", "sign", "no"), default="rc",
        help="the strand in titles: /rc if reverse; (+) or (-); nothing (default: %(default)s)")  # fmt: skip
    add("-n", "--length", dest="width", type=_count, metavar="N",
        help="residues per line, 0 for a single line (default: as in the record)")  # fmt: skip
    add("--fastq", dest="qualities", action="store_true", help="write FASTQ, with the qualities of reads")
    add("--mate", action="store_true", help="the second of two reads of the same name")
    add("-c", "--continue", dest="skip_unknown", action="store_true",
        help="skip regions of unknown records with a warning")  # fmt: skip
    add("-o", "--out", default="-", metavar="OUT", help="the FASTA file to write (default: standard output)")
    _model(parser)
    _max_memory(parser)
    _force(parser)
    _execution(parser)


def _faidx(parser: argparse.ArgumentParser) -> None:
    _archive(parser)
    parser.add_argument("-o", "--out", default="-", metavar="OUT.fai", help="(default: standard output)")
    parser.add_argument("--mate", action="store_true", help="of a pair, the index of the second text")
    _force(parser)
    _max_memory(parser)


def _verify(parser: argparse.ArgumentParser) -> None:
    _archives(parser)
    _model(parser)
    _max_memory(parser)
    _json(parser, "print what 'gfz info --json' prints, if every checksum holds")
    _execution(parser)


def _info(parser: argparse.ArgumentParser) -> None:
    _archives(parser)
    _json(parser)
    parser.add_argument("--records", action="store_true", help=f"list the records: {_LONG}")
    _model(parser)
    _max_memory(parser)


def _ls(parser: argparse.ArgumentParser) -> None:
    _archives(parser)
    parser.add_argument("--long", action="store_true", help=f"list {_LONG}")
    _json(parser)
    _model(parser)
    _max_memory(parser)


def _stats(parser: argparse.ArgumentParser) -> None:
    _archives(parser)
    _json(parser)
    _max_memory(parser)


def _merge(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sources", nargs="+", metavar="IN.gfz", help="the archives, in the order of their texts")
    _output(parser, "OUT.gfz", "the archive to write")
    parser.add_argument("--name", help="the name of the sample in the archive (default: that of the first)")
    _model(parser)
    _max_memory(parser)
    _force(parser)
    _execution(parser)


def _models(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=CommandParser)
    listing = actions.add_parser("ls", help="list them", description="List models: name, id, bytes, kind, file.")
    listing.add_argument("places", nargs="*", metavar="PLACE", help="directories and files (default: GFZ_MODEL_PATH)")
    showing = actions.add_parser("show", help="show one", description="Show what a model holds, and how it was made.")
    showing.add_argument("places", nargs=1, metavar="MODEL", help="the model file")
    for sub in (listing, showing):
        _json(sub)


def _cache(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=CommandParser)
    actions.add_parser("location", help="print its directory", description="Print the directory of the cache.")
    size = actions.add_parser("size", help="print its size", description="Print its size, and how large it may become.")
    listing = actions.add_parser("list", help="list it", description="List it: kind, bytes, time of last use, folder.")
    clearing = actions.add_parser("clear", help="remove what is in it", description="Remove what is in the cache.")
    clearing.add_argument("--unused-for", type=float, metavar="DAYS", help="only what was not used for so many days")
    for sub in (size, listing):
        _json(sub)


def _completion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"), help="which shell")


def _split(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("source", metavar="IN", help="FASTA or FASTQ file, or '-'; gzip, bzip2, xz and zstandard are recognised")
    add("--mate", metavar="IN2", help="the second FASTQ file of a pair")
    add("-o", "--out", type=Path, required=True, metavar="DIR", help="the directory to write: plan.json and the parts")
    add("--part-bases", type=_size, default=DEFAULT_PART_BASES, metavar="N",
        help=f"maximum bases in a part, such as 64M (default: {DEFAULT_PART_BASES >> 20}M)")  # fmt: skip
    add("--name", help="the name of the sample in the archive (default: that of the file)")
    _self_panel(parser)
    add("-l", "--level", choices=LEVELS, default=DEFAULT_LEVEL,
        help="level of the self panel, which is coded here (default: %(default)s)")  # fmt: skip
    _as_is(parser)
    _bin_qualities(parser)
    _any_order(parser)
    _force(parser)


def _gather(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("plan", type=Path, metavar="PLAN", help="the plan.json that 'gfz split' wrote")
    add("parts", nargs="+", type=Path, metavar="PART.gfz", help="the archive of every part, in any order")
    _output(parser, "OUT.gfz", "the archive to write")
    add("--embed-model", metavar="MODEL", help="put this model into the archive, so that decoding needs no other file")
    _force(parser)


def _simulate(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    _output(parser, "OUT", "the FASTA or FASTQ file to write")
    add("--genomes", type=_count, default=20, metavar="N", help="how many (default: %(default)s)")
    add("--length", type=_count, default=16_000, metavar="N", help="bases in each, about (default: %(default)s)")
    add("--divergence", type=float, default=0.01, metavar="X",
        help="share of the bases that differ from the common ancestor (default: %(default)s)")  # fmt: skip
    add("--reads", type=_count, metavar="N", help="instead of genomes: how many reads of one, as FASTQ")
    add("--mate", metavar="OUT2", help="with --reads: the file to write their mates to")
    add("--seed", type=_count, default=0, metavar="S", help="random seed (default: %(default)s)")
    _force(parser)


_LONG = "name, block, slice, offset in bases, residues, bases, MD5 and refget digest"


def _archive(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="IN.gfz", help="the archive, its URL, or '-'")


def _archives(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sources", nargs="+", metavar="IN.gfz", help="archives, URLs, or '-'")


def _access(text: str) -> str | int:
    return text if text in ACCESS or not text.isdecimal() else int(text)


def _output(parser: argparse.ArgumentParser, metavar: str, what: str, default: str = "") -> None:
    ending = f"; default: {default}" if default else ""
    parser.add_argument("-o", "--out", required=not default, metavar=metavar, help=f"{what}, or '-'{ending}")


def _max_memory(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--max-memory", type=_size, metavar="SIZE",
        help="limit of the memory for reading, such as 512M or 4G; it also limits the threads "
        "(default: 2.5G, or 1,024 times the size of the archive if that is more)",
    )  # fmt: skip


def _size(text: str) -> int:
    try:
        return memory_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help="the model, unless it is embedded, in 'models' beside the archive, or in GFZ_MODEL_PATH",
    )


def _json(parser: argparse.ArgumentParser, what: str = "print JSON") -> None:
    parser.add_argument("--json", action="store_true", help=what)


def _as_is(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--as-is", action="store_true",
        help="archive the bytes of the file: no decompression, no conversion of BAM or GenBank")  # fmt: skip


def _bin_qualities(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bin-qualities", choices=("illumina8", "illumina4"), metavar="BINS",
        help="LOSSY: round the qualities of reads to the values of illumina8 or illumina4")  # fmt: skip


def _any_order(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--any-order", action="store_true",
        help="LOSSY: sort reads by name, mates together, if that makes the archive smaller")  # fmt: skip


def _keep(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-k", "--keep", action="store_true", help="keep the input (always done; accepted for compatibility with gzip)"
    )


def _force(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--force", action="store_true", help="replace the output if it exists")


def _execution(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-T", "--threads", type=_count, default=0, metavar="N", help="CPU threads (default: all)")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto",
        help="where networks and experts run; the output does not depend on it (default: auto)")  # fmt: skip


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return number


_COMMANDS = {
    "train": (_train, "learn a model from the FASTA files of a species"),
    "compress": (_compress, "archive a FASTA or FASTQ file, or a pair of FASTQ files"),
    "decompress": (_decompress, "restore the exact text of an archive"),
    "cat": (_cat, "write the texts of archives to standard output, one after the other"),
    "fetch": (_fetch, "write records or regions as FASTA, decoding no more than they need"),
    "faidx": (_faidx, "write the .fai index of the text in an archive, FASTA or FASTQ"),
    "verify": (_verify, "decode an archive and check every checksum in it"),
    "info": (_info, "show sizes, settings, model and checksums of an archive"),
    "ls": (_ls, "list names and lengths of the records in archives"),
    "stats": (_stats, "show numbers, lengths and sizes of archives as a table"),
    "merge": (_merge, "join archives into one, without recompressing"),
    "split": (_split, "cut a FASTA or FASTQ file into parts for jobs to compress"),
    "gather": (_gather, "join the archives of the parts, without recompressing"),
    "model": (_models, "show model files"),
    "cache": (_cache, "show or clear the cache of compiled kernels and panels"),
    "simulate": (_simulate, "write simulated related genomes or reads, for trials"),
    "completion": (_completion, "write the script that completes gfz in your shell"),
}
"""Each command's options, and what it does."""
