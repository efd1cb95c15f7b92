"""The plan of a run without Snakemake: which jobs there are, and what each is given."""

import gzip
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake_interface_common.exceptions import WorkflowError

from geneformer_rules import provenance
from geneformer_rules.patterns import NAME, any_of, none_of
from geneformer_rules.planner import Planner
from geneformer_rules.ready_jobs import ReadyJobs
from geneformer_rules.records import RECORD, describe
from geneformer_rules.scheduling import State
from geneformer_rules.snakemake_call import Call, Forced

MB = 10**6


class Workflow:
    """What of Snakemake's workflow a plan asks for."""

    is_main_process = True
    modifier = SimpleNamespace(
        path_modifier=SimpleNamespace(replace_prefix=lambda path: path), modify_rulename=lambda name: name
    )
    pathvars = SimpleNamespace(apply=lambda path: path.strip("<>"))
    rules: tuple[()] = ()
    global_resources: Mapping[str, Any] = {}

    def __init__(self, *, nodes: int | None = None) -> None:
        self.resource_settings = SimpleNamespace(nodes=nodes)
        self.dag = SimpleNamespace(forcefiles=set())
        self.registered: dict[str, int] = {}

    def register_resource(self, name: str, most: int) -> None:
        self.registered[name] = most


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENEFORMER_ON_CLUSTER", "")
    return tmp_path


def plan(rows: Iterable[str], workflow: Workflow | None = None, species: str = "", **settings: Any) -> Planner:
    """The plan of samples ``NAME:BYTES:SPECIES``, or ``NAME:ACCESSION:SPECIES``."""
    lines = ["sample\tpath\tspecies"]
    for name, source, label in (row.split(":") for row in rows):
        if source.isdigit():
            with Path(f"{name}.fa").open("wb") as file:
                file.truncate(int(source))
        lines.append(f"{name}\t{f'{name}.fa' if source.isdigit() else source}\t{label}")
    Path("samples.tsv").write_text("\n".join(lines) + "\n")
    Path("species.tsv").write_text(f"species\tpanel\tmodel\n{species}")
    config = {"samples": "samples.tsv", "species": "species.tsv", "part_bases": 10 * MB, **settings}
    return Planner.of(workflow or Workflow(), config, None)


def job(**wildcards: str) -> SimpleNamespace:
    return SimpleNamespace(**wildcards)


def place(planner: Planner, sample: str) -> str:
    """Where the archive of a sample is made."""
    return planner.inputs.publication(job(sample=sample))[0].removeprefix("results/")


def test_small_samples_have_batches_and_large_ones_are_split() -> None:
    planner = plan(["a:1000:none", "large:20000000:none", "b:1000:none"])
    assert planner.batches.batch_of == {"a": "a+1-1-1", "b": "a+1-1-1"}
    made = {name: place(planner, name) for name in ("a", "large", "b")}
    assert made == {"a": "unpublished/a+1-1-1", "large": "unpublished/large", "b": "unpublished/a+1-1-1"}
    assert planner.options.samples(job(batch="a+1-1-1")) == "--sample a a.fa --sample b b.fa"
    assert planner.options.fetched(job(batch="a+1-1-1")) == ""


def test_a_run_is_archived_by_its_size_once_it_is_fetched() -> None:
    """Until then, Snakemake has to wait for a checkpoint."""
    planner = plan(["small:SRR000001:none", "large:SRR000002:none", "gone:SRR000003:none", "later:SRR000004:none"])
    waits: list[str] = []
    planner = replace(
        planner, checkpoints=SimpleNamespace(fetch=SimpleNamespace(get=lambda sample: waits.append(sample)))
    )
    Path("results/fetched").mkdir(parents=True)
    for name, facts in {"small": {"text_bytes": 1000}, "large": {"text_bytes": 10**9}, "gone": {"error": "?"}}.items():
        record = describe(planner.samples[name])
        Path(f"results/fetched/{name}.json").write_text(json.dumps({RECORD: record, "files": [], **facts}))
    made = {name: place(planner, name) for name in planner.samples}
    assert waits == ["gone", "later"], "what has failed is tried again"
    assert made["small"] == "unpublished/small+1"
    assert made["large"] == "unpublished/large"
    assert made["gone"] == "fetched/gone.json"
    assert planner.options.samples(job(batch="small+1")) == "--sample small SRR000001"
    assert planner.options.fetched(job(batch="small+1")) == planner.options.fetched(job(sample="large"))
    assert planner.options.source(job(sample="large")) == "SRR000002"


