"""Archives written once by ``golden/make.py``: their texts must come back."""

import json
from pathlib import Path

import pytest

from geneformer_codec import api, open

GOLDEN = Path(__file__).parent / "golden"
PAIRS = [GOLDEN / "mapped.gfz", GOLDEN / "pair.gfz"]
READS = [*PAIRS, GOLDEN / "reads.gfz", GOLDEN / "slices.gfz"]
GENOMES = sorted(set(GOLDEN.glob("*.gfz")) - set(READS))


def check_facts(archive: Path) -> None:
    known = json.loads(archive.with_suffix(".json").read_text())
    info = api.info(archive).as_dict()
    assert {name: info[name] for name in known["info"]} == known["info"]
    if archive not in READS:
        assert [vars(entry) for entry in api.read_index(archive)] == known["records"]


@pytest.mark.parametrize("archive", READS, ids=lambda archive: archive.stem)
def test_golden_reads(tmp_path: Path, archive: Path) -> None:
    mate = tmp_path / "mate.fq" if archive in PAIRS else None
    api.verify(archive)
    api.decompress(archive, tmp_path / "out.fq", mate=mate)
    assert (tmp_path / "out.fq").read_bytes() == (GOLDEN / "reads.fq").read_bytes()
    assert mate is None or mate.read_bytes() == (GOLDEN / "mates.fq").read_bytes()
    check_facts(archive)


@pytest.mark.parametrize("archive", GENOMES, ids=lambda archive: archive.stem)
def test_golden(tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GFZ_MODEL_PATH", str(GOLDEN))
    api.verify(archive)
    api.decompress(archive, tmp_path / "out.fa")
    text = (GOLDEN / "genomes.fa").read_bytes()
    assert (tmp_path / "out.fa").read_bytes() == text
    check_facts(archive)
    with open(archive) as reader:
        parts = text.replace(b"\r", b"").split(b">")[1:]
        wanted = [b"".join(part.split(b"\n")[1:]) for part in parts]
        assert [record[10:200].encode() for record in reader.records()] == [residues[10:200] for residues in wanted]
