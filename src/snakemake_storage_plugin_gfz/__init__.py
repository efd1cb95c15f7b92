"""Records and regions of ``.gfz`` archives as inputs of any Snakemake rule.

``storage.gfz("gfz://results/x.gfz#chr1:1-20000")`` is a FASTA file of that region, for which only the slices that it
lies in are decoded; without ``#`` it is the whole text. Archives are paths or URLs (``gfz://https://host/x.gfz#chr1``),
and are only read.

Each start of snakemake imports this: everything heavy is imported when it is used.
"""

import re
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_storage_plugins.common import Operation
from snakemake_interface_storage_plugins.io import IOCacheStorageInterface, Mtime, get_constant_prefix
from snakemake_interface_storage_plugins.settings import StorageProviderSettingsBase
from snakemake_interface_storage_plugins.storage_object import StorageObjectGlob, StorageObjectRead
from snakemake_interface_storage_plugins.storage_provider import (
    ExampleQuery,
    QueryType,
    StorageProviderBase,
    StorageQueryValidationResult,
)

if TYPE_CHECKING:
    from geneformer_codec import Execution, Reader, Region

    class Means(TypedDict):
        """What archives are decoded with."""

        model: str | None
        execution: Execution
        max_memory: int | None


SCHEME = "gfz://"
_OPEN_AT_ONCE = 4
_WILDCARD = re.compile(r"\{[^{}]*(\{[^{}]*\}[^{}]*)*\}")


@dataclass
class StorageProviderSettings(StorageProviderSettingsBase):
    """What may be set by ``storage gfz:`` or ``--storage-gfz-...``."""

    model: str | None = field(
        default=None,
        metadata={
            "help": "Model file to decode with, for archives that do not embed it. Without it, 'models' beside "
            "the archive and the directories of GFZ_MODEL_PATH are searched.",
            "env_var": False,
        },
    )
    threads: int | None = field(
        default=None,
        metadata={"help": "Threads to decode with (default: all).", "env_var": False, "type": int},
    )
    max_memory: str | None = field(
        default=None,
        metadata={
            "help": "How much memory reading an archive may take, such as 4G (default: in proportion to its size).",
            "env_var": False,
        },
    )


class StorageProvider(StorageProviderBase):
    """Opens archives, and keeps the last few open, as a model takes time to load."""

    def __post_init__(self) -> None:
        self._readers: OrderedDict[tuple[str, float], Reader] = OrderedDict()

    @classmethod
    def example_queries(cls) -> list[ExampleQuery]:
        """What queries look like."""
        return [
            ExampleQuery("gfz://results/x.gfz#chr1", "a record, as FASTA", QueryType.INPUT),
            ExampleQuery("gfz://results/x.gfz#chr1:1-20000", "a region, as samtools writes it", QueryType.INPUT),
            ExampleQuery("gfz://results/{sample}.gfz#{record}", "with wildcards", QueryType.INPUT),
            ExampleQuery("gfz://results/x.gfz", "the whole text", QueryType.INPUT),
            ExampleQuery("gfz://https://host/x.gfz#chr1", "from a server, by ranges of bytes", QueryType.INPUT),
        ]

    def rate_limiter_key(self, query: str, operation: Operation) -> Any:
        """The server, or nothing for files."""
        scheme, _, rest = split_query(query)[0].rpartition("://")
        return f"{scheme}://{rest.split('/')[0]}" if scheme else ""

    def default_max_requests_per_second(self) -> float:
        """For servers."""
        return 10.0

    def use_rate_limiter(self) -> bool:
        """Archives are read by few requests."""
        return False

    @classmethod
    def is_valid_query(cls, query: str) -> StorageQueryValidationResult:
        """Whether it is ``gfz://ARCHIVE`` or ``gfz://ARCHIVE#REGION``, wildcards or not."""
        reason = None
        if not query.startswith(SCHEME):
            reason = f"it does not start with {SCHEME}"
        else:
            archive, region = split_query(query)
            if not archive:
                reason = f"it names no archive; write {SCHEME}ARCHIVE#REGION"
            elif region == "":
                reason = "there is no region after '#'; name one, or leave out '#' for the whole text"
            elif ".." in _WILDCARD.sub("", region or "").split("/"):
                reason = "its region would lead out of the directory of the local copies"
        return StorageQueryValidationResult(query, reason is None, reason)

    def means(self) -> "Means":
        """How archives are decoded, by the settings."""
        from geneformer_codec import Execution
        from geneformer_codec.limits import memory_size

        given = self.settings if isinstance(self.settings, StorageProviderSettings) else StorageProviderSettings()
        try:
            limit = memory_size(given.max_memory) if given.max_memory else None
        except ValueError as error:
            raise WorkflowError(f"--storage-gfz-max-memory: {error}") from error
        return {"model": given.model, "execution": Execution(given.threads or 0), "max_memory": limit}

    def reader(self, archive: str) -> "Reader":
        """The archive, opened for reading records; again if it has changed."""
        import geneformer_codec as gfz

        key = archive, mtime_of(archive)
        if key not in self._readers:
            self._readers[key] = gfz.open(archive, **self.means())
        self._readers.move_to_end(key)
        while len(self._readers) > _OPEN_AT_ONCE:
            self._readers.popitem(last=False)[1].close()
        return self._readers[key]


