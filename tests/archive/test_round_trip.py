"""Every byte back, the same bytes for the same settings, and sizes that add up."""

import gzip
import zipfile
from pathlib import Path

import pytest

from geneformer_codec import api
from geneformer_codec.archive.models import Execution
from geneformer_codec.errors import OutputError, UsageError

from .conftest import Write, ZlibModel, make_fasta

ODD = {
    "empty": b"",
    "newline": b"\n",
    "blank lines": b"\n\n>a\n\nAC\n\n\nGT\n\n",
    "no records": b"just some text\nwithout a header",
    "no last newline": b">a\nACGT\n>b\nACG",
    "CRLF": b">a\r\nACGT\r\nAC\r\n>b\r\n\r\n",
    "mixed ends": b">a\r\nACGT\nAC\r\n>b\n\r\nAC\r",
    "empty records": b">\n>\n>a\n>b\nA\n>c",
    "preamble": b"; comment\nACGT\n>a\nACGT\n",
    "every byte": b">x\n" + bytes(range(256)) * 3 + b"\n>" + bytes(range(255, -1, -1)),
    "RNA and gaps": b">r\nACGUacguNNN---***\nUUUU\n",
    "header only": b">",
    "nul": b"\0" * 1000,
    "one letter": b">n\n" + b"N" * 9000 + b"\n>a\n" + b"A" * 9000,
    "protein": b">p\nMKVLAADTGGWRSTPQHENFYCI\n" * 20,
}


@pytest.mark.parametrize("case", ODD)
@pytest.mark.parametrize("part_bases", [1024, 1 << 20])
def test_odd_texts(tmp_path: Path, write: Write, case: str, part_bases: int) -> None:
    source = write("in.fa", ODD[case] * (1 if len(ODD[case]) < 2 else 1 + 3000 // len(ODD[case])))
    api.compress(source, tmp_path / "a.gfz", part_bases=part_bases, access=64, verify=True)
    api.decompress(tmp_path / "a.gfz", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == source.read_bytes()
    api.verify(tmp_path / "a.gfz")


@pytest.mark.parametrize("embed", [False, True])
def test_with_a_model(tmp_path: Path, write: Write, fasta: bytes, model: ZlibModel, embed: bool) -> None:
    info = api.compress(
        write("in.fa", fasta),
        tmp_path / "a.gfz",
        model=model,
        embed=embed,
        access=100,
        part_bases=3000,
        verify=True,
    )
    assert (info.model_id, info.model_bytes) == (model.id, len(model.data) if embed else 0)
    assert info.model_file_bytes == len(model.data)
    assert info.parts > 2
    api.decompress(tmp_path / "a.gfz", tmp_path / "out", model=None if embed else model)
    assert (tmp_path / "out").read_bytes() == fasta


def test_same_settings_same_bytes(tmp_path: Path, write: Write, fasta: bytes, model: ZlibModel) -> None:
    source = write("in.fa", fasta)
    executions = [Execution(), Execution(threads=1), Execution(threads=2, device="cpu")]
    archives = []
    for number, execution in enumerate(executions):
        api.compress(source, tmp_path / f"{number}", model=model, part_bases=2000, execution=execution)
        archives.append((tmp_path / f"{number}").read_bytes())
    assert archives[0] == archives[1] == archives[2]


def test_sizes_sum_exactly(tmp_path: Path, write: Write, fasta: bytes, model: ZlibModel) -> None:
    api.compress(write("in.fa", fasta), tmp_path / "a.gfz", model=model, embed=True, part_bases=2000)
    info = api.info(tmp_path / "a.gfz")
    parts = ("payload_bytes", "side_bytes", "index_bytes", "model_bytes", "container_bytes")
    assert sum(getattr(info, name) for name in parts) == info.total_bytes == (tmp_path / "a.gfz").stat().st_size
    with zipfile.ZipFile(tmp_path / "a.gfz") as archive:
        entries = archive.infolist()
    blocks = sum(entry.file_size for entry in entries if entry.filename.startswith("blocks/"))
    assert sum(info.streams.values()) == blocks
    headers = sum(30 + 46 + 2 * len(entry.filename) for entry in entries) + 22 + 84
    assert info.container_bytes == headers + entries[0].file_size + entries[-1].compress_size
    assert info.bpb_payload == info.payload_bytes * 8 / info.bases
    assert info.bpb_total == info.total_bytes * 8 / info.bases
    assert (info.records, info.input_bytes) == (12, len(fasta))


def test_no_bases_no_bits_per_base(tmp_path: Path, write: Write) -> None:
    info = api.compress(write("in", b""), tmp_path / "a.gfz")
    assert (info.bases, info.bpb_payload, info.bpb_total, info.parts) == (0, None, None, 1)


def test_name_of_the_sample(tmp_path: Path, write: Write, fasta: bytes) -> None:
    source = write("genome.v1.fa.gz", gzip.compress(fasta))
    assert api.compress(source, tmp_path / "a", name="given").sample == "given"
    assert api.compress(source, tmp_path / "b").sample == "genome.v1.fa"


def test_verification_failure_keeps_nothing(
    tmp_path: Path, write: Write, fasta: bytes, faulty_model: ZlibModel
) -> None:
    out = write("a.gfz", b"old")
    with pytest.raises(OutputError, match=r"verification failed.*part 0.*SHA-256"):
        api.compress(write("in.fa", fasta), out, model=faulty_model, verify=True, force=True)
    assert out.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.gfz", "in.fa"]


def test_nothing_of_a_wrong_part_is_written(
    tmp_path: Path, write: Write, fasta: bytes, model: ZlibModel, faulty_model: ZlibModel
) -> None:
    api.compress(write("in.fa", fasta), tmp_path / "a.gfz", model=model)
    with pytest.raises(api.FormatError, match=r"a\.gfz: part 0: .*SHA-256"):
        api.decompress(tmp_path / "a.gfz", tmp_path / "out", model=faulty_model)
    assert not (tmp_path / "out").exists()


def test_settings_that_make_no_sense(tmp_path: Path, write: Write, fasta: bytes) -> None:
    source = write("in.fa", fasta)
    for settings in ({"level": "best"}, {"access": 0}, {"part_bases": 1}, {"embed": True}, {"strands": "2"}):
        with pytest.raises(UsageError):
            api.compress(source, tmp_path / "a.gfz", **settings)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="both the source and the output"):
        api.compress(source, source, force=True)
    assert source.read_bytes() == fasta


def test_levels_set_the_experts_and_not_the_slices(tmp_path: Path, write: Write, model: ZlibModel) -> None:
    source = write("in.fa", make_fasta(1, 80_000))
    copies = set()
    for level in ("fast", "balanced", "max"):
        with_model = api.compress(source, tmp_path / f"{level} model", level=level, model=model)
        without = api.compress(source, tmp_path / level, level=level)
        assert (with_model.slice_length, without.slice_length, without.slices) == (65536, 0, 1)
        copies.add(without.experts["copies"])
        assert with_model.level == level
    assert len(copies) == 3
