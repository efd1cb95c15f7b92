"""Parts compressed apart and joined are the archive of the whole, byte for byte."""

import json
from pathlib import Path
from typing import Any

import pytest

from geneformer_codec import api, reader
from geneformer_codec.errors import FormatError, GfzError, InputError, ModelMissingError, OutputError, UsageError

from .conftest import Write, ZlibModel, make_fasta

PART_BASES = 3000


@pytest.fixture
def parts(tmp_path: Path, write: Write, fasta: bytes) -> Path:
    api.split(write("in.fa", fasta), tmp_path / "parts", part_bases=PART_BASES)
    return tmp_path / "parts"


def compress_all(parts: Path, **settings: Any) -> list[Path]:
    archives = []
    for part in sorted(parts.glob("*.part")):
        archives.append(parts.parent / f"{part.stem}.gfz")
        api.compress_parts([part], archives[-1], force=True, **settings)
    return archives


def test_plan_describes_the_sample(parts: Path, fasta: bytes) -> None:
    plan = json.loads((parts / "plan.json").read_text())
    assert (plan["sample"], plan["bytes"], plan["part_bases"]) == ("in.fa", len(fasta), PART_BASES)
    texts = [(parts / part["file"]).read_bytes() for part in plan["parts"]]
    assert b"".join(texts) == fasta
    assert [len(text) for text in texts] == [part["text_bytes"] for part in plan["parts"]]
    assert len(texts) > 2


@pytest.mark.parametrize("embed", [False, True])
def test_same_as_compressing_the_whole(
    tmp_path: Path, parts: Path, fasta: bytes, model: ZlibModel, embed: bool
) -> None:
    archives = compress_all(parts, model=model, access=100, level="max")
    embedded = model if embed else None
    api.gather(parts / "plan.json", archives[::-1], tmp_path / "joined.gfz", embed_model=embedded)
    api.compress(
        tmp_path / "in.fa", tmp_path / "whole.gfz",
        model=model, embed=embed, access=100, level="max", part_bases=PART_BASES,
    )  # fmt: skip
    assert (tmp_path / "joined.gfz").read_bytes() == (tmp_path / "whole.gfz").read_bytes()


def test_gathered_from_gathered(tmp_path: Path, write: Write) -> None:
    """One huge record over many parts, without a model."""
    text = make_fasta(1, 40_000)
    api.split(write("big.fa", text), tmp_path / "parts", part_bases=2048)
    api.gather(tmp_path / "parts" / "plan.json", compress_all(tmp_path / "parts"), tmp_path / "a.gfz")
    api.compress(tmp_path / "big.fa", tmp_path / "b.gfz", part_bases=2048)
    assert (tmp_path / "a.gfz").read_bytes() == (tmp_path / "b.gfz").read_bytes()
    assert api.verify(tmp_path / "a.gfz").parts > 10


def test_part_archives_say_what_they_are(tmp_path: Path, parts: Path) -> None:
    archive = compress_all(parts)[1]
    info = api.verify(archive)
    assert (info.complete, info.blocks, info.parts > 2) == (False, 1, True)
    for read in (lambda path: api.decompress(path, tmp_path / "out"), reader.open):
        with pytest.raises(FormatError, match=r"holds 1 of the \d+ parts of 'in.fa'.*gfz gather"):
            read(archive)


def refused(parts: Path, archives: list[Path], error: type[GfzError], message: str, **settings: Any) -> None:
    out = parts.parent / "out.gfz"
    with pytest.raises(error, match=message):
        api.gather(parts / "plan.json", archives, out, **settings)
    assert not out.exists()


def test_missing_parts(parts: Path) -> None:
    archives = compress_all(parts)
    refused(parts, archives[1:], FormatError, r"1 parts are missing \(0\)")


def test_doubled_parts(parts: Path) -> None:
    archives = compress_all(parts)
    refused(parts, [*archives, archives[0]], FormatError, "part 0 is in both")