def test_jobs_that_fetch_have_a_partition_and_a_time_limit() -> None:
    settings = {"sra": {"hours": 3, "max_downloads": 5}}
    settings["slurm"] = {"partition": "long", "download_partition": "transfer"}
    planner = plan(["a:1000:none", "run:SRR000001:none"], **settings)
    fetching, archiving = planner.needs.fetching, planner.needs.archiving
    assert fetching["runtime"](job(sample="run"), attempt=2) == 2 * 3 * 60
    assert fetching["slurm_partition"](job(sample="run")) == "transfer"
    assert archiving.resources["slurm_partition"](job(batch="a+1")) == "long"
    assert (fetching["sra_downloads"], planner.call.workflow.registered) == (1, {"sra_downloads": 5})
    assert planner.needs.fetch_threads == 1


@pytest.mark.parametrize(("nodes", "local"), [(None, False), (9, True)])
def test_short_jobs_do_not_go_to_a_cluster(nodes: int | None, local: bool) -> None:
    Path("panel.fa").write_bytes(b">r\nACGT\n")
    planner = plan(["large:20000000:fish"], Workflow(nodes=nodes), "fish\tpanel.fa\t\n", planning={"job_bases": MB})
    assert (planner.split_locally == any_of(["large"]), planner.trained_locally == any_of(["fish"])) == (local, local)


def test_jobs_that_decode_know_the_parts_of_what_was_split() -> None:
    planner = plan(["large:25000000:none"])
    Path("results/plans").mkdir(parents=True)
    before = planner.needs.decoding.memory_mb(job(sample="large"), 1, 1)
    Path("results/plans/large.json").write_text('{"parts": [{"text_bytes": 1000}, {"text_bytes": 2000}]}')
    assert planner.needs.decoding.memory_mb(job(sample="large"), 1, 1) < before
    assert planner.needs.decoding.threads(job(sample="large")) == 2
    assert planner.needs.compressing.threads(job(sample="large", parts="00000001-00000001")) == 1


def test_samples_that_are_not_in_the_sheet_are_named() -> None:
    planner = plan(["a:1000:none"])
    with pytest.raises(WorkflowError, match=r"samples\.tsv: unknown sample 'b'; add a row for it"):
        planner.inputs.publication(job(sample="b"))


def test_what_is_published_and_current_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("archives/a.gfz", "reports/a.json"):
        Path("results", place).parent.mkdir(parents=True)
        Path("results", place).touch()
    monkeypatch.setattr(provenance, "up_to_date", lambda samples, *_: {sample.name for sample in samples})
    planner = plan(["a:1000:none", "b:1000:none"])
    assert planner.sheets.done == {"a"}
    assert planner.batches.batch_of == {"b": "b+1"}
    monkeypatch.setattr(Call, "forced", Forced(files=frozenset({"results/archives/a.gfz"})))
    assert plan(["a:1000:none"]).sheets.done == set()


def test_what_an_earlier_run_has_left_of_other_files_is_made_again() -> None:
    planner = plan(["a:1000:none"])
    Path("results/unpublished/a+1").mkdir(parents=True)
    for _ in range(2):
        assert planner.inputs.archive_sources(job(batch="a+1")) == ["a.fa"]
    assert planner.call.workflow.dag.forcefiles == {"results/unpublished/a+1"}


@pytest.mark.parametrize(
    ("settings", "resource"), [({}, {"gpu": 1}), ({"slurm": {"gpu_request": "gres"}}, {"gres": "gpu:1"})]
)
def test_a_gpu_is_requested_where_a_network_runs(settings: dict[str, Any], resource: dict[str, Any]) -> None:
    Path("panel.fa").touch()
    species = "fish\tpanel.fa\t\nnet\t\tlater.gfmodel\n"
    rows = ["a:1000:fish", "b:1000:net", "c:1000:none"]
    planner = plan(rows, species=species, device="cuda", check_inputs=False, **settings)
    ((name, value),) = resource.items()
    asked = [planner.needs.decoding.resources[name](job(sample=sample)) for sample in "abc"]
    assert [bool(gpu) for gpu in asked] == [False, True, False]
    assert asked[1] == value
    assert plan(rows, species=species, check_inputs=False).needs.decoding.device(job(sample="b")) == "auto"


