import bz2
import errno
import gzip
import hashlib
import json
import multiprocessing
import time
import warnings
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from geneformer_codec.archive.digests import RecordDigest
from geneformer_codec.errors import FormatError, GfzError, ModelMissingError, OutputError
from geneformer_codec.model import panel as panel_module
from geneformer_codec.model import panel_cache, panel_search
from geneformer_codec.model.packed import pack, to_planes
from geneformer_codec.model.panel import (
    EmbeddedPanel,
    Panel,
    PanelSource,
    embed,
    load,
    pack_bases,
    panel_source,
    refer,
    unpack_bases,
)
from geneformer_codec.model.panel_cache import cache_directory, unpacked
from geneformer_codec.training.data import read_records

Bases = NDArray[np.uint8]

BASES = st.binary(max_size=70).map(lambda data: np.frombuffer(data, np.uint8) & 3)
PANELS = st.lists(BASES, max_size=12).map(Panel.of)


def encode(bases: Bases) -> bytes:
    return bytes(bases[::-1])


def decode(coded: bytes, count: int) -> Bases:
    assert len(coded) == count
    return np.frombuffer(coded, np.uint8)[::-1]


def never(coded: bytes, count: int) -> Bases:
    raise AssertionError("this should not be decoded")


def letters(bases: Bases) -> str:
    return "".join("ACGT"[base] for base in bases)


def records_of(panel: Panel) -> list[str]:
    return [letters(panel.bases[start:stop]) for start, stop in zip(panel.starts, panel.starts[1:], strict=False)]


def random_panel(*lengths: int, seed: int = 0) -> Panel:
    random = np.random.default_rng(seed)
    return Panel.of([random.integers(0, 4, length).astype(np.uint8) for length in lengths])


def packed(lengths: list[int]) -> NDArray[np.uint8]:
    """Lengths as a model file holds them."""
    return np.frombuffer(pack(to_planes(np.array(lengths, np.uint32))), np.uint8)


def carried(source: PanelSource) -> PanelSource:
    """The source after a stay in a model file."""
    from safetensors.numpy import load, save

    return panel_source(json.loads(json.dumps(source.settings())), load(save(source.tensors())))


def same(one: Panel, other: Panel) -> bool:
    return np.array_equal(one.bases, other.bases) and np.array_equal(one.starts, other.starts)


PANEL = random_panel(300, 1, 0, 77, 123)
SOURCE = embed(PANEL, encode)


# --- two bits a base --------------------------------------------------------------------------------------------


@given(BASES)
def test_bases_come_back_from_two_bits_each(bases: Bases) -> None:
    packed = pack_bases(bases)
    assert len(packed) == -(-len(bases) // 4)
    assert packed.tolist() == [
        sum(int(base) << 2 * place for place, base in enumerate(bases[at : at + 4])) for at in range(0, len(bases), 4)
    ]
    assert np.array_equal(unpack_bases(packed, len(bases)), bases)


def test_more_than_one_step_and_strides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panel_module, "_STEP", 16)
    bases = np.random.default_rng(0).integers(0, 4, 2 * 4 * 16 * 3 + 14).astype(np.uint8)
    for some in (bases, bases[1:], bases[::2], bases[::-1]):
        assert np.array_equal(unpack_bases(pack_bases(some), len(some)), some)


def test_packed_bases_of_another_size_are_refused() -> None:
    packed = pack_bases(np.array([0, 1, 2, 3, 1], np.uint8))
    for count in (-1, 0, 4, 9, 1 << 33):
        with pytest.raises(FormatError):
            unpack_bases(packed, count)
    with pytest.raises(FormatError, match="more than the last"):
        unpack_bases(packed | np.uint8(4), 5)


# --- the panel --------------------------------------------------------------------------------------------------


def test_digests_are_those_that_the_text_describes() -> None:
    panel = Panel.of([np.array([0, 1, 2, 3], np.uint8), np.array([3], np.uint8)])
    lengths = (4).to_bytes(8, "little") + (1).to_bytes(8, "little")
    assert panel.digest == hashlib.sha256(lengths + bytes([0b11100100, 0b11])).hexdigest()
    # the digest of ACGT that the GA4GH's own texts give
    assert panel.refget[0] == "SQ.aKF498dAxcJAqme6QYQ7EZ07-fiw8Kw2"


@given(PANELS)
def test_refget_names_are_those_of_an_archive(panel: Panel) -> None:
    for text, name in zip(records_of(panel), panel.refget, strict=True):
        digest = RecordDigest()
        digest.update(text.encode())
        assert digest.names(digest.stored())[1] == name


