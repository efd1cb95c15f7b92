"""Reads in any order: sorted by name where that pays, mates together, nothing lost."""

import io
import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geneformer_codec import api
from geneformer_codec.archive import any_order
from geneformer_codec.errors import FormatError, OutputError
from geneformer_codec.inputs.sample import Reordering, Sample
from geneformer_codec.json_fields import Fields
from geneformer_codec.sequence import read_sorting
from geneformer_codec.sequence.read_sorting import ReadSorter, TextStream

from .conftest import Write, ZlibModel


def read(name: bytes, number: int = 1, size: int = 8, seed: object = None) -> bytes:
    """A read whose bases and qualities follow from its name, or from a ``seed``."""
    rng = random.Random(repr((name, number, seed)))
    bases, qualities = (bytes(rng.choices(letters, k=size)) for letters in (b"ACGT", b"!#5I"))
    return b"@%b\n%b\n+\n%b\n" % (name, bases, qualities)


def shuffled(count: int, seed: int = 1) -> list[bytes]:
    """Names as sequencers give them, in no order."""
    names = [
        b"M1:7:000-ABC:1:%d:%d:%d" % (1101 + place // 97, 1000 + 17 * (place % 97), 5 * place) for place in range(count)
    ]
    random.Random(seed).shuffle(names)
    return names


def in_sequence(name: bytes) -> list[int]:
    return [int(field) for field in name.split(b":") if field.isdigit()]


def pairs_of(names: Sequence[bytes], size: int = 60) -> tuple[bytes, bytes]:
    first = b"".join(read(name + b" 1:N:0:1", 1, size) for name in names)
    return first, b"".join(read(name + b" 2:N:0:1", 2, size) for name in names)


def sorted_texts(texts: Sequence[bytes]) -> tuple[str, tuple[bytes, ...]]:
    """What hinders sorting, and the texts as they come out."""
    with ReadSorter([io.BytesIO(text) for text in texts], "x") as sorter:
        pieces = sorter.in_order() if sorter.obstacle else sorter.texts()
        streams = TextStream.of(pieces, len(texts))
        out = [b"" for _ in texts]
        while any(found := [stream.read(70) for stream in streams]):
            out = [before + piece for before, piece in zip(out, found, strict=True)]
        return sorter.obstacle, tuple(out)


def reads_of(text: bytes) -> list[bytes]:
    lines = text.splitlines(keepends=True)
    return [b"".join(lines[first : first + 4]) for first in range(0, len(lines), 4)]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many chunks and buckets of few reads."""
    monkeypatch.setattr(read_sorting, "CHUNK_BYTES", 1 << 10)


@pytest.mark.usefixtures("small")
def test_pairs_are_sorted_and_stay_together() -> None:
    names = shuffled(500)
    obstacle, texts = sorted_texts(pairs_of(names))
    assert (obstacle, texts) == ("", pairs_of(sorted(names, key=in_sequence)))


@pytest.mark.usefixtures("small")
def test_mates_of_other_names_stay_together() -> None:
    names, others = shuffled(300), [b"other%d" % number for number in range(300)]
    random.Random(3).shuffle(others)
    texts = [b"".join(map(read, names)), b"".join(map(read, others))]
    obstacle, (one, other) = sorted_texts(texts)
    expected = sorted(zip(names, others, strict=True), key=lambda pair: in_sequence(pair[0]))
    assert (obstacle, one) == ("", b"".join(read(name) for name, _ in expected))
    assert other == b"".join(read(name) for _, name in expected)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("endings", [(b"", b""), (b"/1", b"/2")])
def test_reads_without_mate_come_last(endings: tuple[bytes, bytes]) -> None:
    names = shuffled(400)
    rng = random.Random(5)
    kept = [[name for name in names if rng.random() < 0.9] for _ in endings]
    for order in kept:
        rng.shuffle(order)
    texts = [b"".join(read(name + end) for name in order) for order, end in zip(kept, endings, strict=True)]
    obstacle, found = sorted_texts(texts)
    both = sorted(set(kept[0]) & set(kept[1]), key=in_sequence)
    alone = [sorted(set(order) - set(both), key=in_sequence) for order in kept]
    assert obstacle == ""
    assert found == tuple(
        b"".join(read(name + end) for name in both + rest) for rest, end in zip(alone, endings, strict=True)
    )


_NAMES = st.one_of(
    st.sampled_from(
        [b"", b"a", b"a 1", b"a2", b"a10", b"a02", b"9" * 90, b"x" * 100, b"x" * 100 + b"1", b"\xff", b"a/1"]
    ),
    st.binary(max_size=12).filter(lambda name: not set(name) & set(b"\r\n")),
)


@given(st.lists(st.lists(_NAMES, max_size=60), min_size=1, max_size=2), st.randoms())
def test_no_read_is_lost(names: list[list[bytes]], rng: random.Random) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(read_sorting, "CHUNK_BYTES", rng.choice((64, 256, 1 << 12)))
        patch.setattr(read_sorting, "MOST_CHUNKS", 1000)
        texts = [b"".join(read(name, number) for number, name in enumerate(some)) for some in names]
        obstacle, found = sorted_texts(texts)
    if obstacle:
        assert found == tuple(texts)
    for text, before in zip(found, texts, strict=True):
        assert Counter(reads_of(text)) == Counter(reads_of(before))
    if len(texts) == 2 and len(names[0]) == len(names[1]):
        assert Counter(zip(*map(reads_of, found), strict=True)) == Counter(zip(*map(reads_of, texts), strict=True))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("text", "obstacle"),
    [
        (b"".join(map(read, shuffled(100))) + b"no read\n", "no regular read"),
        (b"@a\nA\n+\n" + b"".join(map(read, shuffled(100))), "no regular read"),
        (b"".join(map(read, shuffled(100)))[:-1], "no end"),
        (b"".join(map(read, sorted(shuffled(100), key=in_sequence))), "sorted by name"),
        (b"", "no reads"),
    ],
)
def test_what_is_left_as_it_is(text: bytes, obstacle: str) -> None:
    found, texts = sorted_texts([text])
    assert obstacle in found
    assert texts == (text,)


@pytest.mark.usefixtures("small")
def test_memory_is_bounded_where_names_are_the_same() -> None:
    texts = [b"".join(read(b"a", number) for number in range(count)) for count in (900, 901)]
    found, left = sorted_texts(texts)
    assert "the same name" in found
    assert left == tuple(texts)
    assert sorted_texts(texts[:1])[0] == "it is sorted by name"


@pytest.fixture
def files(write: Write) -> tuple[Path, Path]:
    first, second = pairs_of(shuffled(600))
    return write("r_1.fq", first), write("r_2.fq", second)


def test_archive(tmp_path: Path, files: tuple[Path, Path], model: ZlibModel, caplog: pytest.LogCaptureFixture) -> None:
    source, mate = files
    plain = api.compress(source, tmp_path / "plain.gfz", mate=mate, model=model)
    info = api.compress(source, tmp_path / "a.gfz", mate=mate, model=model, any_order=True, verify=True)
    assert plain.reordering is None
    assert info.reordering is not None
    assert info.reordering["reads"] == 1200
    saved = info.reordering["before"] - info.reordering["after"]
    assert saved == plain.side_bytes - info.side_bytes > 0
    assert info.total_bytes < plain.total_bytes
    assert "sorted by name, mates together, which saves" in info.notices[0]
    assert info.notices[0] in caplog.text
    api.decompress(tmp_path / "a.gfz", tmp_path / "1", mate=tmp_path / "2", model=model)
    texts = (tmp_path / "1").read_bytes(), (tmp_path / "2").read_bytes()
    assert texts == pairs_of(sorted(shuffled(600), key=in_sequence))
    api.merge([tmp_path / "a.gfz", tmp_path / "a.gfz"], tmp_path / "b.gfz", model=model)
    with pytest.raises(FormatError, match="another"):
        api.merge([tmp_path / "a.gfz", tmp_path / "plain.gfz"], tmp_path / "c.gfz", model=model)


def test_split_and_gather_give_the_same_bytes(
    tmp_path: Path, files: tuple[Path, Path], model: ZlibModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_sorting, "CHUNK_BYTES", 1 << 14)
    source, mate = files
    common: dict[str, Any] = {"mate": mate, "name": "r", "part_bases": 1 << 14, "any_order": True}
    whole = api.compress(source, tmp_path / "whole.gfz", model=model, **common)
    plan = api.split(source, tmp_path / "parts", **common)
    assert plan.sample.reordering is not None
    parts = [tmp_path / "parts" / part.file for part in plan.parts]
    api.compress_parts(parts, tmp_path / "p.gfz", model=model)
    gathered = api.gather(tmp_path / "parts" / "plan.json", [tmp_path / "p.gfz"], tmp_path / "g.gfz")
    assert whole.parts == len(parts) > 2
    assert gathered.notices == whole.notices
    assert (tmp_path / "g.gfz").read_bytes() == (tmp_path / "whole.gfz").read_bytes()


def test_with_a_self_panel(tmp_path: Path, files: tuple[Path, Path]) -> None:
    """The sorted text is read once, as standard input is."""
    source, _ = files
    info = api.compress(source, tmp_path / "a.gfz", any_order=True, part_bases=1 << 13, level="fast", verify=True)
    assert info.parts > 1
    assert info.reordering is not None


def test_what_saves_nothing_is_left(tmp_path: Path, write: Write, caplog: pytest.LogCaptureFixture) -> None:
    rng = random.Random(2)
    names = [b"%032x" % rng.getrandbits(128) for _ in range(200)]
    source = write("in.fq", text := b"".join(read(name, 1, 60) for name in names))
    info = api.compress(source, tmp_path / "a.gfz", any_order=True, verify=True, level="fast")
    assert (info.reordering, info.notices) == (None, [])
    assert "stay in the order of the file: sorted by name, all but the bases would take" in caplog.text
    api.decompress(tmp_path / "a.gfz", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == text


def test_of_files_that_are_no_pair(tmp_path: Path, write: Write, caplog: pytest.LogCaptureFixture) -> None:
    one, other = (
        b"".join(read(b"%b%d" % (letter, n)) for n in range(count)) for letter, count in ((b"a", 50), (b"b", 51))
    )
    info = api.compress(write("1.fq", one), tmp_path / "a.gfz", mate=write("2.fq", other), any_order=True, level="fast")
    assert info.reordering is None
    assert "no mate of the same name" in caplog.text


def test_fasta_is_not_concerned(tmp_path: Path, write: Write, fasta: bytes, model: ZlibModel) -> None:
    source = write("in.fa", fasta)
    info = api.compress(source, tmp_path / "a.gfz", any_order=True, model=model)
    assert info.reordering is None
    api.compress(source, tmp_path / "b.gfz", model=model)
    assert (tmp_path / "a.gfz").read_bytes() == (tmp_path / "b.gfz").read_bytes()


def test_full_disk(tmp_path: Path, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(read_sorting, "temporary", lambda label: (Full(), f"a temporary of {label} in /tmp"))
    with pytest.raises(OutputError, match=r"temporary of .*r_1.fq.*the disk is full"):
        api.compress(files[0], tmp_path / "a.gfz", any_order=True)
    assert not list(tmp_path.glob("*a.gfz*"))


@pytest.mark.usefixtures("small")
def test_a_faulty_disk_is_noticed() -> None:
    text = b"".join(map(read, shuffled(200)))
    with ReadSorter([io.BytesIO(text)], "r.fq") as sorter:
        file = sorter._texts[0]
        file.seek(len(text) // 2)
        octet = file.read(1)
        file.seek(len(text) // 2)
        file.write(bytes((octet[0] ^ 1,)))
        with pytest.raises(OutputError, match=r"temporary of r\.fq .* has lost or changed reads"):
            list(sorter.texts())


@pytest.mark.parametrize("field", [{"reads": 0}, {"reads": "1"}, {"before": None}, {"more": 1}, {"after": -1}])
def test_invalid_fields(field: dict[str, Any]) -> None:
    valid = Sample("x", 1, "0" * 64, 1, reordering=Reordering(3, 2, 1))
    assert Sample.take(Fields(json.loads(json.dumps(valid.as_dict())), "sample")) == valid
    fields = json.loads(json.dumps(valid.as_dict()))
    fields["reordering"] |= field
    with pytest.raises(ValueError, match="reordering"):
        Sample.take(Fields(fields, "sample"))


def test_bins_apply_before_measuring(tmp_path: Path, files: tuple[Path, Path], model: ZlibModel) -> None:
    seen = []
    real = any_order._side_bytes

    def side_bytes(texts: Sequence[bytes], bins: str | None, level: str) -> int:
        seen.append(bins)
        return real(texts, bins, level)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(any_order, "_side_bytes", side_bytes)
        info = api.compress(
            files[0], tmp_path / "a.gfz", model=model, any_order=True, bin_qualities="illumina4", verify=True
        )
    assert seen == ["illumina4", "illumina4"]
    assert len(info.notices) == 2
