"""Default names of outputs: ``x.fa`` becomes ``x.fa.gfz``, which becomes ``x.fa``."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from geneformer_codec.archive.read import Archive
from geneformer_codec.archive.remote import is_url
from geneformer_codec.errors import UsageError
from geneformer_codec.files import STREAM
from geneformer_codec.inputs.sample import Sample
from geneformer_codec.inputs.sources import COMPRESSED, sample_name_of

SUFFIX = ".gfz"
_DERIVED = {".bam": ".fastq", ".cram": ".fastq"} | dict.fromkeys(
    (".gb", ".gbk", ".gbff", ".genbank", ".embl"), ".fasta"
)
"""The suffixes of formats of which a text is derived, and those of the text."""
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,12}")


def archive_name(source: str, as_is: bool = False) -> str:
    """The archive of a file, beside it: named as its text, which is not compressed.

    >>> archive_name("data/x.fa.gz"), archive_name("x.bam"), archive_name("x.fa.gz", as_is=True)
    ('data/x.fa.gfz', 'x.fastq.gfz', 'x.fa.gz.gfz')
    """
    if source == STREAM:
        return STREAM
    path = Path(source)
    if path.exists() and not path.is_file():
        raise UsageError(f"{source}: is no file that the archive could be named by; name it with --out")
    name = Path(sample_name_of(source, as_is))
    if not as_is and (derived := _DERIVED.get(name.suffix.lower())):
        name = name.with_suffix(derived)
    return str(path.with_name(f"{name}{SUFFIX}"))


def text_names(source: str, mate: str | None, max_memory: int | None) -> tuple[str, str | None]:
    """The text of an archive, beside it (of a URL, in the working directory), and of a pair the second one.

    ``mate`` is the name of that, if it was given.
    """
    if source == STREAM:
        return STREAM, mate
    place = Path(unquote(urlsplit(source).path)).name if is_url(source) else source
    path = Path(place)
    named = path.suffix.lower() == SUFFIX and path.stem.strip(".")
    if not named or not (is_url(source) or path.is_file() or not path.exists()):
        raise UsageError(f"{source}: is not named NAME{SUFFIX}, so the text has no name; give one with --out")
    with Archive(source, max_memory=max_memory) as archive:
        sample = archive.manifest.sample
    first, second = _names(path.stem, sample)
    if sample.mate is None:
        return str(path.with_name(first)), mate
    return str(path.with_name(first)), mate or str(path.with_name(second))


def _names(stem: str, sample: Sample) -> tuple[str, str]:
    """The names of the texts of an archive called ``stem``; the second counts for pairs alone.

    Names in the archive are used where they are plain names of files and the archive is named by the first.
    """
    own = Path(sample.name).suffix
    own = own if _SUFFIX.fullmatch(own) else ""
    name, suffix = Path(stem), Path(stem).suffix
    if not suffix or (suffix.lower() in (*COMPRESSED, *_DERIVED) and suffix != own):
        name = Path(f"{name.stem if suffix else stem}")
        name = name if name.suffix == own else Path(f"{name}{own}")
    if sample.mate is None:
        return str(name), ""
    if name.name == sample.name and _is_plain(sample.mate.name) and sample.mate.name != sample.name:
        return str(name), sample.mate.name
    kind = name.suffix if name.suffix == own else ""
    base = str(name).removesuffix(kind)
    return f"{base}_1{kind}", f"{base}_2{kind}"


def _is_plain(name: str) -> bool:
    """Whether a name that an archive states can be that of a file beside it."""
    return name.isprintable() and Path(name).name == name and name[0] not in ".-" and len(name) < 200
