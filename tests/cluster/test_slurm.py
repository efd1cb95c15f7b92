"""``--profile slurm`` on a real Slurm: what jobs ask for, and that nothing is lost when something goes wrong there."""

import hashlib
import subprocess
from collections.abc import Iterator

import pytest
from workflow.conftest import MODULE, related

from .conftest import Cluster, ClusterProject, until

pytestmark = pytest.mark.slurm

TEXT = related(count=2, length=1400, seed=50)
PARTS = {"part_bases": 1400, "planning": {"job_bases": 1400}}  # makes two parts of it, and a job for each
SMALL = related(count=1, length=900, seed=52)

# One sample is made here, so that its size is unknown. And a rule for a cluster without select/cons_tres, where sbatch
# knows no --gpus.
SNAKEFILE = (
    """
rule assemble:
    output: "data/one.fa"
    localrule: True
    shell: "cp assembled.fa {output}"
"""
    + MODULE
    + """
from geneformer_rules import sheets
from geneformer_rules.slurm_resources import slurm_resources

GRES = sheets.check_config({**config, "slurm": {"account": "lab", "gpu_request": "gres"}})

rule ask:
    output: "asked.txt"
    resources: **slurm_resources(GRES, lambda wildcards: True), mem_mb=100, runtime=1
    shell: "echo $SLURM_JOB_ID > {output}"
"""
)


def is_archived(project: ClusterProject, sample: str = "one", text: bytes = TEXT) -> bool:
    """Whether the sample's archive was published, which happens once every byte has come back."""
    digest = hashlib.sha256(text).hexdigest()
    return project.result("archives", f"{sample}.gfz").is_file() and project.report(sample)["sha256"] == digest


Running = tuple[ClusterProject, "subprocess.Popen[str]"]


