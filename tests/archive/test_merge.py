"""Merged archives are the archive of the joined texts; blocks are not coded again."""

from pathlib import Path

import pytest

from geneformer_codec import api
from geneformer_codec.archive.read import Archive
from geneformer_codec.errors import FormatError, UsageError
from geneformer_codec.predict.coder import ExpertCoder

from .conftest import Write, ZlibModel, make_fasta


def compressed(write: Write, name: str, text: bytes, **coding: object) -> Path:
    out = write(f"{name}.gfz", b"")
    api.compress(write(f"{name}.fa", text), out, part_bases=2048, force=True, **coding)  # type: ignore[arg-type]
    return out


def test_merged(tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [make_fasta(5, 900, seed=seed) for seed in range(3)] + [b"", b">last\nACGT"]
    sources = [compressed(write, str(number), text) for number, text in enumerate(texts)]
    monkeypatch.setattr(ExpertCoder, "encode", None)
    info = api.merge(sources, tmp_path / "all.gfz", name="all.fa")
    assert (info.sample, info.records, info.complete) == ("all.fa", 16, True)
    api.verify(tmp_path / "all.gfz")
    api.decompress(tmp_path / "all.gfz", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"".join(texts)
    with Archive(tmp_path / "all.gfz") as archive, Archive(sources[0]) as first:
        assert archive.block_data(archive.blocks[1]) == first.block_data(first.blocks[1])
    names = [entry.name for entry in api.read_index(tmp_path / "all.gfz")]
    assert names == [entry.name for source in sources for entry in api.read_index(source)]


def test_the_model_travels_if_it_did(tmp_path: Path, write: Write, model: ZlibModel) -> None:
    text = make_fasta(3, 900)
    inside = compressed(write, "inside", text, model=model, embed=True)
    outside = compressed(write, "outside", text, model=model)
    assert api.merge([inside, outside], tmp_path / "1.gfz").model_embedded
    assert not api.merge([outside, inside], tmp_path / "2.gfz", model=model).model_embedded
    api.decompress(tmp_path / "1.gfz", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == 2 * text


def test_what_cannot_be_merged(tmp_path: Path, write: Write, model: ZlibModel) -> None:
    text, out = make_fasta(3, 900), tmp_path / "all.gfz"
    plain = compressed(write, "plain", text)
    for other in (
        compressed(write, "model", text, model=model),
        compressed(write, "slices", text, access=256),
        compressed(write, "level", text, level="max"),
    ):
        with pytest.raises(FormatError, match="was made with another model"):
            api.merge([plain, other], out, model=model)
    unfinished, preamble = compressed(write, "end", text[:-1]), compressed(write, "start", b"ACGT\n" + text)
    for pair in ([unfinished, plain], [plain, preamble]):
        with pytest.raises(FormatError, match="run together"):
            api.merge(pair, out)
    with pytest.raises(UsageError, match="nothing to merge"):
        api.merge([], out)
    with pytest.raises(UsageError, match="both the source and the output"):
        api.merge([plain, plain], plain, force=True)
    damaged = bytearray(plain.read_bytes())
    damaged[len(damaged) // 3] ^= 1
    plain.write_bytes(damaged)
    with pytest.raises(FormatError, match="damaged"):
        api.merge([plain, plain], out)
    assert not out.exists()
