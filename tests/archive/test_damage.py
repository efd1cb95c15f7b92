"""Whatever happens to an archive: a clear error and no output, or exactly the right bytes."""

import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from geneformer_codec import api
from geneformer_codec.errors import FormatError
from geneformer_codec.predict.settings import ExpertSettings

from .conftest import Write, ZlibModel, pack, unpacked


@pytest.fixture
def archive(tmp_path: Path, write: Write, fasta: bytes, model: ZlibModel) -> Path:
    """An archive of several parts with its model inside."""
    path = tmp_path / "a.gfz"
    api.compress(write("in.fa", fasta), path, model=model, embed=True, access=128, digests="always", part_bases=3000)
    return path


def outcome(path: Path, expected: bytes) -> str:
    """``error`` or ``right``; anything else fails the test."""
    out = path.with_name("out")
    try:
        api.decompress(path, out, force=True)
    except FormatError as error:
        assert path.name in str(error)  # noqa: PT017
        assert not out.exists()
        return "error"
    assert out.read_bytes() == expected
    out.unlink()
    return "right"


def test_flipped_bits(archive: Path, fasta: bytes) -> None:
    data = archive.read_bytes()
    rng = random.Random(7)
    # Headers, directory and manifest are a small part of the file: look at all of their bytes, and at some others.
    places = [*range(200), *range(len(data) - 700, len(data)), *(rng.randrange(len(data)) for _ in range(400))]
    for place in places:
        damaged = bytearray(data)
        damaged[place] ^= 1 << rng.randrange(8)
        archive.write_bytes(damaged)
        assert outcome(archive, fasta) == "error", f"byte {place} of {len(data)}"


def test_truncated(archive: Path, fasta: bytes) -> None:
    data = archive.read_bytes()
    rng = random.Random(8)
    for size in [*range(100), *range(len(data) - 200, len(data)), *(rng.randrange(len(data)) for _ in range(200))]:
        archive.write_bytes(data[:size])
        assert outcome(archive, fasta) == "error", f"{size} of {len(data)} bytes"


def test_longer_or_shifted(archive: Path, fasta: bytes) -> None:
    data = archive.read_bytes()
    for damaged in (data + b"x", b"x" + data, data + data, data[:1000] + b"\0" * 512 + data[1000:], data[512:]):
        archive.write_bytes(damaged)
        assert outcome(archive, fasta) == "error"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b">seq\nACGT\n", "not a .gfz archive"),
        (b"\x1f\x8b\x08" + b"\0" * 100, "not a .gfz archive"),
        (b"PK\x05\x06" + b"\0" * 18, "a ZIP file, but not a .gfz archive"),
    ],
)
def test_foreign_files(tmp_path: Path, write: Write, content: bytes, message: str) -> None:
    path = write("a.gfz", content)
    for call in (api.info, api.verify, lambda path: api.decompress(path, tmp_path / "out")):
        with pytest.raises(FormatError, match=f"a.gfz: .*{message}"):
            call(path)
    assert not (tmp_path / "out").exists()


