"""A substitute of NVIDIA's driver, for all tests of a process."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def _substitute(tmp_path_factory: pytest.TempPathFactory) -> "Substitute":  # noqa: F821
    from substitute import Substitute

    return Substitute(tmp_path_factory.mktemp("driver"))


@pytest.fixture
def driver(_substitute: "Substitute") -> Iterator["Substitute"]:  # noqa: F821
    _substitute.reset()
    yield _substitute
    _substitute.reset()
