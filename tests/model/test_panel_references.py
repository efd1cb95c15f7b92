"""The search path: where the records of a panel that is only named are looked for."""

import bz2
import gzip
import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pysam
import pytest
from hypothesis import given
from hypothesis import strategies as st
from panels import (
    PANEL,
    carried,
    changed,
    letters,
    never,
    random_panel,
    records_of,
    same,
)

from geneformer_codec.errors import FormatError, InputError, ModelMissingError
from geneformer_codec.inputs.two_bit import two_bit_sequences
from geneformer_codec.model import panel_references as panel_search
from geneformer_codec.model.panel import Panel, ReferencedPanel, load, panel_source, refer
from geneformer_codec.model.panel_references import Origin
from geneformer_codec.training.data import read_records
from geneformer_codec.training.train import train

FASTA = "".join(f">record {number}\n{text}\n" for number, text in enumerate(records_of(PANEL))).encode()


def bare(directory: Path, name_of: Callable[[str], str], text_of: Callable[[str], str] = str) -> None:
    for name, text in zip(PANEL.refget, records_of(PANEL), strict=True):
        path = directory / name_of(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text_of(text))


@pytest.mark.parametrize("name_of", [str, lambda name: name[3:]])
@pytest.mark.parametrize("ending", ["", "/"])
def test_a_directory_of_bare_sequences(tmp_path: Path, name_of: Callable[[str], str], ending: str) -> None:
    directory = tmp_path / "100%sure"
    bare(directory, name_of)
    assert same(load(refer(PANEL), never, f"{directory}{ending}"), PANEL)


@pytest.mark.parametrize(
    ("pattern", "name_of"),
    [
        ("%2s/%2s/%s", lambda name: f"{name[3:5]}/{name[5:7]}/{name[7:]}"),
        ("%2s/%2s", lambda name: f"{name[3:5]}/{name[5:7]}/{name[7:]}"),
        ("%4s/%s", lambda name: f"{name[:4]}/{name[4:]}"),
        ("%s.txt", lambda name: f"{name}.txt"),
        ("%%/%5s_%s", lambda name: f"%/{name[:5]}_{name[5:]}"),
    ],
)
def test_a_pattern(tmp_path: Path, pattern: str, name_of: Callable[[str], str]) -> None:
    bare(tmp_path, name_of)
    assert same(load(refer(PANEL), never, f"{tmp_path}/{pattern}"), PANEL)


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("panel.fa", bytes),
        ("panel.fasta", bytes),
        ("PANEL.FNA", bytes),
        ("panel.fna.gz", gzip.compress),
        ("panel.fa.bz2", bz2.compress),
    ],
)
def test_fasta_files_in_a_directory_and_by_name(tmp_path: Path, name: str, pack: Callable[[bytes], bytes]) -> None:
    (tmp_path / "aaa.fa").write_bytes(b"no FASTA \0 at all")
    (tmp_path / name).write_bytes(pack(FASTA))
    for place in (tmp_path, tmp_path / name):
        assert same(load(refer(PANEL), never, str(place)), PANEL)


def test_other_files_of_a_directory_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "panel.txt").write_bytes(FASTA)
    (tmp_path / "panel.fa").mkdir()
    with pytest.raises(ModelMissingError, match="4 were not found"):
        load(refer(PANEL), never, str(tmp_path))


def test_the_places_of_the_environment_complement_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = (tmp_path / name for name in ("one", "other"))
    for directory in (one, other):
        directory.mkdir()
    (one / PANEL.refget[0]).write_text(records_of(PANEL)[0])
    (other / "x.fa").write_bytes(FASTA[FASTA.index(b">record 1") :])
    monkeypatch.setenv("GFZ_REF_PATH", f":{tmp_path}/none::{one}:{other}/x.fa:")
    assert same(load(refer(PANEL), never), PANEL)
    monkeypatch.setenv("GFZ_REF_PATH", f"{one}")
    with pytest.raises(ModelMissingError):
        load(refer(PANEL), never)


