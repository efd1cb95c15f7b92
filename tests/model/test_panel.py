import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
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
from geneformer_codec.model.panel import Panel, embed, load, panel_source, refer
from geneformer_codec.model.panel_cache import open_panel
from geneformer_codec.sequence.digests import RecordDigest

# --- the panel --------------------------------------------------------------------------------------------------


def test_digests_are_those_that_the_text_describes() -> None:
    panel = Panel.of([np.array([0, 1, 2, 3], np.uint8), np.array([3], np.uint8)])
    lengths = (4).to_bytes(8, "little") + (1).to_bytes(8, "little")
    assert panel.digest == hashlib.sha256(lengths + bytes([0, 0, 0, 0, 0, 0, 0b11000000, 0b00011011])).hexdigest()
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


@given(st.lists(BASES, max_size=12))
def test_records_come_back_from_two_bits_a_base(records: list[Bases]) -> None:
    panel = Panel.of(records)
    assert np.array_equal(panel.bases, np.concatenate([np.zeros(0, np.uint8), *records]))
    assert panel.lengths.tolist() == [len(record) for record in records]


def test_letters_are_no_bases() -> None:
    with pytest.raises(ValueError, match=r"must be 0\.\.3"):
        Panel.of([np.frombuffer(b"ACGT", np.uint8)])


# --- carried by a model -----------------------------------------------------------------------------------------


@given(PANELS)
def test_an_embedded_panel_comes_back(panel: Panel) -> None:
    source = carried(embed(panel, encode))
    assert source.settings() == {
        "kind": "embedded",
        "digest": panel.digest,
        "bases": panel.length,
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
        {"bases": (1 << 38) + 1},
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
    with pytest.raises(FormatError, match="16 bytes"):
        panel_source(*changed(refer(PANEL), md5=np.zeros((5, 15), np.uint8)))
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
    open_panel(SOURCE, decode, tmp_path)
    source = panel_source(*changed(SOURCE, lengths=packed([299, 2, 0, 77, 123])))
    with pytest.raises(FormatError, match="digest"):
        load(source, decode)
    with pytest.raises(FormatError, match="digest"):
        open_panel(source, decode, tmp_path)
