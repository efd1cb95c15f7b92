"""The examples in the documentation of functions are right."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize(
    "name", ["inputs.sources", "streams.slice_table", "sequence.digests", "archive.regions", "reader"]
)
def test_examples(name: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(f"geneformer_codec.{name}"))
    assert tried > 0
    assert failed == 0