@given(
    st.lists(st.text("ACGTUNacgtun-\r\n", max_size=12), max_size=6),
    st.text("ACGT\n", max_size=4),
    st.sampled_from(["", "name", "ACGT", ">", "x\r"]),
    st.integers(1, 9),
)
def test_records_are_separated_as_in_training(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], before: str, header: str, step: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "layout.fa"
    body = "".join(f">{header}\n{text}\n" for text in texts)
    path.write_bytes((before + "\n" + body).removesuffix("\n").encode() if before else body.encode())
    wanted = [text.upper().replace("U", "T") for text in (before, *texts)]
    panel = Panel.of(
        [np.array(["ACGT".index(letter) for letter in text if letter in "ACGT"], np.uint8) for text in wanted]
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(panel_search, "_READ_BYTES", step)
        assert same(load(refer(panel), never, str(path)), panel)


def test_what_training_reads_is_found_again(tmp_path: Path) -> None:
    text = FASTA.lower().replace(b"ac", b"acnn\r\n").replace(b"t", b"u") + b">last\nTTNGA"
    path = tmp_path / "rna.fa.gz"
    path.write_bytes(gzip.compress(text))
    panel = Panel.of(read_records([path]))
    assert len(panel.lengths) == 5
    assert same(load(refer(panel), never, str(path)), panel)


def test_equal_records_are_each_there(tmp_path: Path) -> None:
    panel = Panel.of([PANEL.bases, PANEL.bases[:9], PANEL.bases])
    (tmp_path / "x.fa").write_text(f">a\n{letters(PANEL.bases)}\n>b\n{letters(PANEL.bases[:9])}\n")
    assert same(load(refer(panel), never, str(tmp_path)), panel)


def test_a_message_names_what_is_missing_and_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = FASTA.split(b">record 3")[0]
    (tmp_path / "x.fa.gz").write_bytes(gzip.compress(text))
    (tmp_path / PANEL.refget[3]).write_text("ACGTTT")
    monkeypatch.setenv("GFZ_REF_PATH", f"{tmp_path}:{tmp_path}/none")
    with pytest.raises(ModelMissingError) as caught:
        load(refer(PANEL), never)
    message = str(caught.value)
    assert "5 training records, of which 2 were not found" in message
    assert f"{PANEL.refget[3]}, {PANEL.refget[4]}" in message
    assert PANEL.refget[0] not in message
    assert f"searched {tmp_path}, {tmp_path}/none" in message
    assert f"{tmp_path / PANEL.refget[3]} has other content than its name states" in message
    assert f"{tmp_path}/none is not there" in message
    assert "GFZ_REF_PATH" in message
    monkeypatch.delenv("GFZ_REF_PATH")
    with pytest.raises(ModelMissingError, match=r"4 were not found: .*, \.\.\.; GFZ_REF_PATH is not set"):
        load(refer(PANEL), never)


def test_a_damaged_file_matters_only_where_no_other_has_its_records(tmp_path: Path) -> None:
    damaged = tmp_path / "a.fa.gz"
    damaged.write_bytes(gzip.compress(FASTA)[:-20])
    with pytest.raises(ModelMissingError, match=r"a\.fa\.gz: the gzip compression is truncated"):
        load(refer(PANEL), never, str(tmp_path))
    (tmp_path / "b.fa").write_bytes(FASTA)
    assert same(load(refer(PANEL), never, str(tmp_path)), PANEL)


def test_a_model_that_understates_its_panel_takes_no_more_memory_than_it_states(tmp_path: Path) -> None:
    (tmp_path / "x.fa").write_bytes(FASTA)
    for bases in (0, 300, len(PANEL.bases) - 1):
        with pytest.raises(FormatError, match=f"more than the {bases} bases"):
            load(panel_source(*changed(refer(PANEL), bases=bases)), never, str(tmp_path))
    with pytest.raises(FormatError, match="not the 600 stated"):
        load(panel_source(*changed(refer(PANEL), bases=600)), never, str(tmp_path))
    with pytest.raises(FormatError, match="digest"):
        load(panel_source(*changed(refer(PANEL), digest="0" * 64)), never, str(tmp_path))


GENOME = b"NNNNACGTACGTTTGANNNNNNCCGATAGGC"


def two_bit(records: dict[bytes, bytes], order: str = "<") -> bytes:
    """By the description of UCSC."""

    def numbers(*values: int) -> bytes:
        return np.array(values, f"{order}u4").tobytes()

    held, places = b"", []
    first = 16 + sum(5 + len(name) for name in records)
    for text in records.values():
        places.append(first + len(held))
        gaps = [(found.start(), len(found[0])) for found in re.finditer(b"[Nn]+", text)]
        lower = [(found.start(), len(found[0])) for found in re.finditer(b"[a-z]+", text)]
        codes = [b"TCAG".find(bytes([letter])) % 4 for letter in text.upper()] + [0] * (-len(text) % 4)
        packed = bytes(a << 6 | b << 4 | c << 2 | d for a, b, c, d in zip(*[iter(codes)] * 4, strict=True))
        held += numbers(len(text))
        for blocks in (gaps, lower):
            held += numbers(len(blocks), *(start for start, _ in blocks), *(length for _, length in blocks))
        held += numbers(0) + packed
    index = b"".join(bytes([len(name)]) + name + numbers(place) for name, place in zip(records, places, strict=True))
    return numbers(0x1A412743, 0, len(records), 0) + index + held


@pytest.mark.parametrize("order", "<>")
def test_a_two_bit_file(tmp_path: Path, order: str) -> None:
    texts = {b"r%d" % number: f"NN{text.lower()}N".encode() for number, text in enumerate(records_of(PANEL))}
    path = tmp_path / "genome.2bit"
    path.write_bytes(two_bit(texts, order))
    assert list(two_bit_sequences(path)) == [text.upper() for text in texts.values()]
    size = len(texts[b"r1"])
    assert list(two_bit_sequences(path, {size})) == [text.upper() for text in texts.values() if len(text) == size]
    for place in (path, tmp_path):
        assert same(load(refer(PANEL), never, str(place)), PANEL)


@pytest.mark.parametrize("size", [0, 3, 16, 40, -1])
def test_a_two_bit_file_that_is_damaged(tmp_path: Path, size: int) -> None:
    path = tmp_path / "genome.2bit"
    path.write_bytes(two_bit({b"a": GENOME})[:size])
    with pytest.raises(InputError, match=r"genome\.2bit"):
        list(two_bit_sequences(path))
    with pytest.raises(ModelMissingError, match=r"genome\.2bit"):
        load(refer(PANEL), never, str(path))


@pytest.mark.parametrize(
    ("variables", "name_of"),
    [
        ({"REF_CACHE": "{}/%2s/%2s/%s"}, "{0:.2}/{1}/{2}"),
        ({"REF_PATH": "http://www.ebi.ac.uk/ena/cram/md5/%s:{}"}, "{3}"),
        ({"REF_CACHE": "/nowhere/%s", "REF_PATH": "{}/%s"}, "{3}"),
    ],
)
def test_where_cram_finds_its_references(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], name_of: str
) -> None:
    (tmp_path / "panel.fa").write_bytes(b">a\n" + GENOME[:10] + b"\r\n" + GENOME[10:] + b"\n>b\nNN\n>c\nACGTTACG\n")
    model = train([tmp_path / "panel.fa"], tmp_path / "m.gfmodel", "m", refer_panel=True)
    monkeypatch.setenv("GFZ_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ModelMissingError, match="2 were not found"):
        model.panel()
    for text in (GENOME, b"ACGTTACG"):
        md5 = hashlib.md5(text).hexdigest()
        path = tmp_path / "references" / name_of.format(md5, md5[2:4], md5[4:], md5)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(tmp_path / "references"))
    panel = model.panel()
    assert panel
    assert panel.length == len(GENOME.replace(b"N", b"")) + 8


