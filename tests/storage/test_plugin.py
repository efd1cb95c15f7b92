"""The storage plugin: the official tests of its interface, and a workflow that takes regions as inputs."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from samtools import faidx
from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_storage_plugins.registry import StoragePluginRegistry
from snakemake_interface_storage_plugins.tests import TestStorageBase

from geneformer_codec import api
from geneformer_codec.errors import FormatError, UsageError
from geneformer_codec.sequence.simulate import write_fasta
from snakemake_storage_plugin_gfz import StorageObject, StorageProvider, StorageProviderSettings, split_query


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``results/x.gfz``, relative to the working directory, of ``x.fa``."""
    monkeypatch.chdir(tmp_path)
    write_fasta(tmp_path / "x.fa", 4, 3000, seed=3)
    (tmp_path / "results").mkdir()
    api.compress("x.fa", "results/x.gfz", access=1024, level="fast")
    return tmp_path / "results" / "x.gfz"


class Official(TestStorageBase):
    """Queries for the tests of the interface."""

    retrieve_only = True
    query = ""

    def get_storage_provider_cls(self) -> type[StorageProvider]:
        return StorageProvider

    def get_storage_provider_settings(self) -> StorageProviderSettings:
        return StorageProviderSettings()

    def get_query(self, tmp_path: Path) -> str:
        write_fasta(tmp_path / "x.fa", 2, 500, seed=3)
        if not (tmp_path / "x.gfz").exists():
            api.compress(tmp_path / "x.fa", tmp_path / "x.gfz", level="fast")
        return f"gfz://{tmp_path}/x.gfz{self.query}"

    def get_query_not_existing(self, tmp_path: Path) -> str:
        return self.get_query(tmp_path).split("#")[0] + "#none:1-5"


class TestRecord(Official):
    __test__ = True
    query = "#sim3_001"


class TestRegion(Official):
    __test__ = True
    query = "#sim3_000:1-200"


class TestText(Official):
    __test__ = True

    def get_query_not_existing(self, tmp_path: Path) -> str:
        return f"gfz://{tmp_path}/none.gfz"


def provider(tmp_path: Path, **settings: Any) -> StorageProvider:
    import logging

    return StorageProvider(
        local_prefix=tmp_path / "local", logger=logging.getLogger(), settings=StorageProviderSettings(**settings)
    )


def test_snakemake_finds_it() -> None:
    assert StoragePluginRegistry().get_plugin("gfz").storage_provider is StorageProvider


@pytest.mark.parametrize("region", ["sim3_001", "sim3_000:100-2500", "sim3_003:2900-9000", "sim3_002:7"])
def test_regions(archive: Path, tmp_path: Path, region: str) -> None:
    item: StorageObject = provider(tmp_path, threads=1).object(f"gfz://results/x.gfz#{region}")
    assert item.exists()
    item.local_path().parent.mkdir(parents=True)
    item.retrieve_object()
    assert item.local_path().read_bytes() == faidx("x.fa", region)
    assert item.size() == item.local_path().stat().st_size
    assert item.mtime() == archive.stat().st_mtime


def test_whole_text(archive: Path, tmp_path: Path) -> None:
    item = provider(tmp_path).object("gfz://results/x.gfz")
    item.local_path().parent.mkdir(parents=True)
    item.retrieve_object()
    assert item.local_path().read_bytes() == Path("x.fa").read_bytes()
    assert item.size() == Path("x.fa").stat().st_size
    assert item.checksum() == "sha256:" + api.info(archive).sha256


def test_what_does_not_exist(archive: Path, tmp_path: Path) -> None:
    for query in (
        "results/none.gfz#sim3_000",
        "results/none.gfz",
        "results/x.gfz#none",
        "results/x.gfz#sim3_000:9999-",
    ):
        assert not provider(tmp_path).object(f"gfz://{query}").exists()
    with pytest.raises(UsageError, match="ends before it starts"):
        provider(tmp_path).object("gfz://results/x.gfz#sim3_000:5-3").exists()


def test_elsewhere(archive: Path, tmp_path: Path) -> None:
    """What fsspec can reach; its memory stands for a server."""
    import fsspec

    with fsspec.open("memory://store/x.gfz", "wb") as file:
        file.write(archive.read_bytes())
    item = provider(tmp_path).object("gfz://memory://store/x.gfz#sim3_000:5-300")
    assert item.exists()
    assert item.mtime() > 0
    item.local_path().parent.mkdir(parents=True)
    item.retrieve_object()
    assert item.local_path().read_bytes() == faidx("x.fa", "sim3_000:5-300")
    assert not provider(tmp_path).object("gfz://memory://store/none.gfz#sim3_000").exists()


