"""Write the golden archives anew: ``python tests/archive/golden/make.py FOLDER``.

Once there is a release, archives are added here and none is replaced. Sequences are simulated; texts are not kept, but
their SHA-256 is. An archive of the same tool has the same bytes; the model, which is trained, can differ.
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from geneformer_codec import api
from geneformer_codec.archive import settings
from geneformer_codec.model.file import Experts, Model
from geneformer_codec.model.initial_state import InitialState
from geneformer_codec.model.panel import Panel, embed
from geneformer_codec.model.panel_coding import encode_panel
from geneformer_codec.predict.predictor import Predictor
from geneformer_codec.predict.settings import ExpertSettings, without_panel
from geneformer_codec.sequence.simulate import make_ancestor, simulate, write_fasta
from geneformer_codec.sequence.simulate_reads import write_fastq
from geneformer_codec.training.data import read_records

ODD = (
    b">crlf  and spaces\r\nACGTNNNN\r\nRYKMacgt\r\n>empty\n>rna\nACGUUGCA\nacguu\n"
    b">\xff\xfe name that is not text\nAC-GT\n\n>last, without an end\nACGTTG"
)
ODD_READS = (
    b"stray\n@crlf\r\nACGTN\r\n+\r\nIIII!\r\n@repeated 1\nACGTacgt\n+repeated 1\n!~AB;CDE\n@empty\n\n+\n\n"
    b"@lines\nACGT\nRYK\n+\n@@@+\n+++\n@short\nACGT\n+\nII\n@last, without an end\nACGU\n+\nIJKL"
)


def text(genomes: int, length: int, seed: int) -> bytes:
    """Related records, some on the other strand, and odd ones."""
    records = BytesIO()
    write_fasta(records, genomes, length, 0.03, seed)
    turned = [
        b">turned%d\n%b\n" % (number, sequence[::-1].translate(bytes.maketrans(b"ACGTacgt", b"TGCAtgca")))
        for number, (_, sequence) in enumerate(simulate(2, length, 0.03, seed))
    ]
    return b"; text before the first header\n" + records.getvalue() + b"".join(turned) + ODD


def model(folder: Path) -> Model:
    """Experts with all that there is, taught by a small panel."""
    settings = ExpertSettings(
        both_strands=True, table_bits=16, long_history_weight=8, low_orders=(1, 2), frame_orders=(2,), count_orders=(6,
        12),
        count_priors=(30, 10), attention_rate=12,
    )  # fmt: skip
    panel = folder / "panel.fa"
    write_fasta(panel, 8, 900, 0.03, 2)
    records = read_records([panel])
    known = Panel.of(records[:6])
    pupil = Predictor(settings, known.packed)
    mixer, low = pupil.mixer.copy(), pupil.low.copy()
    for record in records[6:7]:
        pupil.adapt(record, mixer, low)
    source = embed(known, lambda bases: encode_panel(bases, without_panel("balanced"), 1, slice_=3000))
    return Model.of(None, Experts(InitialState(settings, mixer, low), source), {"name": "simulated"})


def panel_alone(folder: Path) -> Model:
    """As a sample of several parts has one of its own."""
    panel = folder / "panel.fa"
    write_fasta(panel, 2, 900, 0.03, 2)
    return panel_of(Panel.of(read_records([panel])))


def panel_of(known: Panel) -> Model:
    """A model that is a panel alone."""
    source = embed(known, lambda bases: encode_panel(bases, without_panel("fast")))
    return Model.of(None, Experts(None, source), {"name": "self panel"})


def facts(archive: Path) -> dict[str, Any]:
    """What is compared with an archive: what `gfz info` says, and where its records are, if these are no reads."""
    info = api.info(archive).as_dict()
    for later in ("experts", "without_model"):  # later versions may have more settings
        info.pop(later)
    if info["kind"] == "FASTQ":
        return {"info": info}
    return {"info": info, "records": [vars(entry) for entry in api.read_index(archive)]}


def as_lines(info: dict[str, Any], records: Sequence[dict[str, Any]] = ()) -> str:
    """The facts as JSON: a line for each field of ``info``, and for each record."""
    fields = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in info.items())
    rows = ",\n".join(f"  {json.dumps(record)}" for record in records)
    return f'{{\n "info": {{\n{fields}\n }}' + (f',\n "records": [\n{rows}\n ]' if rows else "") + "\n}\n"


ARCHIVES: dict[str, dict[str, Any]] = {
    "fast": {"level": "fast", "strands": "both"},
    "balanced": {"level": "balanced", "strands": "one"},
    "max": {"level": "max", "strands": "both"},
    "parts": {"level": "balanced", "strands": "both", "part_bases": 3000},
    "model-fast": {"level": "fast", "access": 2000},
    "model": {"level": "max", "embed": True, "access": 2000, "part_bases": 5000},
    "self-panel": {"level": "balanced", "embed": True, "part_bases": 3000},
    "mapped": {"level": "balanced", "embed": True, "part_bases": 10_000},
    "mapped-slices": {"level": "fast", "embed": True, "access": 2000},
    "reads": {"level": "max"},
    "pair": {"level": "fast", "part_bases": 10_000},
    "slices": {"level": "fast", "access": 2000},
}


def main(folder: Path, scratch: Path) -> None:
    """Write all of them, with other files in ``scratch``."""
    sample = scratch / "genomes.fa"
    sample.write_bytes(text(6, 900, 2))
    taught = folder / "species.gfmodel"
    taught.write_bytes(model(scratch).data)
    pair = scratch / "reads.fq", scratch / "mates.fq"
    with pair[0].open("wb") as first, pair[1].open("wb") as second:
        write_fastq([first, second], 60, seed=2)
        first.write(ODD_READS)
    for name, options in ARCHIVES.items():
        settings.READ_SLICE_BITS = 11 if "slices" in name else 20
        given = taught if "model" in name else panel_alone(scratch) if "panel" in name else None
        if "mapped" in name:  # to a part of the genome that the reads are of
            given = panel_of(Panel.of([make_ancestor(np.random.Generator(np.random.PCG64(2)), 50_000)[:20_000]]))
        out = folder / f"{name}.gfz"
        source = pair[0] if name in ("reads", "pair", "mapped", "mapped-slices", "slices") else sample
        mate = pair[1] if name == "pair" or "mapped" in name else None
        api.compress(source, out, mate=mate, model=given, verify=True, force=True, **options)
        (folder / f"{name}.json").write_text(as_lines(**facts(out)))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        main(Path(sys.argv[1]), Path(directory))
