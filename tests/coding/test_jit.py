"""Kernels are compiled in one way, and made of what their modules import."""

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from geneformer_codec.coding import jit
from geneformer_codec.coding.jit import inline, kernels

from .tiny_kernel import PACKAGE, double, the_file


def test_no_other_module_compiles() -> None:
    """But for GPUs, the same functions."""
    compiles = re.compile(r"\b(n?jit|guvectorize|vectorize|cfunc|stencil|generated_jit)\s*\(|@(numba\.)?n?jit\b")
    found = [
        path.name
        for path in PACKAGE.rglob("*.py")
        if compiles.search(path.read_text()) or re.search(r"import .*\bn?jit\b|numba\.n?jit", path.read_text())
    ]
    assert sorted(found) == ["forms.py", "jit.py"]


@pytest.mark.skipif(not jit.LEAN, reason="this version of numba compiles parts in its own way")
def test_python_cannot_call_a_part() -> None:
    with pytest.raises(TypeError, match="part of kernels"):
        double(1)


def test_other_versions_of_numba_compile_in_its_own_way(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its internals, which each version may change: the same results, and the same cache."""
    monkeypatch.setattr(jit, "LEAN", False)
    monkeypatch.setattr(jit, "_KERNEL", {})
    part = inline(lambda number: 3 * number)

    @kernels()
    def tiny(number: int) -> int:
        return part(number) + 1

    assert tiny(5) == part(5) + 1 == 16
    assert the_file(cache).is_file()


def test_every_part_is_imported_where_it_is_used() -> None:
    """The functions that a kernel calls, and those that these call, are in the files that its digest is taken of."""
    from geneformer_codec.network import kernels as network_kernels
    from geneformer_codec.predict import lockstep, panel_tables
    from geneformer_codec.sequence import read_kernels, render_kernels
    from geneformer_codec.streams import name_model_kernels
    from geneformer_codec.streams.qualities import kernels as quality_kernels

    modules = (network_kernels, lockstep, panel_tables, read_kernels, render_kernels, name_model_kernels)
    kernels_found = 0
    for module in (*modules, quality_kernels):
        found = jit.imported(Path(inspect.getfile(module)))
        for value in vars(module).values():
            if hasattr(value, "py_func"):
                assert called(value.py_func) <= found
                kernels_found += 1
    assert kernels_found > 20


def called(function: Any) -> set[Path]:
    """The files of the functions that it calls, and of those that these call."""
    found, ahead = set(), [function]
    while ahead:
        at = ahead.pop()
        if at not in found:
            found.add(at)
            values = [at.__globals__.get(name) for name in at.__code__.co_names]
            ahead += [value.py_func for value in values if hasattr(value, "py_func")]
    return {Path(inspect.getfile(at)) for at in found}


def test_a_change_in_an_imported_module_changes_the_digest(tmp_path: Path) -> None:
    package = tmp_path / "geneformer_codec"
    (package / "room").mkdir(parents=True)
    sources = {
        "kernels.py": "from geneformer_codec.room import (\n    part,\n)\n",
        "room/part.py": "import math\nfrom geneformer_codec.room.constants import ONE, TWO\n",
        "room/constants.py": "ONE, TWO = 1, 2\n",
        "room/other.py": "",
    }

    def digest(changed: str = "") -> str:
        for name, text in sources.items():
            (package / name).write_text(text + "# changed\n" * (name == changed))
        jit.digest.cache_clear()
        return jit.digest(package / "kernels.py", tmp_path)

    assert [digest(name) == digest() for name in sources] == [False, False, False, True]
