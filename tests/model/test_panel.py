import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from numpy.typing import NDArray
from panels import (
    BASES,
    PANEL,
    PANELS,
    SOURCE,
    Bases,
    carried,
    changed,
    decode,
    encode,
    never,
    packed,
    records_of,
    same,
)

from geneformer_codec.errors import FormatError
from geneformer_codec.model import panel as panel_module
from geneformer_codec.model.panel import Panel, embed, load, pack_bases, panel_source, refer, unpack_bases
from geneformer_codec.model.panel_cache import unpacked
from geneformer_codec.sequence.digests import RecordDigest

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
        assert digest.refget(digest.stored()) == name


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


@given(PANELS)
def test_a_referenced_panel_comes_back(tmp_path_factory: pytest.TempPathFactory, panel: Panel) -> None:
    path = tmp_path_factory.mktemp("panel") / "records.txt"
    path.write_text("".join(f">{number}\n{text}\n" for number, text in enumerate(records_of(panel)[::-1])))
    source = carried(refer(panel))
    assert source.settings()["kind"] == "referenced"
    assert source.tensors()["refget"].shape == (len(panel.lengths), 24)
    assert same(load(source, never, str(path)), panel)


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
