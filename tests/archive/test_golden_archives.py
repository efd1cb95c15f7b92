"""Archives written once and kept: every version of the tool must give back their texts.

``golden/1.gfz`` was written by ``gfz compress --part-bases 2048 --lane-length 256``, those of version 2 by
``golden/make.py``. When the format gets a new version, its archives are added here; none is ever replaced.
"""

import json
from pathlib import Path

import pytest

from geneformer_codec import api, open

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("archive", sorted(GOLDEN.glob("*.gfz")), ids=lambda archive: archive.stem)
def test_golden(tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GFZ_MODEL_PATH", str(GOLDEN))
    api.verify(archive)
    api.decompress(archive, tmp_path / "out.fa")
    text = (GOLDEN / f"{archive.stem[0]}.fa").read_bytes()
    assert (tmp_path / "out.fa").read_bytes() == text
    facts = {"info": api.info(archive), "records": [vars(entry) for entry in api.read_index(archive)]}
    known = json.loads(archive.with_suffix(".json").read_text())
    assert {name: facts["info"][name] for name in known["info"]} == known["info"]
    assert facts["records"] == known["records"]
    with open(archive) as reader:
        parts = text.replace(b"\r", b"").split(b">")[1:]
        wanted = [b"".join(part.split(b"\n")[1:]) for part in parts]
        assert [record[10:200].encode() for record in reader.records()] == [residues[10:200] for residues in wanted]
