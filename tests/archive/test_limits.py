"""What an archive or a model asks for is bounded: by what the caller allows, or in proportion to its size."""

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geneformer_codec import api
from geneformer_codec.archive.memory import needed_bytes, part_bytes, share_memory
from geneformer_codec.archive.models import without_model
from geneformer_codec.archive.read import Archive
from geneformer_codec.archive.settings import LEVELS
from geneformer_codec.cli.main import main
from geneformer_codec.errors import FormatError, UsageError
from geneformer_codec.limits import FLOOR, RATIO, MemoryLimitError, default_limit, memory_size
from geneformer_codec.reader import open
from geneformer_codec.streams.packing import ZSTD, encode_varint, frame, pack, pack_integers
from geneformer_codec.streams.table import STREAM_IDS

from .conftest import Write, make_fasta, unpacked
from .conftest import pack as pack_archive

Change = Callable[[dict[str, Any], dict[str, bytes]], None]

MANY = 1 << 28


def bomb(size: int) -> bytes:
    """Packed bytes, all 0, of a few kilobytes."""
    import zstandard

    compressor = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    piece = bytes(1 << 20)
    data = b"".join(compressor.compress(piece) for _ in range(size >> 20))
    return bytes((ZSTD,)) + encode_varint(size) + data + compressor.flush()


def column_bomb(count: int, transform: int = 0) -> bytes:
    """An integer column of zeros."""
    return encode_varint(count) + bytes((transform,)) + bomb(count * max(transform, 1))


def claim(**numbers: int) -> Change:
    """State other numbers of a block."""
    return lambda manifest, streams: manifest["blocks"][0].update(numbers)


def settings(**values: Any) -> Change:
    """State other settings of the experts."""
    return lambda manifest, streams: manifest["settings"]["experts"].update(values)


def stream(name: str, make: Callable[[], bytes]) -> Change:
    """Another stream, of a text that is large but no more than is allowed."""

    def change(manifest: dict[str, Any], streams: dict[str, bytes]) -> None:
        manifest["blocks"][0].update(text_bytes=MANY, residues=MANY)
        streams[name] = make()

    return change


def layout(columns: dict[int, bytes]) -> Callable[[], bytes]:
    """A layout of other columns than one record's."""
    one = [pack_integers(np.array(values, np.int64)) for values in ([5], [0], [1], [1], [], [], [], [])]
    return lambda: b"\0" + frame(columns.get(number, column) for number, column in enumerate(one))


def slices(manifest: dict[str, Any], streams: dict[str, bytes]) -> None:
    manifest["settings"]["slice_length"] = 1
    manifest["blocks"][0].update(text_bytes=MANY, residues=MANY, bases=MANY, slice_bases=MANY, slices=MANY)


def long_record(name: str, make: Callable[[], bytes]) -> Change:
    """Another stream, of a record that is as long as the text."""

    def change(manifest: dict[str, Any], streams: dict[str, bytes]) -> None:
        stream(name, make)(manifest, streams)
        manifest["blocks"][0]["text_bytes"] += 10
        streams["layout"] = layout({0: pack_integers(np.array([MANY]))})()

    return change


def no_bases(manifest: dict[str, Any], streams: dict[str, bytes]) -> None:
    manifest["blocks"][0].update(residues=0, bases=0, slice_bases=0, slices=0)
    streams["payload"] = b""


def table_of_names(manifest: dict[str, Any], streams: dict[str, bytes]) -> None:
    """As many names as the text allows, all of two kinds."""
    no_bases(manifest, streams)
    manifest["blocks"][0].update(text_bytes=MANY, records=MANY >> 4)
    streams["layout"] = layout({0: column_bomb(MANY >> 4), 3: pack_integers(np.array([MANY >> 4]))})()
    streams["names"] = b"\1" + frame((pack(b"\n::::::::::::::\n"), column_bomb(MANY >> 4), b"", b"", b""))


