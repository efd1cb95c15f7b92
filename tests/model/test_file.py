import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import SMALL, random_model, random_tensors

from geneformer_codec.errors import FormatError, InputError
from geneformer_codec.model.file import Model, load_model, read_model

DATA = random_model("stream").to_bytes()


def test_a_model_comes_back(tmp_path: Path) -> None:
    config = SMALL["paper"]
    floats = {"head.weight": np.ones((4, 3), np.float32)}
    model = Model.make(config, random_tensors(config), floats, {"name": "fish", "result": {"test": 1.5}})
    path = tmp_path / "fish.gfmodel"
    path.write_bytes(model.to_bytes())
    found = read_model(path)
    assert (found.id, found.name, found.config, found.metadata) == (model.id, "fish", config, model.metadata)
    assert all((found.tensors[name] == tensor).all() for name, tensor in model.tensors.items())
    assert found.floats["head.weight"].sum() == 12
    assert found.to_bytes() == model.to_bytes()


def test_the_embedded_model_is_the_same_model_and_smaller() -> None:
    config = SMALL["stream"]
    model = Model.make(config, random_tensors(config), {"x": np.zeros(10_000, np.float32)}, {"name": "fish"})
    embedded = load_model(model.data)
    assert embedded.id == model.id
    assert embedded.name == "fish"
    assert len(model.data) < len(model.to_bytes()) - 40_000


def test_the_id_is_that_of_the_content() -> None:
    one, other = random_model("stream", 0), random_model("stream", 1)
    assert one.id != other.id
    assert Model.make(one.config, one.tensors, {}, {"name": "else"}).id == one.id
    changed = {**one.tensors, "gelu": one.tensors["gelu"] ^ 1}
    assert Model.make(one.config, changed, {}, {}).id != one.id


@given(st.integers(0, 8 * len(DATA) - 1))
def test_a_flipped_bit_is_found(bit: int) -> None:
    damaged = bytearray(DATA)
    damaged[bit // 8] ^= 1 << bit % 8
    try:
        found = load_model(bytes(damaged), "x.gfmodel")
    except FormatError as error:
        assert "x.gfmodel" in str(error)  # noqa: PT017
    else:  # in the metadata, which is not part of the model
        assert found.to_bytes() != DATA
        assert found.id == load_model(DATA).id


@given(st.integers(0, len(DATA) - 1))
def test_a_truncated_file_is_found(size: int) -> None:
    with pytest.raises(FormatError):
        load_model(DATA[:size])


def test_other_files_and_other_versions(tmp_path: Path) -> None:
    for foreign in (b"", b"PK\3\4" + bytes(100), b">x\nACGT\n", b"\xff" * 64):
        with pytest.raises(FormatError, match="not a model file"):
            load_model(foreign, "foreign")
    later = DATA.replace(b"gfmodel/1", b"gfmodel/9")
    with pytest.raises(FormatError, match=r"gfmodel/9.*use the version"):
        load_model(later)
    (tmp_path / "empty.gfmodel").touch()
    for name, message in (("none", "no such file"), ("empty", "the file is empty, not a model")):
        with pytest.raises((FormatError, InputError), match=rf"{name}\.gfmodel: .*{message}"):
            read_model(tmp_path / f"{name}.gfmodel")


def test_the_header_is_readable_without_this_package() -> None:
    size = int.from_bytes(DATA[:8], "little")
    header = json.loads(json.loads(DATA[8 : 8 + size])["__metadata__"]["gfmodel"])
    assert header["format"] == "gfmodel/1"
    assert json.loads(header["network"])["form"] == "stream"
