"""Archives written once by ``golden/make.py``: their texts must come back."""

import hashlib
import json
from pathlib import Path

import pytest

from geneformer_codec import api, open

GOLDEN = Path(__file__).parent / "golden"
PAIRS = [GOLDEN / "mapped.gfz", GOLDEN / "mapped-slices.gfz", GOLDEN / "pair.gfz"]
READS = [*PAIRS, GOLDEN / "reads.gfz", GOLDEN / "slices.gfz"]
GENOMES = sorted(set(GOLDEN.glob("*.gfz")) - set(READS))


def check_facts(archive: Path, *texts: bytes) -> None:
    """What the archive states, and the digests of its texts, are as they were when it was written."""
    known = json.loads(archive.with_suffix(".json").read_text())
    info = api.info(archive).as_dict()
    assert {name: info[name] for name in known["info"]} == known["info"]
    mate = known["info"]["mate"]
    wanted = [known["info"]["sha256"], *([mate["sha256"]] if mate else [])]
    assert [hashlib.sha256(text).hexdigest() for text in texts] == wanted
    if archive not in READS:
        assert [vars(entry) for entry in api.read_index(archive)] == known["records"]


@pytest.mark.parametrize("archive", READS, ids=lambda archive: archive.stem)
def test_golden_reads(tmp_path: Path, archive: Path) -> None:
    outs = [tmp_path / "out.fq", tmp_path / "mate.fq"][: 1 + (archive in PAIRS)]
    api.verify(archive)
    api.decompress(archive, outs[0], mate=outs[1] if archive in PAIRS else None)
    check_facts(archive, *(out.read_bytes() for out in outs))


@pytest.mark.parametrize("archive", GENOMES, ids=lambda archive: archive.stem)
def test_golden(tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GFZ_MODEL_PATH", str(GOLDEN))
    api.verify(archive)
    api.decompress(archive, tmp_path / "out.fa")
    text = (tmp_path / "out.fa").read_bytes()
    check_facts(archive, text)
    with open(archive) as reader:
        parts = text.replace(b"\r", b"").split(b">")[1:]
        wanted = [b"".join(part.split(b"\n")[1:]) for part in parts]
        assert [record[10:200].encode() for record in reader.records()] == [residues[10:200] for residues in wanted]
