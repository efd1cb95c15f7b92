from pathlib import Path

import pytest

import geneformer_codec as gfz
from geneformer_codec.archive.models import Execution

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("device", ["cpu", "torch"])
@pytest.mark.parametrize("form", ["stream", "paper"])
def test_archives_of_the_first_version_decode(form: str, device: str, tmp_path: Path) -> None:
    out = tmp_path / "out.fa"
    gfz.decompress(GOLDEN / f"{form}.gfz", out, execution=Execution(device=device))
    assert out.read_bytes() == (GOLDEN / f"{form}.fa").read_bytes()


@pytest.mark.parametrize("form", ["stream", "paper"])
def test_their_slices_are_coded_by_the_network(form: str) -> None:
    assert gfz.info(GOLDEN / f"{form}.gfz").bpb_payload < 1.9
