"""The source of a GEO series or sample, as named by GEO: ENA's reports do not have these accessions.

GEO gives the record as text in its SOFT format, with lines such as
``!Series_relation = BioProject: https://www.ncbi.nlm.nih.gov/bioproject/PRJNA229998``.
"""

import re
import tempfile
import urllib.parse
from typing import BinaryIO, cast

from geneformer_codec.errors import InputError
from geneformer_rules.downloading import Patience, get, host_of

RECORDS = "https://www.ncbi.nlm.nih.gov/geo/query/acc.cgi"
"""The address of GEO's records."""
_MOST_BYTES = 1 << 26
_MOST_SERIES = 1000
"""Of a super-series."""
_RELATION = re.compile(r"!(?:Series|Sample)_relation = (BioProject|SRA|SuperSeries of): (\S+)")
_PROJECT = re.compile(r"PRJ[A-Z]{2}[0-9]+")
_EXPERIMENT = re.compile(r"[SED]RX[0-9]{5,12}")
_SERIES = re.compile(r"GSE[0-9]+")


def is_geo(accession: str) -> bool:
    """Whether it is a series (GSE) or sample (GSM) of GEO."""
    return accession.startswith("GS")


def sources(accession: str, url: str, patience: Patience) -> list[str]:
    """The projects of a series, or the experiments of a sample, as SRA has them; of a super-series those of its series.

    ``url`` is the address of GEO's records. ``InputError`` if GEO does not have the accession, or names no runs of it.
    """
    relations = _relations(accession, url, patience)
    parts = [place for kind, place in relations if kind == "SuperSeries of" and _SERIES.fullmatch(place)]
    if len(parts) > _MOST_SERIES:
        raise InputError(f"{accession}: is a super-series of {len(parts):,} series; name those that you want")
    found: dict[str, None] = {}
    for part in parts:
        found |= dict.fromkeys(_named(_relations(part, url, patience), accession))
    found |= {} if parts else dict.fromkeys(_named(relations, accession))
    if not found:
        raise InputError(f"{accession}: GEO names no project or experiment of SRA for it; are these data of arrays?")
    return list(found)


def _named(relations: list[tuple[str, str]], accession: str) -> list[str]:
    kind, pattern = ("BioProject", _PROJECT) if accession.startswith("GSE") else ("SRA", _EXPERIMENT)
    return [match[0] for name, place in relations if name == kind and (match := pattern.search(place))]


def _relations(accession: str, url: str, patience: Patience) -> list[tuple[str, str]]:
    """What an accession belongs to, by its record: kinds, and addresses or accessions."""
    query = urllib.parse.urlencode({"acc": accession, "targ": "self", "form": "text", "view": "brief"})
    with tempfile.TemporaryFile() as file:
        get(f"{url}?{query}", cast(BinaryIO, file), _MOST_BYTES, {host_of(url)}, patience)
        lines = [line.decode("utf-8", "replace").strip() for line in file]
    if not any(re.fullmatch(rf"\^(?:SERIES|SAMPLE) = {accession}", line) for line in lines):
        raise InputError(f"{accession}: GEO has no such public record; correct the accession, or name its project")
    return [(match[1], match[2]) for line in lines if (match := _RELATION.match(line))]