def test_an_archive_that_changes_is_opened_again(archive: Path, tmp_path: Path) -> None:
    item = provider(tmp_path).object("gfz://results/x.gfz#new")
    assert not item.exists()
    Path("new.fa").write_text(">new\nACGT\n")
    api.compress("new.fa", archive, force=True)
    os.utime(archive, (1e9, 1e9))
    assert item.exists()


@pytest.mark.parametrize(
    ("query", "valid"),
    [("gfz://x.gfz", True), ("gfz://{sample}.gfz#{record}", True), ("gfz://s3://b/x.gfz#a:1-2", True),
     ("gfz://x.gfz#a/b", True), ("gfz://x.gfz#{r,[^/]+/..}", True), ("x.gfz#a", False), ("gfz://#a", False),
     ("gfz://x.gfz#", False), ("gfz://x.gfz#a/../../b", False)],
)  # fmt: skip
def test_validity(query: str, valid: bool) -> None:
    found = StorageProvider.is_valid_query(query)
    assert bool(found) == valid
    assert valid or found.reason


def test_names_with_marks() -> None:
    assert split_query("gfz://x.gfz#sample#1#chr1") == ("x.gfz", "sample#1#chr1")
    assert split_query("gfz://x.gfz") == ("x.gfz", None)


def test_local_copies_stay_in_their_directory(tmp_path: Path) -> None:
    for archive in ("../x.gfz", "/data/x.gfz", "https://host/x.gfz", "a/../../x.gfz"):
        path = provider(tmp_path).object(f"gfz://{archive}#chr1:1-5").local_path()
        assert path.resolve().is_relative_to(tmp_path / "local")


def test_listing(archive: Path, tmp_path: Path) -> None:
    Path("results/y").mkdir()
    Path("results/y/z.gfz").write_bytes(archive.read_bytes())
    listed = provider(tmp_path).object("gfz://results/{sample}.gfz#{record}").list_candidate_matches()
    assert set(listed) == {f"gfz://results/{name}.gfz#sim3_00{number}" for name in ("x", "y/z") for number in range(4)}
    listed = provider(tmp_path).object("gfz://results/x.gfz#{record}").list_candidate_matches()
    assert list(listed) == [f"gfz://results/x.gfz#sim3_00{number}" for number in range(4)]
    assert len(list(provider(tmp_path).object("gfz://{sample}.gfz").list_candidate_matches())) == 2
    with pytest.raises(WorkflowError, match="listing is not supported"):
        list(provider(tmp_path).object("gfz://https://host/{sample}.gfz#a").list_candidate_matches())


SNAKEFILE = """
storage gfz:
    provider="gfz",
    threads=1,

records = glob_wildcards(storage.gfz("gfz://results/x.gfz#{record}")).record

rule all:
    input:
        expand("out/{record}.txt", record=records),
        "out/region.fa",

rule count:
    input:
        storage.gfz("gfz://results/x.gfz#{record}"),
    output:
        "out/{record}.txt",
    shell:
        "grep -v '>' {input:q} | tr -d '\\\\n' | wc -c > {output:q}"

rule region:
    input:
        storage("gfz://results/x.gfz#sim3_002:101-300"),
    output:
        "out/region.fa",
    shell:
        "cp {input:q} {output:q}"
"""


def test_workflow(archive: Path, tmp_path: Path) -> None:
    """Each record is an input of a rule, found by its wildcard; nothing is done a second time."""
    Path("Snakefile").write_text(SNAKEFILE)
    command = [sys.executable, "-m", "snakemake", "--cores", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lengths = {row[0]: row[1] for row in (line.split("\t") for line in faidx_index().splitlines())}
    assert {path.stem: path.read_text().strip() for path in Path("out").glob("*.txt")} == lengths
    assert Path("out/region.fa").read_bytes() == faidx("x.fa", "sim3_002:101-300")
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Nothing to be done" in again.stderr


def faidx_index() -> str:
    faidx("x.fa", "sim3_000:1-1")
    return Path("x.fa.fai").read_text()


def test_a_limit_of_memory(archive: Path, tmp_path: Path) -> None:
    assert provider(tmp_path, max_memory="1.5G").means()["max_memory"] == 3 << 29
    with pytest.raises(WorkflowError, match="--storage-gfz-max-memory: 'much' is no size"):
        provider(tmp_path, max_memory="much").means()
    with pytest.raises(FormatError, match="max_memory="):
        provider(tmp_path, max_memory="100M").reader("results/x.gfz")