def test_where_records_end_is_part_of_the_digest() -> None:
    bases = PANEL.bases
    cut = [Panel.of([bases[:at], bases[at:]]).digest for at in (0, 1, 100, len(bases))]
    assert len({*cut, PANEL.digest, Panel.of([bases]).digest}) == 6


@pytest.mark.parametrize(
    ("bases", "starts"),
    [
        (np.zeros(3, np.int64), np.array([0, 3])),
        (np.zeros((3, 1), np.uint8), np.array([0, 3])),
        (np.zeros(6, np.uint8)[::2], np.array([0, 3])),
        (np.full(3, 4, np.uint8), np.array([0, 3])),
        (np.zeros(3, np.uint8), np.array([0, 2])),
        (np.zeros(3, np.uint8), np.array([1, 3])),
        (np.zeros(3, np.uint8), np.array([0, 2, 1, 3])),
        (np.zeros(3, np.uint8), np.array([0.0, 3.0])),
        (np.zeros(0, np.uint8), np.zeros(0, np.int64)),
    ],
)
def test_other_arrays_are_no_panel(bases: Any, starts: Any) -> None:
    with pytest.raises(ValueError, match="must"):
        Panel(bases, starts)


# --- carried by a model -----------------------------------------------------------------------------------------


@given(PANELS)
def test_an_embedded_panel_comes_back(panel: Panel) -> None:
    source = carried(embed(panel, encode))
    assert source.settings() == {
        "kind": "embedded",
        "digest": panel.digest,
        "bases": len(panel.bases),
        "records": len(panel.lengths),
    }
    assert same(load(source, decode), panel)


@settings(deadline=None)
@given(PANELS)
def test_a_referenced_panel_comes_back(tmp_path_factory: pytest.TempPathFactory, panel: Panel) -> None:
    path = tmp_path_factory.mktemp("panel") / "records.txt"
    path.write_text("".join(f">{number}\n{text}\n" for number, text in enumerate(records_of(panel)[::-1])))
    source = carried(refer(panel))
    assert source.settings()["kind"] == "referenced"
    assert source.tensors()["refget"].shape == (len(panel.lengths), 24)
    assert same(load(source, never, str(path)), panel)