@pytest.mark.parametrize(
    ("device", "access", "there", "nodes", "is_gpu"),
    [
        ("cpu", "fine", True, None, False),
        ("cuda", "fine", False, None, True),
        ("cuda", "fine", False, 9, True),
        ("cuda", "coarse", True, None, False),
        ("auto", "fine", True, None, True),
        ("auto", "fine", False, None, False),
        ("auto", "fine", True, 9, False),  # a cluster shows a job no GPU that it has not requested
    ],
)
def test_a_gpu_codes_experts_of_samples_with_thousands_of_slices(
    device: str, access: str, there: bool, nodes: int | None, is_gpu: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs are as large as a GPU needs, and have memory for many parts at a time; other samples have CPU jobs."""
    monkeypatch.setattr("geneformer_rules.planner.gpu_is_there", lambda: there)
    Path("panel.fa").touch()
    rows = [f"small:{200 * MB}:fish", f"large:{3200 * MB}:none"]
    workflow = Workflow(nodes=nodes)
    planner = plan(rows, workflow, "fish\tpanel.fa\t\n", device=device, access=access, check_inputs=False)
    on_cpu = plan(rows, workflow, "fish\tpanel.fa\t\n", device="cpu", access=access, check_inputs=False)
    write_plan("small", 20)
    write_plan("large", 320)
    compressing = planner.needs.compressing
    sizes = planner.parts("large")
    assert sizes is not None
    count, cpu_count = planner.job_count("large", sizes), on_cpu.job_count("large", sizes)
    assert count == (2 if is_gpu else cpu_count)
    assert cpu_count >= 3
    large = job(sample="large", parts=sizes.jobs(count)[0])
    assert compressing.device(large) == (device if is_gpu else "cpu")
    assert compressing.resources["gpu"](large) == int(is_gpu and device == "cuda")
    small = planner.parts("small")
    assert small is not None
    assert planner.job_count("small", small) == on_cpu.job_count("small", small)
    for name in ("small", "large"):
        part = job(sample=name, parts="00000000-00000000")
        assert compressing.device(part) == "cpu", "too little to do"
    memory = compressing.memory_mb(large, 1, 2) - on_cpu.needs.compressing.memory_mb(large, 1, 2)
    assert memory == (8 * 128 * 10 if is_gpu else 0), "of the parts that wait"


def write_plan(name: str, parts: int, **facts: Any) -> None:
    """A plan of a sample that was split, of parts of ten megabytes."""
    path = Path(f"results/plans/{name}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"parts": [{"text_bytes": 10 * MB}] * parts, **facts}))


def test_a_gpu_codes_reads_that_are_not_mapped() -> None:
    """Half of their text are bases; those that are mapped to a panel have none for it."""
    Path("panel.fa").touch()
    names = ("genome", "reads", "mapped", "modelled")
    planner = plan(
        [f"{name}:{1000 * MB}:{'fish' if name == 'modelled' else 'none'}" for name in names],
        species="fish\tpanel.fa\t\n",
        device="cuda",
        access="fine",
        planning={"job_bases": 1000 * MB},
        check_inputs=False,
    )
    write_plan("genome", 320)
    write_plan("reads", 320, is_reads=True, panel=None)
    write_plan("mapped", 320, is_reads=True, panel="ab" * 32)
    write_plan("modelled", 320, is_reads=True, panel=None)
    counts, devices = [], []
    for name in names:
        sizes = planner.parts(name)
        assert sizes is not None
        counts.append(planner.job_count(name, sizes))
        devices.append(planner.needs.compressing.device(job(sample=name, parts=sizes.jobs(counts[-1])[0])))
    assert counts == [3, 1, 3, 3]
    assert devices == ["cuda", "cuda", "cpu", "cpu"]


def test_a_gpu_decodes_archives_that_have_slices() -> None:
    """Whatever the configuration says now."""
    planner = plan([f"{name}:{3 * MB}:none" for name in "abcd"], device="cuda", access="fine", check_inputs=False)
    Path("results/reports").mkdir(parents=True)
    facts = {"input_bytes": 600 * MB, "parts": 40, "bases": 590 * MB, "slice_length": 65536, "streams": {"payload": 5}}
    changed: dict[str, dict[str, Any]] = {
        "a": {},
        "b": {"slice_length": 0},
        "c": {"streams": {"payload": 5, "alignments": 5}},
        "d": {"bases": 260 * MB},
    }
    for name, others in changed.items():
        Path(f"results/reports/{name}.json").write_text(json.dumps(facts | others))
        planner.sheets.done.add(name)
    devices = [planner.needs.decoding.device(job(sample=name)) for name in "abcd"]
    assert devices == ["cuda", "cpu", "cpu", "cpu"]


def test_paths_are_quoted_and_only_plain_ones_are_inputs() -> None:
    planner = plan(["a:{sample} a.fa:fish"], species="fish\t{species} x.fa;y.fa\t\n", check_inputs=False)
    assert planner.inputs.split_sources(job(sample="a")) == []
    assert planner.options.files(job(sample="a")) == "'{sample} a.fa'"
    assert planner.inputs.panel(job(species="fish")) == ["y.fa"]
    assert planner.options.panel(job(species="fish")) == "'{species} x.fa' y.fa"


def test_only_jobs_with_the_toolkit_have_an_environment() -> None:
    for source, environment in (("ena", None), ("sra-toolkit", "../envs/sra.yaml")):
        assert plan(["run:SRR000001:none"], sra={"source": source}).options.environment == environment


def test_the_size_of_compressed_samples_is_estimated() -> None:
    Path("c.fa").write_bytes(gzip.compress(b"A" * 1000))
    planner = plan(["a:1000:none", "c:c.fa:none"])
    (plain, packed) = planner.needs.archive_parts(job(batch="a+2"))
    assert plain is not None
    assert packed is not None
    assert (plain.total, packed.total) == (1000, 5 * Path("c.fa").stat().st_size)


def test_mistakes_in_the_sheets_are_reported() -> None:
    with pytest.raises(WorkflowError, match=r"Please correct:\nsamples\.tsv, row 2, column 'species': 'fish' is not"):
        plan(["a:1000:fish"])


def test_patterns() -> None:
    done = any_of(["a", "b.c"])
    assert [bool(re.fullmatch(done, name)) for name in ("a", "b.c", "bxc", "")] == [True, True, False, False]
    to_do = f"{none_of(done, '.gfz', '.json')}.gfz"
    assert [name for name in ("a", "b.c", "a2", "c") if re.fullmatch(to_do, f"{name}.gfz")] == ["a2", "c"]


def test_rules_for_all_samples_have_short_patterns() -> None:
    """Snakemake reads the pattern of a rule again for each file of each job."""
    runs = plan(f"s{number}:SRR{number:06}:none" for number in range(100))
    assert runs.runs == runs.one_text == runs.two_texts == NAME
    mixed = plan(["a:1000:none", "b:SRR000001:none"])
    assert [bool(re.fullmatch(mixed.runs, name)) for name in "ab"] == [False, True]


@dataclass(frozen=True, eq=False)
class Fetch:
    """A job that fetches a run, as Snakemake has it."""

    wildcards_dict: Mapping[str, str]
    rule: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(name="fetch"))

    def is_group(self) -> bool:
        return False


def test_large_runs_are_fetched_first() -> None:
    """Of those whose size the sheet gives; the others in its order."""
    planner = plan([f"{name}:SRR00000{number}:none" for number, name in enumerate("abcd")], sra={"max_downloads": 3})
    sizes = {"b": 10, "d": 20}
    samples = {name: replace(one, bytes=sizes.get(name, 0)) for name, one in planner.samples.items()}
    planner = replace(planner, sheets=replace(planner.sheets, samples=samples))
    jobs = [Fetch({"sample": name}) for name in samples]
    state = State(jobs, [], [], lambda: jobs, lambda job: False)
    assert [job.wildcards_dict["sample"] for job in ReadyJobs(planner).choose(state)] == ["d", "b", "a"]
