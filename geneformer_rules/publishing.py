"""The last steps of a sample: publish its verified archive, and delete its source where that is asked for.

Both compare digests of the files as they are at that moment, and do nothing when they differ.
"""

import contextlib
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from geneformer_codec import api
from geneformer_codec.errors import GfzError
from geneformer_codec.files import atomic_output
from geneformer_codec.sources import open_source

_CHUNK = 1 << 20

RECORD = "made_of"
"""The key of a report that says what the archive was made of (`provenance`)."""


class MismatchError(GfzError):
    """Two files that must agree do not; nothing was published or deleted."""


def publish(
    archive: Path,
    sources: Sequence[Path],
    model: Path | None,
    published: Path,
    report: Path,
    made_of: Mapping[str, Any],
) -> None:
    """Put ``archive``, whose decoding has passed, at ``published``, and a report of it at ``report``.

    ``made_of`` is the record of its sources (`provenance`), which the report keeps.

    ``gfz verify`` has shown that the archive decodes to the text of its SHA-256; here the source, or each of a pair,
    must still have the same one. The model that the archive refers to is kept as ``models/ID.gfmodel`` beside the
    archive, so that no later training can make the archive unreadable. Outputs of an earlier run are replaced.
    """
    facts = api.info(archive)
    check_sources(sources, facts)
    if model is not None and not facts["model_bytes"]:
        keep_model(model, str(facts["model_id"]), published.parent / "models")
    copy(archive, published)
    write_report(facts, sources, published, report, made_of)


def write_report(
    facts: Mapping[str, Any], sources: Sequence[Path], published: Path, report: Path, made_of: Mapping[str, Any]
) -> None:
    """Report on an archive that is in its place, and on the files that it was made of."""
    named = {"sample": published.stem, "source": str(sources[0]), "sources": [str(source) for source in sources]}
    size = sum(source.stat().st_size for source in sources)
    write_json(
        {**facts, **named, "source_bytes": size, "archive_sha256": file_digest(published), RECORD: made_of}, report
    )


def check_sources(sources: Sequence[Path], facts: Mapping[str, Any]) -> None:
    """Raise MismatchError unless the texts of the sources, one or a pair, are what the archive holds."""
    for source, wanted in zip(sources, held_digests(sources[0], len(sources), facts), strict=True):
        check_text(source, wanted)


def held_digests(first: Path, count: int, facts: Mapping[str, Any]) -> list[str]:
    """The digests of the texts that an archive holds, as many as there are files, the first of them ``first``."""
    mate = facts.get("mate")
    held = [str(facts["sha256"]), *([str(mate["sha256"])] if mate else [])]
    if len(held) != count:
        raise MismatchError(f"{first}: the archive holds {len(held)} texts, and {count} files were given")
    return held


def check_text(source: Path, wanted: str) -> None:
    """Raise MismatchError unless the text of a file has this SHA-256."""
    digest = hashlib.sha256()
    with open_source(source) as opened:  # the text that is derived of it, of formats that hold more than text
        while chunk := opened.streams[0].read(_CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != wanted:
        raise MismatchError(
            f"{source}: the file is not what the archive holds (SHA-256 {digest.hexdigest()}, in the archive "
            f"{wanted}); it has changed since it was read. Run the workflow again."
        )


def keep_model(model: Path, identity: str, directory: Path) -> Path:
    """Copy ``model`` to ``directory`` under its id, unless it is there; return its place."""
    kept = directory / f"{identity}.gfmodel"
    if not kept.is_file() or file_digest(kept) != file_digest(model):
        copy(model, kept)
    return kept


def delete_sources(sources: Sequence[Path], archive: Path, report: Path, proof: Path) -> None:
    """Delete a sample's files, if the archive is the very one that was verified and still holds their texts."""
    facts = json.loads(report.read_text(encoding="utf-8"))
    if file_digest(archive) != facts["archive_sha256"]:
        raise MismatchError(
            f"{archive}: this is not the archive that was verified, according to {report}. The source {sources[0]} is "
            "kept. Remove the archive and run the workflow again."
        )
    if facts.get("origin"):
        raise MismatchError(
            f"{sources[0]}: is {facts['origin']['format']}, of which the archive keeps the sequences only; the file is "
            "kept. Switch delete_source off for such samples, or delete it by hand"
        )
    # A run that was interrupted after a deletion and before the proof finds fewer files here.
    held = held_digests(sources[0], len(sources), facts)
    left = [(source, wanted) for source, wanted in zip(sources, held, strict=True) if source.exists()]
    for source, wanted in left:
        check_text(source, wanted)
    size = sum(source.stat().st_size for source, _ in left) if len(left) == len(sources) else None
    for source, _ in left:
        source.unlink()
    write_json(
        {
            "sample": facts["sample"],
            "source": str(sources[0]),
            "sources": [str(source) for source in sources],
            "source_bytes": size,
            "sha256": facts["sha256"],
            "archive": str(archive),
            "archive_sha256": facts["archive_sha256"],
            "deleted": datetime.now(UTC).isoformat(timespec="seconds"),
        },
        proof,
    )


def copy(source: Path, target: Path) -> None:
    """Copy a file so that ``target`` appears whole or not at all, on whatever disk it is."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as files:
        data = files.enter_context(source.open("rb"))
        out = files.enter_context(atomic_output(target, force=True))
        shutil.copyfileobj(data, out, _CHUNK)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(value: Mapping[str, Any], path: Path) -> None:
    """Write ``value`` as readable JSON."""
    with atomic_output(path, force=True) as out:
        out.write((json.dumps(value, indent=2) + "\n").encode())