def changed(source: PanelSource, **values: Any) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Settings and tensors with some of them replaced, or without them where the value is None."""
    stated: dict[str, Any] = dict(source.settings())
    tensors = dict(source.tensors())
    for name, value in values.items():
        into = tensors if isinstance(value, np.ndarray) else stated
        into[name] = value
        if value is None:
            into.pop(name)
    return stated, tensors


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "elsewhere"},
        {"kind": "referenced"},
        {"kind": 3},
        {"kind": []},
        {"kind": None},
        {"digest": None},
        {"digest": "../../etc/passwd"},
        {"digest": "A" * 64},
        {"digest": 5},
        {"bases": -1},
        {"bases": True},
        {"bases": 501.0},
        {"bases": 502},
        {"bases": (1 << 31) + 1},
        {"bases": 10**400},
        {"records": 4},
        {"records": (1 << 27) + 1},
        {"more": 1},
        {"other": np.zeros(3, np.uint8)},
        {"coded": np.zeros(501, np.int8)},
        {"coded": np.zeros((3, 167), np.uint8)},
        {"lengths": np.array(5, np.uint8)},
        {"lengths": np.zeros(0, np.uint8)},
        {"lengths": np.zeros(20, np.uint8)},
        {"lengths": PANEL.lengths},
        {"lengths": packed([300, 1, 0, 77])},
        {"lengths": packed([300, 1, 0, 77, 123, 0])},
        {"lengths": packed([300, 1, 0, 77, 123])[:-1]},
        {"lengths": np.append(packed([300, 1, 0, 77, 123]), np.uint8(0))},
        {"lengths": packed([300, 1, 0, 77, 123])[None]},
        {"lengths": packed([300, 1, 0, 77, 124])},
        {"lengths": packed([(1 << 32) - 1] * 4 + [505])},
    ],
)
def test_settings_and_tensors_are_checked(values: dict[str, Any]) -> None:
    with pytest.raises(FormatError, match="panel"):
        panel_source(*changed(SOURCE, **values))


@pytest.mark.parametrize("refget", [np.zeros((5, 23), np.uint8), np.zeros((4, 24), np.uint8), np.zeros(5, np.uint8)])
def test_references_are_checked(refget: NDArray[np.uint8]) -> None:
    with pytest.raises(FormatError, match="panel"):
        panel_source(*changed(refer(PANEL), refget=refget))
    with pytest.raises(FormatError, match="24 bytes"):
        panel_source(*changed(refer(PANEL), refget=np.zeros((5, 24), np.int8)))


@pytest.mark.parametrize("foreign", [None, [], "embedded", 7])
def test_settings_that_are_no_object(foreign: object) -> None:
    with pytest.raises(FormatError, match="kind"):
        panel_source(foreign, SOURCE.tensors())


@pytest.mark.parametrize(
    "wrong",
    [
        PANEL.bases[:-1],
        PANEL.bases.astype(np.int16),
        PANEL.bases[None],
        PANEL.bases + np.uint8(4),
        PANEL.bases ^ np.uint8(1),
    ],
)
def test_what_is_decoded_is_checked(wrong: Any) -> None:
    with pytest.raises(FormatError, match="damaged"):
        load(SOURCE, lambda coded, count: wrong)


def test_lengths_that_were_changed_are_found_by_the_digest(tmp_path: Path) -> None:
    unpacked(SOURCE, decode, tmp_path)
    source = panel_source(*changed(SOURCE, lengths=packed([299, 2, 0, 77, 123])))
    with pytest.raises(FormatError, match="digest"):
        load(source, decode)
    with pytest.raises(FormatError, match="digest"):
        unpacked(source, decode, tmp_path)


# --- the search path --------------------------------------------------------------------------------------------

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


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.text("ACGTUNacgtun-\r\n", max_size=12), max_size=6),
    st.text("ACGT\n", max_size=4),
    st.sampled_from(["", "name", "ACGT", ">", "x\r"]),
    st.integers(1, 9),
)
def test_records_are_told_apart_as_in_training(
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
    assert f"{tmp_path / PANEL.refget[3]} has other content than its name says" in message
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


# --- the cache --------------------------------------------------------------------------------------------------


def cached(cache: Path, panel: Panel = PANEL) -> Path:
    return cache / "panels" / f"{panel.digest}.gfpanel"


@settings(deadline=None)
@given(PANELS)
def test_a_panel_is_decoded_once(tmp_path_factory: pytest.TempPathFactory, panel: Panel) -> None:
    cache = tmp_path_factory.mktemp("cache")
    source = embed(panel, encode)
    assert same(unpacked(source, decode, cache), panel)
    assert same(unpacked(source, never, cache), panel)
    assert same(unpacked(refer(panel), never, cache), panel)
    assert sorted(path.suffix for path in cached(cache).parent.iterdir()) == [".gfpanel", ".lock"]


def test_the_cache_file_is_what_its_description_says(tmp_path: Path) -> None:
    unpacked(SOURCE, decode, tmp_path)
    data = cached(tmp_path).read_bytes()
    assert data[:24] == b"gfpanel1" + (5).to_bytes(8, "little") + (501).to_bytes(8, "little")
    assert hashlib.sha256(data[24:]).hexdigest() == PANEL.digest
    assert data[24 + 40 :] == pack_bases(PANEL.bases).tobytes()


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_damaged_cache_is_made_again(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    cache = tmp_path_factory.getbasetemp() / "damaged"
    unpacked(SOURCE, decode, cache)
    whole = cached(cache).read_bytes()
    damaged = bytearray(whole)
    if data.draw(st.booleans()):
        bit = data.draw(st.integers(0, 8 * len(whole) - 1))
        damaged[bit // 8] ^= 1 << bit % 8
    elif data.draw(st.booleans()):
        del damaged[data.draw(st.integers(0, len(whole) - 1)) :]
    else:
        damaged += data.draw(st.binary(min_size=1, max_size=9))
    cached(cache).write_bytes(damaged)
    calls: list[int] = []

    def counted(coded: bytes, count: int) -> Bases:
        calls.append(count)
        return decode(coded, count)

    assert same(unpacked(SOURCE, counted, cache), PANEL)
    assert calls == [501]
    assert cached(cache).read_bytes() == whole


def test_what_a_killed_job_left_is_removed(tmp_path: Path) -> None:
    cached(tmp_path).parent.mkdir()
    left, other = (cached(tmp_path).with_name(f".{name}.gfpanel.0a1b2c3d.tmp") for name in (PANEL.digest, "0" * 64))
    left.write_bytes(b"half")
    other.write_bytes(b"half")
    unpacked(SOURCE, decode, tmp_path)
    assert not left.exists()
    assert other.exists()


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("GFZ_CACHE", raising=False)
    assert cache_directory() == tmp_path / "home/.cache/geneformer-rules"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_directory() == tmp_path / "home/.cache/geneformer-rules"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_directory() == tmp_path / "xdg/geneformer-rules"
    monkeypatch.setenv("GFZ_CACHE", str(tmp_path / "own"))
    assert cache_directory() == tmp_path / "own"
    unpacked(SOURCE, decode)
    assert cached(tmp_path / "own").is_file()


def no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_no_home_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GFZ_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(panel_cache.Path, "home", no_home)
    with pytest.warns(RuntimeWarning, match="no home directory"):
        assert same(unpacked(SOURCE, decode), PANEL)


@pytest.fixture
def fresh_warnings() -> None:
    panel_cache._warn.cache_clear()


def decoded_with_one_warning(cache: Path, match: str) -> None:
    with pytest.warns(RuntimeWarning, match=match) as caught:
        assert same(unpacked(SOURCE, decode, cache), PANEL)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same(unpacked(SOURCE, decode, cache), PANEL)


@pytest.mark.usefixtures("fresh_warnings")
def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    decoded_with_one_warning(tmp_path / "file", r"not cached.*GFZ_CACHE")


@pytest.mark.usefixtures("fresh_warnings")
def test_a_directory_in_the_place_of_the_cache_file(tmp_path: Path) -> None:
    cached(tmp_path).mkdir(parents=True)
    decoded_with_one_warning(tmp_path, "it is a directory")


@pytest.mark.usefixtures("fresh_warnings")
def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(panel_cache.fcntl, "flock", no_locks)
    decoded_with_one_warning(tmp_path, "No locks available")


@pytest.mark.usefixtures("fresh_warnings")
def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any, **options: Any) -> Any:
        raise OutputError("cannot write: the disk is full")

    monkeypatch.setattr(panel_cache, "atomic_output", full)
    decoded_with_one_warning(tmp_path, "the disk is full")
    assert not cached(tmp_path).exists()


@pytest.mark.usefixtures("fresh_warnings")
def test_a_lock_that_is_never_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached(tmp_path).parent.mkdir()
    monkeypatch.setattr(panel_cache, "_PATIENCE", -1.0)
    with panel_cache._held(panel_cache._acquire(cached(tmp_path).with_suffix(".lock"), 0)):
        decoded_with_one_warning(tmp_path, "another job holds the lock")
    assert same(unpacked(SOURCE, decode, tmp_path), PANEL)
    assert cached(tmp_path).is_file()


def test_errors_of_the_panel_itself_pass_and_nothing_stays_locked(tmp_path: Path) -> None:
    def broken(coded: bytes, count: int) -> Bases:
        raise OSError("of the decoder")

    with pytest.raises(OSError, match="of the decoder"):
        unpacked(SOURCE, broken, tmp_path)
    with pytest.raises(ModelMissingError):
        unpacked(refer(PANEL), never, tmp_path)
    with pytest.raises(GfzError):
        unpacked(SOURCE, lambda coded, count: np.zeros(count, np.uint8), tmp_path)
    assert not cached(tmp_path).exists()
    assert same(unpacked(SOURCE, decode, tmp_path), PANEL)


class LoggedDecode:
    """Leaves a byte in a file for every call, and takes long enough for the others to come."""

    def __init__(self, log: Path):
        self._log = log

    def __call__(self, coded: bytes, count: int) -> Bases:
        with self._log.open("ab") as log:
            log.write(b"x")
        time.sleep(0.5)
        return decode(coded, count)


def job(source: EmbeddedPanel, log: Path, cache: Path, together: Barrier) -> None:
    together.wait(120)
    found = unpacked(source, LoggedDecode(log), cache)
    (cache / f"{multiprocessing.current_process().name}.done").write_text(found.digest)


def test_of_jobs_that_start_at_once_one_decodes(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(3)
    log = tmp_path / "log"
    jobs = [
        context.Process(target=job, args=(SOURCE, log, tmp_path, together), name=f"job{number}") for number in range(3)
    ]
    for process in jobs:
        process.start()
    for process in jobs:
        process.join()
    assert [process.exitcode for process in jobs] == [0, 0, 0]
    assert [path.read_text() for path in tmp_path.glob("*.done")] == [PANEL.digest] * 3
    assert log.read_bytes() == b"x"