class StorageObject(StorageObjectRead, StorageObjectGlob):
    """A region of an archive, or all of its text."""

    def __post_init__(self) -> None:
        self.archive, self.region = split_query(self.query)

    def local_suffix(self) -> str:
        """Where the copy is, below the directory of the local copies."""
        archive = self.archive.replace("://", "/").replace("../", "_/").lstrip("/")
        return f"{archive}.fa" if self.region is None else f"{archive}/{self.region}.fa"

    async def inventory(self, cache: IOCacheStorageInterface) -> None:
        """What is known of the object, without asking again."""
        key = self.cache_key()
        if key in cache.exists_in_storage:
            return
        cache.exists_in_storage[key] = self.exists()
        if cache.exists_in_storage[key]:
            cache.mtime[key] = Mtime(storage=self.mtime())
            cache.size[key] = self.size()

    def get_inventory_parent(self) -> str | None:
        """None: objects are looked up one by one."""
        return None

    def cleanup(self) -> None:
        """Nothing is left behind."""

    def exists(self) -> bool:
        """Whether the archive is there, and has the region."""
        from geneformer_codec import InputError

        try:
            if self.region is None:
                self._reader()
                return True
            region = self._region()
            record = self._reader().get(region.name)
            return record is not None and (region.start < len(record) or region.start == 0)
        except InputError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return False
            raise

    def mtime(self) -> float:
        """When the archive was changed; 0 if the server does not send it."""
        return mtime_of(self.archive)

    def size(self) -> int:
        """Bytes of the FASTA file."""
        from geneformer_codec.cli.extract import size_of

        if self.region is None:
            return self._reader().archive.manifest.sample.bytes
        return size_of(self._reader(), self._region())

    def checksum(self) -> str | None:
        """That of a whole text, which the archive has."""
        return f"sha256:{self._reader().archive.manifest.sample.sha256}" if self.region is None else None

    def retrieve_object(self) -> None:
        """Decode the region into the local copy."""
        import geneformer_codec as gfz
        from geneformer_codec.cli.extract import write_regions
        from geneformer_codec.files import atomic_output

        path = self.local_path()
        if self.region is None:
            gfz.decompress(self.archive, path, force=True, **self._opened_by().means())
            return
        with atomic_output(path, force=True) as out:
            write_regions(self._reader(), [self._region()], out)

    def list_candidate_matches(self) -> Iterable[str]:
        """Queries for all records, of all archives, that a query with wildcards may mean."""
        for archive in self._archives():
            if self.region is None:
                yield f"{SCHEME}{archive}"
            else:
                yield from (f"{SCHEME}{archive}#{name}" for name in self._opened_by().reader(archive))

    def _archives(self) -> list[str]:
        prefix = get_constant_prefix(self.archive)
        if prefix == self.archive:
            return [self.archive]
        if "://" in prefix:
            raise WorkflowError(f"{self.query}: listing is not supported on servers; name the archive")
        return sorted(str(path) for path in Path(prefix.rpartition("/")[0] or ".").rglob("*.gfz"))

    def _opened_by(self) -> StorageProvider:
        assert isinstance(self.provider, StorageProvider)
        return self.provider

    def _reader(self) -> "Reader":
        return self._opened_by().reader(self.archive)

    def _region(self) -> "Region":
        return self._reader().region(self.region or "")


def split_query(query: str) -> tuple[str, str | None]:
    """Archive and region; None for no region.

    >>> split_query("gfz://results/x.gfz#sample#1#chr1:1-5")
    ('results/x.gfz', 'sample#1#chr1:1-5')
    """
    archive, mark, region = query.removeprefix(SCHEME).partition("#")
    return archive, region if mark else None


def mtime_of(archive: str) -> float:
    """When an archive was changed, if known."""
    from geneformer_codec import InputError

    if "://" not in archive:
        try:
            return Path(archive).stat().st_mtime
        except FileNotFoundError as error:
            raise InputError(f"{archive}: there is no such file; check the path") from error
    from fsspec import url_to_fs

    system, path = url_to_fs(archive)  # type: ignore[no-untyped-call]
    try:
        modified: float = system.modified(path).timestamp()
    # what file systems of fsspec raise that keep no times, NotImplementedError among them
    except (NotImplementedError, FileNotFoundError, AttributeError, KeyError, TypeError):
        return 0.0
    return modified
