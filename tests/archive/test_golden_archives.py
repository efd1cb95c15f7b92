"""Archives written once and kept: every version of the tool must give back their texts.

``golden/VERSION.gfz`` was written by ``gfz compress --part-bases 2048 --lane-length 256``. When the format gets a
new version, its archive is added here; none is ever replaced.
"""

import json
from pathlib import Path

import pytest

from geneformer_codec import api, open

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("version", ["1"])
def test_golden(tmp_path: Path, version: str) -> None:
    archive = GOLDEN / f"{version}.gfz"
    api.verify(archive)
    api.decompress(archive, tmp_path / "out.fa")
    assert (tmp_path / "out.fa").read_bytes() == (GOLDEN / f"{version}.fa").read_bytes()
    facts = {"info": api.info(archive), "records": [vars(entry) for entry in api.read_index(archive)]}
    known = json.loads((GOLDEN / f"{version}.json").read_text())
    assert {name: facts["info"][name] for name in known["info"]} == known["info"]
    assert facts["records"] == known["records"]
    with open(archive) as reader:
        parts = (GOLDEN / f"{version}.fa").read_bytes().replace(b"\r", b"").split(b">")[1:]
        wanted = [b"".join(part.split(b"\n")[1:]) for part in parts]
        assert [record[10:200].encode() for record in reader.records()] == [residues[10:200] for residues in wanted]
