"""The rules as a checkout, as a module of another pipeline and from an installed wheel; profiles; code style."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import geneformer_rules

from .conftest import ROOT, environment

PIPELINE = Path(__file__).with_name("pipeline")
SLURM = pytest.mark.skipif(
    find_spec("snakemake_executor_plugin_slurm") is None,
    reason="the slurm extra is not installed, which has the executor",
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment into which the wheel was installed, far from the checkout."""
    directory = tmp_path_factory.mktemp("installed")
    ignore = shutil.ignore_patterns(".*", "results", "resources", "logs", "benchmarks", "tests")
    shutil.copytree(ROOT, directory / "sources", symlinks=True, ignore=ignore)
    pip = [sys.executable, "-m", "pip"]
    build = [*pip, "wheel", "-q", "--no-deps", "-w", str(directory), str(directory / "sources")]
    subprocess.run(build, check=True, timeout=1800)
    (wheel,) = directory.glob("*.whl")
    venv.create(directory / "venv", with_pip=False)
    python = directory / "venv" / "bin" / "python"
    install = [*pip, "--python", str(python), "install", "-q", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, timeout=1800)
    # What it needs is borrowed from the environment of the tests, but not the packages of the checkout.
    site = next((directory / "venv" / "lib").glob("python*/site-packages"))
    own = Path(pytest.__file__).resolve().parents[1]
    (site / "borrowed.pth").write_text(f"import sys; sys.path.append({str(own)!r})\n")
    return python


