"""A small model for tests: it compresses slices with zlib, so that slices differ in size and nothing is trained."""

import hashlib
import itertools
import random
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from geneformer_codec import api
from geneformer_codec.archive.container import ContainerReader, ContainerWriter
from geneformer_codec.archive.manifest import MAX_MANIFEST_BYTES
from geneformer_codec.coding.interface import BaseCoder, Progress
from geneformer_codec.errors import FormatError
from geneformer_codec.model import file
from geneformer_codec.predict.settings import ExpertSettings

Write = Callable[[str, bytes], Path]


class ZlibCoder:
    """Codes each slice with zlib; ``fault`` makes it decode wrongly."""

    def __init__(self, model_id: str, fault: bool = False):
        self.model_id, self._fault = model_id, fault

    def encode(
        self, bases: NDArray[np.uint8], slice_lengths: Sequence[int], progress: Progress | None = None
    ) -> list[bytes]:
        edges = np.concatenate([[0], np.cumsum(slice_lengths)])
        assert edges[-1] == len(bases)
        if progress:
            progress(len(bases))
        return [zlib.compress(bases[a:b].tobytes()) for a, b in itertools.pairwise(edges)]

    def decode(
        self,
        slices: Sequence[bytes],
        slice_lengths: Sequence[int],
        progress: Progress | None = None,
        stops: Sequence[int] | None = None,
    ) -> NDArray[np.uint8]:
        try:
            decoded = [zlib.decompress(slice_) for slice_ in slices]
        except zlib.error as error:
            raise FormatError(f"a slice is damaged: {error}") from error
        if [len(slice_) for slice_ in decoded] != list(slice_lengths):
            raise FormatError("a slice has another length")
        ends = slice_lengths if stops is None else stops
        out = b"".join(slice_[:stop] for slice_, stop in zip(decoded, ends, strict=True))
        bases = np.frombuffer(out, np.uint8).copy()
        if self._fault and len(bases):
            bases[len(bases) // 2] ^= 1
        return bases


class ZlibModel:
    """Stands for a trained model."""

    def __init__(self, name: str = "zlib", fault: bool = False):
        self.name, self.data = name, b"a model file, " + name.encode()
        self.id = hashlib.sha256(self.data).hexdigest()
        self._fault = fault

    def expert_settings(self, level: str) -> ExpertSettings | None:
        return None  # as a network, which codes all parts

    @property
    def memory_bytes(self) -> int:
        return 0

    def coder(
        self,
        settings: ExpertSettings | None,
        device: str = "auto",
        threads: int = 0,
    ) -> BaseCoder:
        return ZlibCoder(self.id, self._fault)


def load_model(data: bytes, place: str = "the model", max_memory: int | None = None) -> ZlibModel:
    if not data.startswith(b"a model file, "):
        raise FormatError(f"{place} is not a model, or of another version")
    return ZlibModel(data.removeprefix(b"a model file, ").decode())


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> ZlibModel:
    """The model, and model files of its kind in place of the real ones."""
    monkeypatch.setattr(file, "load_model", load_model)
    monkeypatch.setattr(file, "read_model", lambda path, max_memory=None: load_model(Path(path).read_bytes()))
    return ZlibModel()


@pytest.fixture
def faulty_model(model: ZlibModel) -> ZlibModel:
    """A model with the id of the other, whose decoder errs."""
    return ZlibModel(fault=True)


def make_fasta(records: int, length: int, seed: int = 1, width: int = 60) -> bytes:
    """Random records with lower case, N and a few other letters."""
    rng = random.Random(seed)
    text = []
    for number in range(records):
        size = rng.randrange(length // 2, length + 1)
        sequence = bytearray(rng.choices(b"ACGT", k=size))
        for _ in range(size // 200):
            at = rng.randrange(size)
            sequence[at : at + 20] = sequence[at : at + 20].lower()
            sequence[rng.randrange(size)] = rng.choice(b"NRYn")
        lines = [bytes(sequence[a : a + width]) for a in range(0, size, width)]
        text.append(b">seq%d simulated record\n" % number + b"\n".join(lines) + b"\n")
    return b"".join(text)


def joined(
    source: Path, directory: Path, *, part_bases: int, mate: Path | None = None, as_is: bool = False, **coding: Any
) -> bytes:
    """The archive that is gathered of the parts of a source, each compressed by itself."""
    plan = api.split(source, directory / "parts", part_bases=part_bases, mate=mate, as_is=as_is)
    archives = [directory / f"{part.number}.gfz" for part in plan.parts]
    for part, archive in zip(plan.parts, archives, strict=True):
        api.compress_parts([directory / "parts" / part.file], archive, **coding)
    api.gather(directory / "parts" / "plan.json", archives, directory / "joined.gfz")
    return (directory / "joined.gfz").read_bytes()


def unpacked(path: Path) -> tuple[dict[str, bytes], bytes]:
    """The entries of an archive, and its manifest."""
    with path.open("rb") as file:
        reader = ContainerReader(file, str(path))
        return {name: reader.read(name) for name in reader.names()}, reader.manifest(MAX_MANIFEST_BYTES)


def pack(out: Path, entries: Mapping[str, bytes], manifest: bytes) -> None:
    """Write entries in a valid container, as a malicious writer could."""
    with out.open("wb") as file, ContainerWriter(file) as writer:
        for name, data in entries.items():
            writer.add(name, data)
        writer.finish(manifest)


@pytest.fixture
def fasta() -> bytes:
    """Twelve records of a few hundred residues."""
    return make_fasta(12, 900)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file into the test's directory."""

    def writer(name: str, data: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return writer
