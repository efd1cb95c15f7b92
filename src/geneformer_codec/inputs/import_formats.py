"""Text derived from files of other formats: FASTQ from BAM and CRAM, FASTA from GenBank and EMBL.

Reads come from samtools, as ``samtools fastq`` writes them; annotated sequences from Biopython.
"""

import contextlib
import io
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

from geneformer_codec.errors import InputError, UsageError, option
from geneformer_codec.inputs.decompress import BUFFER_BYTES, Pieces
from geneformer_codec.inputs.sample import Origin

_READS = (
    "alignments, tags, header, and secondary and supplementary records; reads are as sequenced, in the file's order"
)
_ANNOTATED = "features, annotation, references and the case of letters; of each record there are id and description"
_ORIGINS = {name: Origin(name, _READS) for name in ("BAM", "CRAM")} | {
    name: Origin(name, _ANNOTATED) for name in ("GenBank", "EMBL")
}
_LINE = 60
_SAMTOOLS = "import sys, pysam; pysam.samtools.fastq(*sys.argv[1:], catch_stdout=False)"


def origin_of(head: bytes) -> Origin | None:
    """Which format of those a decompressed file is that begins with ``head``; None: it is text to be archived."""
    line = head.split(b"\n", 1)[0].rstrip()
    if head.startswith(b"BAM\1"):
        return _ORIGINS["BAM"]
    if head.startswith(b"CRAM") and head[4:5] in (b"\2", b"\3"):
        return _ORIGINS["CRAM"]
    if line.startswith(b"LOCUS ") and (b" bp " in line or b" rc " in line):
        return _ORIGINS["GenBank"]
    if line.startswith(b"ID   ") and line.count(b";") >= 2 and line.endswith(b" BP."):
        return _ORIGINS["EMBL"]
    return None


@contextlib.contextmanager
def derived_text(origin: Origin, source: Any, stream: BinaryIO) -> Iterator[io.BufferedReader]:
    """The text of a source of that kind, of which ``stream`` is the decompressed content."""
    if origin.format in ("BAM", "CRAM"):
        if not isinstance(source, str | Path) or not Path(source).is_file():
            raise UsageError(f"{origin.format} is read from a file, not from a stream; give its path")
        with _reads(Path(source)) as text:
            yield text
    else:
        yield io.BufferedReader(Pieces(_fasta(origin, source, stream)), BUFFER_BYTES)


@contextlib.contextmanager
def _reads(path: Path) -> Iterator[io.BufferedReader]:
    """What ``samtools fastq`` writes, in a process of its own, as it prints to the process's standard output."""
    if find_spec("pysam") is None:
        raise UsageError(f"{path}: BAM and CRAM need pysam: pip install 'geneformer-rules[formats]'")
    with tempfile.TemporaryFile() as messages:
        command = [sys.executable, "-c", _SAMTOOLS, str(path.absolute())]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=messages) as process:
            assert process.stdout is not None
            try:
                yield io.BufferedReader(Pieces(_output(process, messages, path)), BUFFER_BYTES)
            finally:
                process.kill()


def _output(process: "subprocess.Popen[bytes]", messages: Any, path: Path) -> Iterator[bytes]:
    assert process.stdout is not None
    while piece := process.stdout.read(1 << 20):
        yield piece
    if process.wait():
        messages.seek(0)
        last = messages.read().decode(errors="replace").strip().rpartition("\n")[2]
        raise InputError(
            f"{path}: samtools failed to read it ({last[-300:]}); check the file, and for CRAM its reference"
        )


def _fasta(origin: Origin, source: Any, stream: BinaryIO) -> Iterator[bytes]:
    """Records as FASTA in lines of 60."""
    if find_spec("Bio") is None:
        raise UsageError(f"{source}: {origin.format} needs Biopython: pip install 'geneformer-rules[formats]'")
    from Bio import SeqIO
    from Bio.Seq import UndefinedSequenceError

    text = io.TextIOWrapper(stream, encoding="utf-8", errors="surrogateescape")
    name = "the file"
    try:
        for record in SeqIO.parse(text, origin.format.lower()):  # type: ignore[no-untyped-call]
            name = f"the record after {record.id}"
            residues = bytes(record.seq)
            lines = [residues[at : at + _LINE] + b"\n" for at in range(0, len(residues), _LINE)]
            header = f">{record.id} {record.description}".rstrip().replace("\n", " ")
            yield header.encode(errors="surrogateescape") + b"\n" + b"".join(lines)
    except UndefinedSequenceError as error:
        raise InputError(f"{source}: a record ({name}) has no sequence; get the file with its sequences") from error
    except (ValueError, AssertionError) as error:
        raise InputError(
            f"{source}: {name} is invalid {origin.format} ({error}); repair it, or archive the file "
            f"{option('as_is', True)}"
        ) from error