def run(
    python: str | Path, *arguments: str, directory: Path = ROOT, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Call snakemake in a directory; an installed one knows nothing of the checkout."""
    bare = environment() if python == sys.executable else {**os.environ, "PATH": os.defpath, "PYTHONPATH": ""}
    return subprocess.run(
        [str(python), "-m", "snakemake", *arguments],
        cwd=directory,
        env={**bare, **variables},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=1800,
    )


def snakemake(*arguments: str, directory: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, *arguments, directory=directory)


@pytest.mark.slow
@pytest.mark.parametrize("source", ["checkout", "wheel"])
def test_a_pipeline_includes_the_rules(source: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Its genomes are archived, and its archives are used; rules, keys and folders of the same names stay apart.

    They are archived in one job where it is known how large they will be.
    """
    python = sys.executable if source == "checkout" else request.getfixturevalue("installed")
    pipeline = shutil.copytree(PIPELINE, tmp_path / "pipeline")
    if source == "wheel":
        with (pipeline / "config" / "config.yaml").open("a") as config:
            config.write("  planning: {sample_bases: 400}\n")
    # an installation compiles the experts anew, and better once than twice at a time
    done = run(python, "--cores", "2" if source == "checkout" else "1", directory=pipeline)
    logs = "".join(path.read_text() for path in (pipeline / "logs").rglob("*.log"))
    assert done.returncode == 0, done.stdout + logs
    jobs = {"checkout": ("checkpoint archive_split:", 2), "wheel": ("rule archive_archive:", 1)}
    rule, count = jobs[source]
    assert done.stdout.count(rule) == count
    results = pipeline / "results"
    for sample in ("alpha", "beta"):
        assert (results / sample / "identical").is_file()
        assert (results / sample / "variants.tsv.gz").is_file()
        assert (results / "archive" / "archives" / f"{sample}.gfz").is_file()
    assert {path.name for path in results.iterdir()} == {"alpha", "beta", "archive", "summary.tsv"}
    assert {path.name for path in pipeline.iterdir() if not path.name.startswith(".")} == {
        *(path.name for path in PIPELINE.iterdir()),
        *("results", "logs", "benchmarks"),
    }
    assert "Nothing to be done" in run(python, "--cores", "1", directory=pipeline).stdout


@pytest.mark.slow
def test_a_module_may_have_a_prefix(tmp_path: Path) -> None:
    """Which goes before all paths of ours, and not before the samples that are made for it."""
    pipeline = shutil.copytree(PIPELINE, tmp_path / "pipeline")
    snakefile = pipeline / "Snakefile"
    head, _, rest = snakefile.read_text().partition("    pathvars:\n")
    module, _, tail = rest.partition("    snakefile:\n")
    assert '"results/archive"' in module
    tail = tail.replace("results/archive/", "ours/results/")
    snakefile.write_text(f'{head}    prefix: "ours"\n    snakefile:\n{tail}')
    for targets in ([], ["archive_decompress_all"], ["archive_verify_all"]):
        done = snakemake("--cores", "2", *targets, directory=pipeline)
        assert done.returncode == 0, done.stdout
    for sample in ("alpha", "beta"):
        consensus = (pipeline / "results" / sample / "consensus.fa").read_bytes()
        assert (pipeline / "ours" / "results" / "decompressed" / f"{sample}.fa").read_bytes() == consensus
    assert {path.name for path in (pipeline / "results").iterdir()} == {"alpha", "beta", "summary.tsv"}
    assert {path.name for path in (pipeline / "ours").iterdir()} == {"results", "logs", "benchmarks"}
    assert "Nothing to be done" in snakemake("--cores", "1", directory=pipeline).stdout


def test_the_workflow_of_a_checkout_is_a_module_too(tmp_path: Path) -> None:
    """As it is found by ``github()``; the configuration that it ships does not mix with that of the pipeline."""
    pipeline = shutil.copytree(PIPELINE, tmp_path / "pipeline")
    snakefile = pipeline / "Snakefile"
    text = snakefile.read_text()
    assert "        snakefile()\n" in text
    snakefile.write_text(text.replace("        snakefile()\n", f"        {str(ROOT / 'workflow' / 'Snakefile')!r}\n"))
    done = snakemake("-n", directory=pipeline)
    assert done.returncode == 0, done.stdout
    assert "archive_publish" in done.stdout
    assert "rule all:" in done.stdout, "the pipeline's own is what is made by default"
    assert "archive_all" not in done.stdout
    assert "simulate_example" not in done.stdout
    assert "not present in the Snakefile" not in done.stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh clone, in which nothing was run."""
    directory = tmp_path_factory.mktemp("clone")
    for name in ("workflow", "geneformer_rules", "config", "envs", "slurm"):
        if (ROOT / name).is_symlink():
            (directory / name).symlink_to((ROOT / name).readlink())
        else:
            shutil.copytree(ROOT / name, directory / name, symlinks=True)
    return directory


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        pytest.param(("--profile", "slurm", "compress_all"), marks=SLURM),
        pytest.param(("--workflow-profile", "slurm"), marks=[SLURM, pytest.mark.slow]),
        ("--snakefile", "{packaged}", "--configfile", "config/config.yaml"),
    ],
)
def test_a_clone_archives_everything_by_default(clone: Path, arguments: tuple[str, ...]) -> None:
    """Without a target as with it; the packaged Snakefile, too, where its inputs exist."""
    if "--snakefile" in arguments:
        (clone / "resources" / "example").mkdir(parents=True)
        for name in ("panel", "first", "second"):
            (clone / "resources" / "example" / f"{name}.fa").write_text(">r\nACGT\n")
    packaged = str(clone / "geneformer_rules" / "Snakefile")
    done = snakemake("-n", *(word.replace("{packaged}", packaged) for word in arguments), directory=clone)
    assert done.returncode == 0, done.stdout
    assert "workflow specific profile" in done.stdout
    assert bool(re.search("profiles? slurm", done.stdout)) == ("slurm" in arguments)
    for rule in ("train", "summary"):
        assert f"rule {rule}:" in done.stdout
    shutil.rmtree(clone / "resources", ignore_errors=True)


@SLURM
@pytest.mark.slow
def test_the_slurm_profile_resolves_after_an_installation(installed: Path, tmp_path: Path) -> None:
    """By its directory for this run, as a workflow profile, or by name once it is installed for the user."""
    pipeline = shutil.copytree(PIPELINE, tmp_path / "pipeline")
    command = installed.with_name("geneformer-rules")
    home = {"XDG_CONFIG_HOME": str(tmp_path / "home")}

    def profile(*arguments: str) -> subprocess.CompletedProcess[str]:
        call = [str(command), "profile", "slurm", *arguments]
        return subprocess.run(
            call, env={**os.environ, "PYTHONPATH": "", **home}, capture_output=True, text=True, check=False
        )

    directory = profile().stdout.strip()
    assert Path(directory).is_relative_to(installed.parents[1])
    for option, name in (("--profile", directory), ("--workflow-profile", directory)):
        done = run(installed, option, name, "-n", directory=pipeline, **home)
        assert done.returncode == 0, done.stdout
        assert f"profile {directory} for setting default" in done.stdout
    assert run(installed, "--profile", "slurm", "-n", directory=pipeline, **home).returncode != 0
    assert profile("--install").stdout.strip() == str(tmp_path / "home" / "snakemake" / "slurm")
    done = run(installed, "--profile", "slurm", "-n", directory=pipeline, **home)
    assert done.returncode == 0, done.stdout
    again = profile("--install")
    assert again.returncode == 2
    assert "slurm is there already; rename or remove it" in again.stderr


def test_packaged_profiles_are_those_of_the_checkout() -> None:
    for name in ("default", "slurm"):
        assert (ROOT / "workflow" / "profiles" / name).samefile(geneformer_rules.profile(name))
    assert (ROOT / "slurm").samefile(geneformer_rules.profile("slurm"))
    with pytest.raises(ValueError, match="packaged are: default, slurm"):
        geneformer_rules.profile("lsf")


def test_lint_finds_nothing() -> None:
    """But that rules name no environment: their commands come from where Snakemake runs."""
    titles = set(re.findall(r"^ +\* (.*):$", snakemake("--lint").stdout, re.M))
    assert titles == {"Specify a conda environment or container for each rule."}


@pytest.mark.slow
def test_the_wheel_carries_all_that_rules_touch(installed: Path) -> None:
    packaged = next(installed.parents[1].glob("lib/python*/site-packages/geneformer_rules"))

    def files(directory: Path) -> set[str]:
        found = (path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())
        return {name for name in found if "__pycache__" not in name}

    assert files(ROOT / "geneformer_rules") <= files(packaged)


def test_continuous_integration_runs_the_command_of_the_readme() -> None:
    """Were the README's command reworded so that the script no longer finds it, this would tell."""
    readme = (ROOT / "README.md").read_text()
    block = readme.split("<!-- tests -->\n```bash\n")[1].split("\n```")[0]
    assert block.startswith("python3 -m venv .venv && ")
    assert block.endswith("/pytest")
    assert "<!-- tests -->" in (ROOT / ".ci" / "run").read_text()


def test_every_key_is_explained_beside_the_configuration() -> None:
    from geneformer_rules.tables import load_schema

    text = (ROOT / "config" / "README.md").read_text()
    for name in ("config", "samples", "species"):
        for key, schema in load_schema(name)["properties"].items():
            assert f"`{key}" in text, key
            for inner in schema.get("properties", {}):
                assert f".{inner}`" in text, f"{key}.{inner}"


def test_the_conda_environment_takes_versions_from_the_wheel() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    dependencies = yaml.safe_load((ROOT / "envs" / "workflow.yaml").read_text())["dependencies"]
    sra = yaml.safe_load((ROOT / "geneformer_rules" / "envs" / "sra.yaml").read_text())["dependencies"]
    assert dependencies == [f"python {project['requires-python']}", *sra, "pip", {"pip": ["-e ..[slurm]"]}]


def test_an_installation_can_make_reports() -> None:
    """What Snakemake wants for that is an extra of its own, which the tests' other packages happen to bring along."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [Requirement(item) for item in metadata.requires("snakemake") or []]
    named = {item.name for item in wanted if item.marker and item.marker.evaluate({"extra": "reports"})}
    assert named
    assert named <= {Requirement(item).name for item in project["optional-dependencies"]["workflow"]}


def test_the_container_has_every_source_of_the_wheel() -> None:
    recipe = (ROOT / "Containerfile").read_text()
    copied = {Path(word) for line in recipe.splitlines() if line.startswith("COPY ") for word in line.split()[1:-1]}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    needed = {"pyproject.toml", project["project"]["readme"], *project["project"]["license-files"], *packages}
    assert all(Path(path) in copied or copied & set(Path(path).parents) for path in needed)
    assert all((ROOT / path).exists() for path in copied)
