"""Twenty runs of mixed size on a real Slurm, small ones, while a job is cancelled and the controller starts again."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from workflow.ena_server import Server

from .centre import Centre, archive, disturbing, run_again
from .conftest import ClusterProject

pytestmark = [pytest.mark.slurm, pytest.mark.nightly]


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Centre]:
    """A stand-in of ENA that has the runs."""
    server = Server()
    yield Centre(tmp_path / "ena", server)
    server.http.shutdown()
    server.http.server_close()


def test_twenty_runs(centre: Centre, on_cluster: ClusterProject, tmp_path: Path) -> None:
    """Each is archived once, or its failure reported once; nothing is requested twice; then nothing is left to do."""
    centre.make(large=3, small=0.2)
    on_cluster.settings |= {"level": "fast", "part_bases": 300_000, "planning": {"job_bases": 600_000}}
    on_cluster.settings["sra"] = {"ena_url": centre.server.reports, "max_downloads": 4}
    archive(centre, on_cluster, tmp_path / "use.tsv", disturbing(on_cluster))
    run_again(centre, on_cluster)
