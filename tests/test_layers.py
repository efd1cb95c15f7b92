"""Imports run one way: a module imports from its own layer and those below, and no two modules import each other.

The layers, from the bottom:

- base: errors, caches, cache_contents, limits, files, json_fields
- coding: compiled kernels, range coder, mixing, threads
- sequence: text and arrays of it; inputs: files and streams to be archived
- streams: how parts of text are coded
- predict: prediction of bases; cuda: the same on a GPU; align: reads mapped to a panel; network: the neural network,
  the only importer of torch; model: model files and panels
- archive: the file format
- training
- api and reader: what Python users import
- cli
"""

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "geneformer_codec"
SOURCE = Path(__file__).parents[1] / "src" / PACKAGE
LAYERS = (
    ("errors", "caches", "cache_contents", "limits", "files", "json_fields"),
    ("coding",),
    ("sequence", "inputs"),
    ("streams",),
    ("predict", "cuda", "align", "network", "model"),
    ("archive",),
    ("training",),
    ("api", "reader", "biopython"),
    ("cli", "__main__"),
)
LAYER_OF = {room: number for number, rooms in enumerate(LAYERS) for room in rooms}


def name_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(SOURCE.rglob("*.py"))}


def imported(path: Path) -> Iterator[str]:
    """The absolute names of all that a file imports, also inside functions and for type checkers alone."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


def own_imports(path: Path) -> Iterator[str]:
    """The modules of this package that a file imports."""
    for name in imported(path):
        inner = name.removeprefix(f"{PACKAGE}.")
        if name.startswith(f"{PACKAGE}.") and (found := inner if inner in MODULES else inner.rpartition(".")[0]):
            yield found


IMPORTS = {name: set(own_imports(path)) for name, path in MODULES.items() if name}


def layer(name: str) -> int:
    return LAYER_OF[name.partition(".")[0]]


def test_every_module_has_a_layer() -> None:
    assert {name.partition(".")[0] for name in MODULES if name} == set(LAYER_OF)


def test_imports_run_one_way() -> None:
    upward = {(name, other) for name, others in IMPORTS.items() for other in others if layer(other) > layer(name)}
    assert not upward


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {name: {other for other in others if other} for name, others in IMPORTS.items()}
    graphlib.TopologicalSorter(graph).prepare()  # CycleError names the modules of a circle


def test_only_the_network_imports_torch() -> None:
    users = {name for name, path in MODULES.items() if any(used.split(".")[0] == "torch" for used in imported(path))}
    assert all(name.split(".")[0] == "network" for name in users), users