def uuids(manifest: dict[str, Any], streams: dict[str, bytes]) -> None:
    """As many as the text allows, all the same."""
    no_bases(manifest, streams)
    manifest["blocks"][0].update(text_bytes=MANY + MANY // 8, records=MANY >> 5)
    streams["layout"] = layout({0: column_bomb(MANY >> 5), 3: pack_integers(np.array([MANY >> 5]))})()
    streams["names"] = b"\3" + bytes(32)


HOSTILE: dict[str, Change] = {
    "bases": claim(text_bytes=1 << 30, residues=1 << 30, bases=1 << 30, slice_bases=1 << 30),
    "text": claim(text_bytes=1 << 30, residues=1 << 30),
    "records": claim(text_bytes=1 << 29, records=1 << 29),
    "tables": settings(table_bits=28, count_orders=[14] * 12, count_priors=[1] * 12, initial_state=""),
    "short contexts": settings(low_orders=[10] * 8, initial_state=""),
    "reading frames": settings(low_orders=[10] * 7, frame_orders=[9] * 4, initial_state=""),
    "slices": slices,
    "fragments": stream("layout", lambda: layout({0: column_bomb(MANY)})()),
    "planes": stream("layout", lambda: layout({0: column_bomb(MANY >> 1, 8)})()),
    "line lengths": stream("layout", lambda: layout({5: column_bomb(MANY)})()),
    "line ends": stream("layout", lambda: layout({7: column_bomb(MANY)})()),
    "changes of case": long_record("case", lambda: frame((column_bomb(MANY), b"", b"", b""))),
    "gaps between exceptions": long_record("exceptions", lambda: b"\0" + frame((column_bomb(MANY), b"", b""))),
    "classes of names": table_of_names,
    "UUIDs": uuids,
}


def rewrite(path: Path, out: Path, change: Change) -> Path:
    """Change the manifest and the streams of the first block, in a valid container."""
    entries, raw = unpacked(path)
    manifest, data, streams, at = json.loads(raw), entries["blocks/00000000"], {}, 0
    for name in STREAM_IDS:
        size = manifest["blocks"][0]["streams"][name]
        streams[name], at = data[at : at + size], at + size
    change(manifest, streams)
    manifest["blocks"][0]["streams"] = {name: len(streams[name]) for name in STREAM_IDS}
    manifest["sample"]["bytes"] = sum(block["text_bytes"] for block in manifest["blocks"])
    pack_archive(out, entries | {"blocks/00000000": b"".join(streams.values())}, json.dumps(manifest).encode())
    return out


PEAK = """
    import re, sys
    from pathlib import Path

    def peak():  # mebibytes; getrusage would have those of the process before this program
        return int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) >> 10

    class Nowhere:
        def write(self, data):
            return len(data)
        def flush(self):
            pass
"""

READ = (
    PEAK
    + """
    import geneformer_codec as gfz
    from geneformer_codec.cli.summaries import stats

    def fetch(path):
        with gfz.open(path) as archive:
            for record in archive.records():
                record.residues(0, 5)

    gfz.decompress(sys.argv[1], Nowhere())
    before = peak()
    for path in sys.argv[2:]:
        calls = [lambda path: gfz.decompress(path, Nowhere()), gfz.verify, gfz.read_index, fetch, stats]
        refused = 0
        for call in calls:
            try:
                call(path)
            except gfz.FormatError as error:
                assert path in str(error), error
                refused += 1
        print(path, refused, peak() - before)
    print(peak() - before)
"""
)


def run(program: str, *arguments: str | Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_what_a_small_file_can_require(tmp_path: Path, write: Write) -> None:
    """All of it is refused, at once and before memory is taken."""
    api.compress(write("in.fa", b">a\nACGTA\n"), tmp_path / "a.gfz")
    paths = [
        rewrite(tmp_path / "a.gfz", tmp_path / f"{case.replace(' ', '_')}.gfz", change)
        for case, change in HOSTILE.items()
    ]
    *lines, used = run(READ, tmp_path / "a.gfz", *paths)
    assert max(path.stat().st_size for path in paths) < 100_000
    refused = {Path(line.split()[0]).stem: int(line.split()[1]) for line in lines}
    assert len(refused) == len(HOSTILE)
    assert all(count >= 2 for count in refused.values()), refused  # names and lengths may be valid where bases are not
    assert int(used) < 400  # MB, where 2.5 GiB are allowed


@pytest.mark.parametrize("case", HOSTILE)
def test_what_is_refused_can_be_allowed(tmp_path: Path, write: Write, case: str) -> None:
    api.compress(write("in.fa", b">a\nACGTA\n"), tmp_path / "a.gfz")
    path = rewrite(tmp_path / "a.gfz", tmp_path / "b.gfz", HOSTILE[case])
    with pytest.raises(MemoryLimitError, match=rf"{path}: .*max_memory="):
        api.decompress(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_limit_of_the_caller(tmp_path: Path, write: Write) -> None:
    text = make_fasta(30, 900)
    api.compress(write("in.fa", text), path := tmp_path / "a.gfz")
    low = 64 << 20
    calls: list[Callable[[int], Any]] = [
        lambda limit: api.decompress(path, tmp_path / "out", force=True, max_memory=limit),
        lambda limit: api.cat(path, tmp_path / "out", force=True, max_memory=limit),
        lambda limit: api.verify(path, max_memory=limit),
        lambda limit: api.read_index(path, max_memory=limit),
        lambda limit: api.merge([path, path], tmp_path / "out", force=True, max_memory=limit),
        lambda limit: open(path, max_memory=limit)["seq3"][:10],
    ]
    for call in calls:
        with pytest.raises(MemoryLimitError, match=r"a\.gfz: .* 64 MiB|a\.gfz: .*max_memory="):
            call(low)
        call(512 << 20)
    with pytest.raises(UsageError, match="invalid max_memory -1"):
        api.verify(path, max_memory=-1)


def manifest_of(path: Path, level: str, bases: int, parts: int = 1) -> Any:
    """What an archive of parts of so many bases of one letter says."""
    with Archive(path) as archive:
        manifest = archive.manifest
    block = replace(manifest.blocks[0], text_bytes=bases + 5, residues=bases, bases=bases, slice_bases=bases, strands=2)
    experts = without_model(level, bases)
    return replace(
        manifest,
        settings=replace(manifest.settings, level=level, experts=experts, part_bases=bases),
        blocks=tuple(replace(block, part=number) for number in range(parts)),
    )


@pytest.mark.parametrize("level", LEVELS)
def test_what_needs_no_permission(tmp_path: Path, write: Write, level: str) -> None:
    """Parts of 2**28 bases, and any number of usual ones on any number of threads, however small the archive is."""
    api.compress(write("in.fa", b">a\nACGTA\n"), tmp_path / "a.gfz")
    assert needed_bytes(manifest_of(tmp_path / "a.gfz", level, 1 << 28)) < FLOOR
    usual = manifest_of(tmp_path / "a.gfz", level, 3 << 23, 60)
    for limit in (FLOOR, 40 * FLOOR):
        threads, share = share_memory(usual, "x", limit, 0, 64, 64)
        assert share.parts == min(threads, 60)
        assert share.most > 1 << 30
        assert threads >= (2 if limit == FLOOR else 64)
    with pytest.raises(MemoryLimitError, match="x: reading it takes about"):
        share_memory(usual, "x", 200 << 20, 0, 64, 64)
    assert default_limit(1000) == FLOOR
    assert default_limit(FLOOR) == RATIO * FLOOR


@pytest.mark.parametrize("limit", [FLOOR, 2 * FLOOR, 40 * FLOOR])
def test_threads_and_parts_of_slices_take_half_of_the_limit(tmp_path: Path, write: Write, limit: int) -> None:
    """Parts that are decoded side by side, and slices that other threads work on."""
    api.compress(write("in.fa", b">a\nACGTA\n"), tmp_path / "a.gfz", access="fine")
    usual = manifest_of(tmp_path / "a.gfz", "balanced", 3 << 23, 60)
    usual = replace(usual, blocks=tuple(replace(block, slices=384) for block in usual.blocks))
    one, two = (part_bytes(usual.blocks[0], usual, threads) for threads in (1, 2))
    threads, share = share_memory(usual, "x", limit, 0, 64, 64)
    taken = share.parts * one + (threads - share.parts) * (two - one)
    assert taken <= limit // 2
    assert (threads, share.parts) == (64, 60) if limit == 40 * FLOOR else taken > limit // 2 - one - two


def test_the_writer_warns(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    source = write("in.fa", make_fasta(3, 900))
    api.compress(source, tmp_path / "a.gfz")
    assert not caplog.records
    monkeypatch.setattr(api, "default_limit", lambda size: 100 << 20)
    api.compress(source, tmp_path / "b.gfz", verify=True)
    assert "max_memory=" in caplog.text


MEASURE = (
    PEAK
    + """
    import geneformer_codec as gfz
    from geneformer_codec.archive.memory import PROCESS, part_bytes
    from geneformer_codec.archive.read import Archive

    threads = int(sys.argv[2])
    with Archive(sys.argv[1]) as archive:
        needed = PROCESS + max(part_bytes(block, archive.manifest, threads) for block in archive.blocks)
    gfz.decompress(sys.argv[1], Nowhere(), execution=gfz.Execution(threads=threads))
    print(needed >> 20, peak())
"""
)


@pytest.mark.parametrize(
    "text",
    [
        b">a\n" + b"A" * (1 << 23) + b"\n",
        b">\n" * (1 << 21),
        b">a\n" + b"aC" * (1 << 22),
        b"".join(b"@read%d\nACGTACGTAC\n+\nFFFFFF:FFF\n" % number for number in range(100_000)),
    ],
    ids=["one base", "empty records", "letters of both cases", "reads"],
)
def test_the_estimate_is_honest(tmp_path: Path, write: Write, text: bytes) -> None:
    api.compress(write("in.txt", text), tmp_path / "a.gfz", level="fast")
    needed, taken = map(int, run(MEASURE, tmp_path / "a.gfz", "1")[-1].split())
    assert needed / 2 < taken < needed * 2


def test_the_estimate_counts_slices_of_qualities(tmp_path: Path, write: Write) -> None:
    """As many are decoded at a time as there are threads."""
    text = b"".join(b"@%d\n%s\n+\n%s\n" % (number, b"ACGTA" * 20, b"FFF:#" * 20) for number in range(40_000))
    api.compress(write("in.fq", text), tmp_path / "a.gfz", access="fine", level="balanced")
    one, four = (list(map(int, run(MEASURE, tmp_path / "a.gfz", threads)[-1].split())) for threads in ("1", "4"))
    assert four[1] - one[1] > 60, "mebibytes"
    for needed, taken in (one, four):
        assert needed / 2 < taken < needed * 2


def test_model_files(tmp_path: Path) -> None:
    """Numbers that a header states are compared with the limit before any of them sizes an array."""
    from geneformer_codec.model.file import load_model
    from geneformer_codec.predict.settings import ExpertSettings

    def file(**given: Any) -> bytes:
        header = {"format": "gfmodel/1", "id": "0" * 64, "metadata": "{}"}
        header |= {name: json.dumps(value) for name, value in given.items()}
        data = json.dumps({"__metadata__": {"gfmodel": json.dumps(header)}}).encode()
        return len(data).to_bytes(8, "little") + data

    experts = ExpertSettings().as_dict()
    panel = {"kind": "embedded", "digest": "0" * 64, "bases": 1000, "records": 2}
    for given in (
        {"experts": experts, "panel": panel | {"bases": 1 << 31}},
        {"experts": experts, "panel": panel | {"records": 1 << 27}},
        {"experts": experts | {"low_orders": [10] * 8}},
        {"experts": experts | {"frame_orders": [9] * 4, "low_orders": [10] * 7}},
    ):
        with pytest.raises(MemoryLimitError, match=r"m: reading it takes about .*max_memory="):
            load_model(file(**given), "m")
    for limit in (None, 1 << 40):
        with pytest.raises(FormatError, match="m: the experts' initial state is missing") as caught:
            load_model(file(experts=experts, panel=panel | {"bases": 1 << 31} if limit else panel), "m", limit)
        assert not isinstance(caught.value, MemoryLimitError)


@pytest.mark.parametrize("size", ["", "-1", "0", "x", "4Q", "1..5G", "nan", "G"])
def test_sizes_that_are_none(size: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["cat", "a.gfz", f"--max-memory={size}"]) == 2
    assert "is no size; give one such as 512M or 4G" in capsys.readouterr().err


def test_sizes() -> None:
    assert [memory_size(text) for text in ("1", "2k", "512M", "4G", "4GiB", "1.5g", "1T")] == [
        1, 2048, 512 << 20, 4 << 30, 4 << 30, 3 << 29, 1 << 40
    ]  # fmt: skip


def test_text_out_of_proportion_is_refused(tmp_path: Path) -> None:
    """It would fit into memory, and take minutes."""
    (tmp_path / "x.fa").write_bytes(make_fasta(1, 50))
    api.compress(tmp_path / "x.fa", tmp_path / "x.gfz")
    size = 160 << 20
    path = rewrite(
        tmp_path / "x.gfz", tmp_path / "y.gfz", claim(text_bytes=size, residues=size, bases=size, slice_bases=size)
    )
    for read in (api.verify, lambda path: api.cat(path, tmp_path / "text")):
        with pytest.raises(MemoryLimitError, match=rf"{path.name}: has [\d,]+ bytes and decodes to 167,772,160"):
            read(path)
    assert not (tmp_path / "text").exists()
    with Archive(path) as archive:
        archive.check_text(size)
        with pytest.raises(MemoryLimitError, match="max_memory=167772160"):
            archive.check_text(size - 1)