def compressed(path: Path) -> Path:
    """As bgzip leaves it, in blocks, several to a record."""
    packed = path.with_name(f"{path.name}.gz")
    pysam.tabix_compress(str(path), str(packed))
    return packed


def in_lines(records: Sequence[tuple[str, str]], ending: str = "\n", width: int = 60) -> bytes:
    lines = []
    for header, text in records:
        lines += [f">{header}", *(text[at : at + width] for at in range(0, len(text), width))]
    return "".join(f"{line}{ending}" for line in lines).encode()


LONG = random_panel(200_000, 150_000, 200_000, seed=5)
GENOME_RECORDS = [
    ("chr1 first", "N" * 100 + records_of(LONG)[0].lower()),
    ("chr2", records_of(LONG)[1]),
    ("chr3 third", records_of(LONG)[2] + "N" * 100),
]


@pytest.fixture
def scanned(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files that are read from their beginning."""
    files: list[Path] = []
    scan = panel_search._Search._scan

    def watched(search: panel_search._Search, path: Path) -> None:
        files.append(path)
        scan(search, path)

    monkeypatch.setattr(panel_search._Search, "_scan", watched)
    return files


def wanted(path: Path, *numbers: int) -> tuple[ReferencedPanel, Panel]:
    """A panel of some records of a file, as a model names it."""
    origins: list[Origin] = []
    records = read_records([path], origins)
    panel = Panel.of([records[number] for number in numbers])
    return refer(panel, [origins[number] for number in numbers]), panel


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("bgzip", [False, True])
def test_single_records_are_read_by_an_index(tmp_path: Path, scanned: list[Path], ending: str, bgzip: bool) -> None:
    path = tmp_path / "genome.fa"
    path.write_bytes(in_lines(GENOME_RECORDS, ending))
    path = compressed(path) if bgzip else path
    pysam.faidx(str(path))
    for numbers in ((1,), (2,), (2, 0), (0, 1, 2)):
        source, panel = wanted(path, *numbers)
        assert same(load(carried(source), never, str(path)), panel)
        (tmp_path / "other.fa").write_text(">chr9\nACGT\n")
        assert same(load(source, never, str(tmp_path)), panel)
    assert not scanned


def test_single_records_of_a_two_bit_file(tmp_path: Path, scanned: list[Path]) -> None:
    path = tmp_path / "genome.fa"
    path.write_bytes(in_lines(GENOME_RECORDS))
    source, panel = wanted(path, 2, 1)
    path = path.with_suffix(".2bit")
    path.write_bytes(two_bit({name.encode(): text.encode() for name, text in GENOME_RECORDS}))
    assert same(load(source, never, str(path)), panel)
    assert not scanned


def test_records_with_other_names_are_read_by_their_lengths(tmp_path: Path, scanned: list[Path]) -> None:
    path = tmp_path / "genome.fa"
    path.write_bytes(in_lines(GENOME_RECORDS))
    source, panel = wanted(path, 2, 1)
    path.write_bytes(in_lines([(f"NC_{number}", text) for number, (_, text) in enumerate(GENOME_RECORDS)], width=70))
    pysam.faidx(str(path))
    assert same(load(source, never, str(path)), panel)
    assert not scanned
    masked = [("chr1", GENOME_RECORDS[0][1][100:]), *GENOME_RECORDS[1:]]  # the same bases, but another length
    source, panel = wanted(path, 0)
    path.write_bytes(in_lines(masked))
    pysam.faidx(str(path))
    assert same(load(source, never, str(path)), panel)
    assert scanned == [path]


@pytest.mark.parametrize("bgzip", [False, True])
def test_an_index_that_does_not_fit_is_named_and_no_more(
    tmp_path: Path, scanned: list[Path], caplog: pytest.LogCaptureFixture, bgzip: bool
) -> None:
    plain = tmp_path / "genome.fa"
    plain.write_bytes(in_lines(GENOME_RECORDS))
    path = compressed(plain) if bgzip else plain
    pysam.faidx(str(path))
    source, panel = wanted(path, 1)
    for order in ([1, 0, 2], [2, 1, 0], [1], [0, 1]):
        plain.write_bytes(in_lines([GENOME_RECORDS[number] for number in order], width=50))
        if bgzip:
            index = {name: (tmp_path / f"genome.fa.gz{name}").read_bytes() for name in (".fai", ".gzi")}
            pysam.tabix_compress(str(plain), str(path), force=True)
            for name, data in index.items():
                (tmp_path / f"genome.fa.gz{name}").write_bytes(data)
            plain.unlink()
        assert same(load(source, never, str(path)), panel)
    assert scanned
    assert f"{path}.fai" in caplog.text
    assert "samtools faidx" in caplog.text
    plain.write_bytes(in_lines(GENOME_RECORDS[2:]))
    if bgzip:
        pysam.tabix_compress(str(plain), str(path), force=True)
        plain.unlink()
    with pytest.raises(ModelMissingError, match=rf"1 were not found.*{re.escape(path.name)}\.fai"):
        load(source, never, str(path))


def test_an_index_of_another_sequence_gives_no_wrong_panel(tmp_path: Path) -> None:
    path = tmp_path / "genome.fa"
    path.write_bytes(in_lines(GENOME_RECORDS))
    source, panel = wanted(path, 0, 2)
    exchanged = [("chr1 first", GENOME_RECORDS[2][1]), GENOME_RECORDS[1], ("chr3 third", GENOME_RECORDS[0][1])]
    path.write_bytes(in_lines(exchanged))
    pysam.faidx(str(path))
    assert same(load(source, never, str(path)), panel)
    path.write_bytes(in_lines([("chr1 first", GENOME_RECORDS[2][1]), *GENOME_RECORDS[1:]]))
    with pytest.raises(ModelMissingError, match=r"1 were not found: SQ\..* \('chr1', 200,100 letters\)"):
        load(source, never, str(path))


def test_without_its_gzi_a_file_of_bgzip_is_read_whole(tmp_path: Path, scanned: list[Path]) -> None:
    path = tmp_path / "genome.fa"
    path.write_bytes(in_lines(GENOME_RECORDS))
    path = compressed(path)
    pysam.faidx(str(path))
    source, panel = wanted(path, 2)
    (tmp_path / "genome.fa.gz.gzi").unlink()
    assert same(load(source, never, str(path)), panel)
    assert scanned == [path]


@pytest.mark.parametrize(
    ("suffix", "data"),
    [
        (".fai", b"chr1\t100\n"),
        (".fai", b"chr1\t200100\t12\t0\t61\n"),
        (".fai", b"chr1\t200100\t99999999999999999999\t60\t61\n"),
        (".gzi", b"\1\0\0"),
        (".gzi", bytes([1] + 7 * [0]) + bytes(16)),
    ],
)
def test_a_damaged_index_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture, suffix: str, data: bytes) -> None:
    path = tmp_path / "genome.fa"
    path.write_bytes(in_lines(GENOME_RECORDS))
    path = compressed(path)
    pysam.faidx(str(path))
    source, panel = wanted(path, 0)
    (tmp_path / f"genome.fa.gz{suffix}").write_bytes(data)
    assert same(load(source, never, str(path)), panel)
    assert f"genome.fa.gz{suffix}" in caplog.text


def test_names_and_lengths_of_a_panel_are_checked() -> None:
    source = refer(PANEL)
    assert "names" not in source.settings()
    for values in ({"names": ["a"]}, {"residues": [1, 2]}, {"names": 5}, {"residues": ["1"] * 5}, {"other": []}):
        with pytest.raises(FormatError, match="the model's panel"):
            panel_source(*changed(source, **values))