def test_unlike_settings(parts: Path, model: ZlibModel) -> None:
    archives = compress_all(parts)
    for settings in ({"level": "fast"}, {"model": model}):
        api.compress_parts([parts / "00000001.part"], archives[1], force=True, **settings)  # type: ignore[arg-type]
        refused(parts, archives, FormatError, r"00000001\.gfz: .*compress all parts alike")


def test_another_model_to_embed(parts: Path, model: ZlibModel) -> None:
    archives = compress_all(parts, model=model)
    refused(parts, archives, ModelMissingError, "the parts need model", embed_model=ZlibModel("another"))


def test_parts_of_another_split(tmp_path: Path, parts: Path, write: Write, fasta: bytes) -> None:
    api.split(write("other.fa", fasta), tmp_path / "others", part_bases=PART_BASES)
    refused(parts, compress_all(tmp_path / "others"), FormatError, "of another sample or split")


def test_several_parts_in_one_archive(tmp_path: Path, parts: Path) -> None:
    """In whatever order they are named; the gathered archive is the same."""
    archives = compress_all(parts)
    api.gather(parts / "plan.json", archives, tmp_path / "each.gfz")
    first, *others = sorted(parts.glob("*.part"))
    api.compress_parts([first], tmp_path / "first.gfz")
    api.compress_parts(others[::-1], tmp_path / "others.gfz")
    assert api.info(tmp_path / "others.gfz").blocks == len(others) > 1
    api.gather(parts / "plan.json", [tmp_path / "others.gfz", tmp_path / "first.gfz"], tmp_path / "joined.gfz")
    assert (tmp_path / "joined.gfz").read_bytes() == (tmp_path / "each.gfz").read_bytes()


def test_parts_that_do_not_go_together(tmp_path: Path, parts: Path) -> None:
    part = parts / "00000000.part"
    for wrong in ([], [part, part], [part, tmp_path / "00000001.part"]):
        with pytest.raises(UsageError, match="of one directory, each once"):
            api.compress_parts(wrong, tmp_path / "out.gfz")
    assert not (tmp_path / "out.gfz").exists()


def test_damaged_part_archive(parts: Path) -> None:
    archives = compress_all(parts)
    data = bytearray(archives[2].read_bytes())
    data[300] ^= 1
    archives[2].write_bytes(data)
    refused(parts, archives, FormatError, r"00000002\.gfz")


def test_changed_part(tmp_path: Path, parts: Path) -> None:
    part = parts / "00000001.part"
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(FormatError, match=r"00000001\.part: does not match its SHA-256"):
        api.compress_parts([part], tmp_path / "out.gfz")
    part.unlink()
    with pytest.raises(InputError, match=r"00000001\.part"):
        api.compress_parts([part], tmp_path / "out.gfz")
    with pytest.raises(FormatError, match=r"is not in the plan\.json"):
        api.compress_parts([parts / "x.part"], tmp_path / "out.gfz")
    with pytest.raises(InputError, match=r"plan\.json.*gfz split"):
        api.compress_parts([tmp_path / "00000001.part"], tmp_path / "out.gfz")


@pytest.mark.parametrize(
    ("field", "value"),
    [("format", "gfz-plan-9"), ("bytes", 1), ("parts", []), ("sha256", "x"), ("part_bases", 0), ("more", 1)],
)
def test_invalid_plans(parts: Path, field: str, value: Any) -> None:
    plan = json.loads((parts / "plan.json").read_text())
    (parts / "plan.json").write_text(json.dumps(plan | {field: value}))
    with pytest.raises(FormatError, match=r"plan\.json: not a valid plan"):
        api.gather(parts / "plan.json", [], parts.parent / "out.gfz")


def test_split_again(tmp_path: Path, parts: Path) -> None:
    with pytest.raises(OutputError, match="not empty"):
        api.split(tmp_path / "in.fa", parts, part_bases=PART_BASES)
    api.split(tmp_path / "in.fa", parts, part_bases=2 * PART_BASES, force=True)
    assert json.loads((parts / "plan.json").read_text())["part_bases"] == 2 * PART_BASES
    with pytest.raises(UsageError, match="part_bases="):
        api.split(tmp_path / "in.fa", parts, part_bases=1)
