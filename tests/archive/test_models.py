"""Which model an archive is decoded with, and the message if it is missing."""

from pathlib import Path

import pytest

from geneformer_codec import api
from geneformer_codec import open as gfz_open
from geneformer_codec.errors import FormatError, ModelMissingError

from .conftest import Write, ZlibModel


@pytest.fixture
def archive(tmp_path: Path, write: Write, fasta: bytes, model: ZlibModel, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("GFZ_MODEL_PATH", raising=False)
    api.compress(write("in.fa", fasta), tmp_path / "a.gfz", model=model)
    return tmp_path / "a.gfz"


def test_missing(archive: Path, model: ZlibModel) -> None:
    out = archive.with_name("out")
    with pytest.raises(ModelMissingError, match=rf"a\.gfz: needs model {model.id} \(zlib\).*model=.*GFZ_MODEL_PATH"):
        api.decompress(archive, out)
    assert not out.exists()


def test_another(archive: Path) -> None:
    with pytest.raises(ModelMissingError, match=r"\(zlib\), but model= gave .*\(another\)"):
        api.decompress(archive, archive.with_name("out"), model=ZlibModel("another"))


def test_from_a_file(archive: Path, write: Write, fasta: bytes, model: ZlibModel) -> None:
    out = archive.with_name("out")
    api.decompress(archive, out, model=write("some.gfmodel", model.data))
    assert out.read_bytes() == fasta


def test_on_the_search_path(
    archive: Path, tmp_path: Path, fasta: bytes, model: ZlibModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    monkeypatch.setenv("GFZ_MODEL_PATH", f"{first}:{tmp_path / 'missing'}:{second}")
    (first / "damaged.gfmodel").write_bytes(b"nonsense")
    (first / "other.gfmodel").write_bytes(ZlibModel("another").data)
    with pytest.raises(ModelMissingError, match="first"):
        api.decompress(archive, tmp_path / "out")
    (second / "name.gfmodel").write_bytes(model.data)
    api.decompress(archive, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == fasta


def test_beside_the_archive(archive: Path, tmp_path: Path, fasta: bytes, model: ZlibModel) -> None:
    """Where the workflow keeps models: nobody needs to name them, wherever the command is called."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / f"{model.id}.gfmodel").write_bytes(model.data)
    api.decompress(archive, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == fasta
    with gfz_open(archive) as reader:
        assert list(reader)


def test_model_of_another_version(archive: Path, tmp_path: Path, write: Write) -> None:
    with pytest.raises(FormatError, match="another version"):
        api.compress(tmp_path / "in.fa", tmp_path / "b.gfz", model=write("old.gfmodel", b"old"))
    assert not (tmp_path / "b.gfz").exists()


def test_needs_none(tmp_path: Path, write: Write, fasta: bytes, model: ZlibModel) -> None:
    api.compress(write("in.fa", fasta), tmp_path / "a.gfz")
    api.decompress(tmp_path / "a.gfz", tmp_path / "out", model=model)
    assert (tmp_path / "out").read_bytes() == fasta