def test_zips_of_other_tools(archive: Path, fasta: bytes) -> None:
    with zipfile.ZipFile(archive) as zipped:
        entries = {name: zipped.read(name) for name in zipped.namelist()}
        comment = zipped.comment
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(archive, "w", compression) as zipped:
            for name, data in entries.items():
                zipped.writestr(name, data, zipfile.ZIP_STORED if name == "mimetype" else None)
            zipped.comment = comment
        assert outcome(archive, fasta) == "error"


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest, in a sound container."""
    entries, data = unpacked(path)
    manifest = json.loads(data)
    change(manifest)
    pack(path, entries, json.dumps(manifest).encode())


CHANGES: dict[str, tuple[Any, ...]] = {
    "later version": ("format_version", 3),
    "earlier version": ("format_version", 0),
    "version of a wrong type": ("format_version", True),
    "another format": ("format", "zip"),
    "unknown field": ("extra", 1),
    "slice length zero": ("settings", "slice_length", 0),
    "huge text": ("blocks", 0, "text_bytes", 1 << 40),
    "negative": ("blocks", 0, "bases", -1),
    "fraction": ("blocks", 0, "bases", 1.5),
    "boolean number": ("blocks", 0, "records", True),
    "too many bases": ("blocks", 0, "bases", 1 << 29),
    "fewer bases in slices": ("blocks", 0, "slice_bases", 0),
    "more bases in slices": ("blocks", 0, "slice_bases", 1 << 29),
    "many slices": ("blocks", 0, "slices", 1 << 29),
    "fewer slices": ("blocks", 0, "slices", 20),
    "no slices": ("blocks", 0, "slices", 0),
    "slices as a list": ("blocks", 0, "slices", [[128, 23]]),
    "strands of a part": ("blocks", 0, "strands", 1),
    "strands that are none": ("blocks", 0, "strands", 3),
    "a part without the model": ("blocks", 0, "without_model", True),
    "digests": ("settings", "digests", "never"),
    "experts unlike those of any version": ("settings", "experts", {"copies": 4}),
    "too many copies": ("settings", "experts", ExpertSettings().as_dict() | {"copies": 1 << 20}),
    "experts alone": ("model", "id", "experts"),
    "stream too long": ("blocks", 0, "streams", "names", 1 << 30),
    "text too short": ("blocks", 0, "text_bytes", 100),
    "records": ("blocks", 0, "records", 1),
    "part number": ("blocks", 0, "part", 1),
    "part order": ("blocks", 1, "part", 0),
    "too few parts": ("sample", "parts", 1),
    "sample size": ("sample", "bytes", 5),
    "sample digest": ("sample", "sha256", "0" * 64),
    "block digest": ("blocks", 1, "sha256", "0" * 64),
    "digest of a wrong form": ("sample", "sha256", "../../etc/passwd"),
    "model name as a path": ("model", "id", "../../etc/passwd"),
    "another model": ("model", "id", "0" * 64),
    "not embedded": ("model", "embedded", False),
    "blocks no list": ("blocks", {"a": 1}),
    "no blocks": ("blocks", []),
    "deep": ("blocks", [[[[[[[]]]]]]]),
}


@pytest.mark.parametrize("case", CHANGES)
def test_manifests_that_lie(archive: Path, fasta: bytes, case: str) -> None:
    *path, last, value = CHANGES[case]

    def change(manifest: dict[str, Any]) -> None:
        target: Any = manifest
        for step in path:
            target = target[step]
        target[last] = value

    rewrite(archive, change)
    if case == "sample digest":  # known only after the last part: its parts are sound, but the file must not appear
        with pytest.raises(FormatError):
            api.decompress(archive, archive.with_name("out"))
        assert not archive.with_name("out").exists()
    assert outcome(archive, fasta) == "error"


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"null", b"{", b"\xff", b"[" * 100_000, b'{"format":"gfz","format":"gfz"}']
)
def test_manifests_that_are_none(archive: Path, fasta: bytes, raw: bytes) -> None:
    pack(archive, unpacked(archive)[0], raw)
    assert outcome(archive, fasta) == "error"


def test_flipped_bits_under_a_sound_container(archive: Path, fasta: bytes) -> None:
    """What CRC-32 would have caught reaches the decoders here: they must refuse it, or it must not matter."""
    entries, manifest = unpacked(archive)
    rng = random.Random(9)
    wrong = 0
    for _ in range(300):
        victim = rng.choice(list(entries)[:-1])
        flipped = bytearray(entries[victim])
        flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
        pack(archive, entries | {victim: bytes(flipped)}, manifest)
        wrong += outcome(archive, fasta) == "error"
    assert wrong > 100


def test_a_later_version_names_what_to_install(archive: Path) -> None:
    def change(manifest: dict[str, Any]) -> None:
        manifest |= {"format_version": 7, "tool_version": "3.2.1"}

    rewrite(archive, change)
    with pytest.raises(FormatError, match=r"format version 7 .*geneformer-rules '3\.2\.1'.*pip install -U"):
        api.info(archive)


def test_a_swapped_digest_is_named(archive: Path, tmp_path: Path, write: Write) -> None:
    """An archive whose text is right and whose index is wrong passes decompress, and verify names the record."""
    entries, manifest = unpacked(archive)
    block = bytearray(entries["blocks/00000001"])
    block[-1] ^= 1
    pack(archive, entries | {"blocks/00000001": bytes(block)}, manifest)
    with pytest.raises(FormatError, match=r"a\.gfz: part 1: record 'seq\d+' does not match its MD5"):
        api.verify(archive)