@pytest.fixture(scope="module", autouse=True)
def archiving(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Samples that are being archived while other tests run, one of them with a model that is trained for it, on GPUs.

    Compressing takes more memory than was planned.
    """
    project = ClusterProject.on(cluster, tmp_path_factory.mktemp("archived"))
    project.job_seconds = 12
    project.settings |= {"device": "cuda", **PARTS, "training": {"preset": "stream-tiny", "minutes": 0.05}}
    project.settings["slurm"] |= {"partition": "cpu", "gpu_partition": "gpu", "gpu_model": "pretended"}
    (project.directory / "panel.fa").write_bytes(related(count=12, length=700, seed=51))
    project.add_species("small", panel="panel.fa")
    project.add_sample("one", TEXT, "small").rename(project.directory / "assembled.fa")
    project.add_sample("two", SMALL, "none")
    project.need_memory(3000)
    yield project, project.start("compress_all", "asked.txt", snakefile=SNAKEFILE)
    project.stop()


@pytest.fixture(scope="module")
def archived(archiving: Running) -> ClusterProject:
    """The same, when they are archived."""
    project, process = archiving
    project.finish(process)
    return project


def test_a_run_goes_on_after_a_job_was_cancelled(on_cluster: ClusterProject) -> None:
    on_cluster.settings |= {"retries": 0, **PARTS}
    on_cluster.add_sample("one", TEXT, "none")
    on_cluster.hold("compress*00000001.part*")
    process = on_cluster.start("compress_all")
    (job,) = on_cluster.wait_for_call("00000001.part")
    until(on_cluster.result("blocks", "one", "00000000-00000000.gfz").exists)
    on_cluster.cluster.ask(f"scancel {job}")
    assert "CANCELLED" in on_cluster.finish(process, status=1)
    on_cluster.hold("")
    on_cluster.run("compress_all")
    assert is_archived(on_cluster)
    assert [len(on_cluster.calls(done)) for done in ("split", "00000000.part", "00000001.part")] == [1, 1, 2]
    assert on_cluster.accounted("split") == on_cluster.accounted("split_local") == []  # too short for a job


def test_archives_are_made_by_jobs(archived: ClusterProject) -> None:
    assert is_archived(archived)
    assert is_archived(archived, "two", SMALL)
    for rule, call in (
        ("split_wildcards_one", "split data/one"),
        ("train", " train "),
        ("gather_wildcards_one", "gather data/one.fa"),
    ):
        assert archived.accounted(rule, "JobID", "State") == [[*archived.calls(call), "COMPLETED"]]


def test_jobs_have_an_account_and_the_partition_of_their_kind(archived: ClusterProject) -> None:
    assert archived.accounted("split_wildcards_one", "Account", "Partition") == [["lab", "cpu"]]
    assert archived.accounted("train", "Account", "Partition") == [["lab", "gpu"]]
    assert archived.accounted("gather_wildcards_one", "Account", "Partition") == [["lab", "cpu"]]
    compressed = archived.accounted("compress_wildcards_one_00000000-00000000", "Account", "Partition")
    assert compressed == [["lab", "gpu"]] * 2


def test_a_job_with_a_model_has_a_gpu(archived: ClusterProject) -> None:
    job = archived.calls("one/00000000.part ")[-1]
    described = archived.cluster.ask(f"scontrol show job {job}")
    assert "TresPerJob=gres:gpu:pretended:1" in described
    assert "gres/gpu=1" in described
    (job,) = archived.calls("split data/one.fa")
    assert "gpu" not in archived.cluster.ask(f"scontrol show job {job}")


def test_a_gpu_is_a_generic_resource_where_the_cluster_wants_that(archived: ClusterProject) -> None:
    job = (archived.directory / "asked.txt").read_text().strip()
    assert "TresPerNode=gres:gpu:1" in archived.cluster.ask(f"scontrol show job {job}")


def test_a_job_that_exceeded_its_memory_gets_more(archived: ClusterProject) -> None:
    """And does not try again and again with what it has."""
    asked = archived.accounted("compress_wildcards_one_00000000-00000000", "State", "ReqMem", "Timelimit")
    assert asked == [["FAILED", "2001M", "00:22:00"], ["COMPLETED", "4001M", "00:44:00"]]
    assert len(archived.calls("one/00000000.part ")) == 2


@pytest.mark.usefixtures("archived")
def test_a_run_outlives_a_controller_and_a_node(on_cluster: ClusterProject) -> None:
    """Its job is started again by Slurm once the node is back; no try of it is lost."""
    cluster = on_cluster.cluster
    on_cluster.settings |= {"retries": 0, **PARTS}
    on_cluster.add_sample("one", TEXT, "none")
    on_cluster.hold("compress*00000000.part*")
    process = on_cluster.start("compress_all", "--verbose")
    (job,) = on_cluster.wait_for_call("00000000.part")
    until(lambda: cluster.ask("squeue -h -o %i").split() == [job])
    cluster.end("slurmctld")
    until(lambda: "MinJobAge=None" in on_cluster.printed())  # it has asked, and had no answer
    cluster.script("start-controller")
    assert cluster.ask(f"squeue -h -o %T -j {job}").strip() == "RUNNING"
    cluster.ask(f"scontrol update nodename={cluster.node} state=down reason=test")
    until(lambda: cluster.ask(f"squeue -h -o %T -j {job}").strip() == "PENDING")
    until(lambda: not cluster.steps(job))  # as a node that has started again has none
    cluster.end("slurmd")
    cluster.script("start-node")
    on_cluster.hold("")
    cluster.ask(f"scontrol update jobid={job} starttime=now")  # or Slurm would wait for two minutes
    on_cluster.finish(process)
    assert is_archived(on_cluster)
    assert on_cluster.calls("00000000.part") == [job, job]
    assert len(on_cluster.calls("00000001.part")) == 1
    states = on_cluster.accounted("compress_wildcards_one_00000000-00000000", "JobID", "State")
    assert states == [[job, "NODE_FAIL"], [job, "COMPLETED"]]
