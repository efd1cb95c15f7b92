"""The rules as a checkout, as a module of another pipeline and from an installed wheel; profiles; code style."""

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

import geneformer_rules

from .conftest import ROOT, Project, environment, related

PIPELINE = """
from geneformer_rules import snakefile

rule all:
    input: "out/archive/archives/made.gfz", "out/used.txt"

rule assemble:
    output: "assemblies/{sample}.fa"
    log: "own/{sample}.log"
    shell: "printf '>contig\\nACGTTGCA\\n' > {output}"

rule compress:
    input: "out/archive/archives/made.gfz"
    output: "out/used.txt"
    log: "own/used.log"
    shell: "wc -c {input} > {output}"

module archive:
    snakefile: snakefile()
    config: {"samples": "samples.tsv", "species": "species.tsv", "device": "cpu"}
    pathvars: results="out/archive", logs="out/logs", benchmarks="out/benchmarks"

use rule * from archive as archive_*
"""


def snakemake(*arguments: str, directory: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "snakemake", *arguments]
    return subprocess.run(
        command,
        cwd=directory,
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
    )


def test_a_pipeline_with_rules_of_the_same_names_includes_ours(project: Project) -> None:
    """The sample is made by the pipeline itself, and the archive is used by it."""
    project.samples.append("made\tassemblies/made.fa\tnone")
    project.write()
    (project.directory / "Snakefile").write_text(PIPELINE)
    done = snakemake("--cores", "1", directory=project.directory)
    assert done.returncode == 0, done.stdout
    assert (project.directory / "out" / "used.txt").is_file()
    assert not (project.directory / "results").exists()
    assert not (project.directory / "logs").exists()


def test_the_checkout_plans_its_example() -> None:
    done = snakemake("-n", "compress_all")
    assert done.returncode == 0, done.stdout
    assert "Using workflow specific profile workflow/profiles/default" in done.stdout


@pytest.mark.skipif(
    find_spec("snakemake_executor_plugin_slurm") is None,
    reason="the slurm extra is not installed, which has the executor",
)
def test_the_slurm_profile_resolves_from_the_checkout() -> None:
    done = snakemake("--profile", "slurm", "-n", "compress_all")
    assert done.returncode == 0, done.stdout


def test_packaged_profiles_are_those_of_the_checkout() -> None:
    for name in ("default", "slurm"):
        assert (ROOT / "workflow" / "profiles" / name).samefile(geneformer_rules.profile(name))
    assert (ROOT / "slurm").samefile(geneformer_rules.profile("slurm"))
    with pytest.raises(ValueError, match="known are: default, slurm"):
        geneformer_rules.profile("lsf")


def test_a_gpu_is_asked_for_where_a_model_runs(project: Project) -> None:
    (project.directory / "small.gfmodel").touch()
    project.add_species("small", model="small.gfmodel")
    text = related(count=2, length=300, seed=30)
    project.add_sample("one", text, "small")
    assert "gpu=1" not in project.run("-n", "compress_all")
    assert "gpu=1" in project.run("-n", "compress_all", "--config", "device=cuda")
    asked = project.run("-n", "compress_all", "--config", "device=cuda", "slurm={gpu_request: gres, gpu_model: a100}")
    assert "gres=gpu:a100:1" in asked
    project.samples.pop()
    project.add_sample("two", text, "none")
    assert "gpu=1" not in project.run("-n", "compress_all", "--config", "device=cuda")


def test_lint_finds_nothing() -> None:
    done = snakemake("--lint")
    assert done.returncode == 0, done.stdout
    assert "your workflow is in a good condition" in done.stdout


@pytest.mark.slow
def test_the_wheel_carries_the_workflow(project: Project, tmp_path: Path) -> None:
    """Built, unpacked into an environment of its own, and run from there, far from the checkout."""
    sources = tmp_path / "sources"
    ignore = shutil.ignore_patterns(".git", ".venv", ".snakemake", "results", "resources", "logs", "benchmarks")
    shutil.copytree(ROOT, sources, symlinks=True, ignore=ignore)
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(sources)]
    subprocess.run(build, check=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    package = {path.relative_to(ROOT).as_posix() for path in (ROOT / "geneformer_rules").rglob("*") if path.is_file()}
    assert {name for name in package if "__pycache__" not in name} <= names
    venv.create(tmp_path / "venv", with_pip=False)
    site = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    # Everything else is borrowed from the environment of the tests, but not the packages of the checkout.
    own = Path(pytest.__file__).resolve().parents[1]
    borrow = f"import sys; sys.path.append({str(own)!r})\n"
    (site / "borrowed.pth").write_text(borrow)
    python = tmp_path / "venv" / "bin" / "python"
    for script, module in (("gfz", "geneformer_codec.cli"), ("geneformer-rules", "geneformer_rules.cli")):
        path = python.with_name(script)
        path.write_text(f"#!{python}\nimport sys\nfrom {module} import main\nsys.exit(main())\n")
        path.chmod(0o755)
    text = related(count=2, length=300, seed=31)
    project.add_sample("one", text, "none")
    project.write()
    bare = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"PATH": os.defpath}
    ask = [str(python), "-c", "import geneformer_rules; print(geneformer_rules.snakefile())"]
    found = subprocess.run(ask, cwd=project.directory, env=bare, text=True, capture_output=True, check=True).stdout
    assert Path(found.strip()).is_relative_to(site)
    done = subprocess.run(
        [str(python), "-m", "snakemake", "--cores", "1", "compress_all", "decompress_all"],
        cwd=project.directory,
        env=bare,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + project.all_logs()
    assert project.result("decompressed", "one.fa").read_bytes() == text


def test_continuous_integration_runs_the_command_of_the_readme() -> None:
    """Were the README's command reworded so that the script no longer finds it, this would tell."""
    readme = (ROOT / "README.md").read_text()
    block = readme.split("<!-- tests -->\n```bash\n")[1].split("\n```")[0]
    assert block.startswith("python3 -m venv .venv && ")
    assert block.endswith("/pytest")
    assert "<!-- tests -->" in (ROOT / ".ci" / "run").read_text()


def test_every_key_is_explained_beside_the_configuration() -> None:
    from geneformer_rules.sheets import load_schema

    text = (ROOT / "config" / "README.md").read_text()
    for name in ("config", "samples", "species"):
        for key, schema in load_schema(name)["properties"].items():
            assert f"`{key}" in text, key
            for inner in schema.get("properties", {}):
                assert f".{inner}`" in text, f"{key}.{inner}"


def test_conda_has_what_the_wheel_needs() -> None:
    import tomllib

    import yaml

    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    conda = yaml.safe_load((ROOT / "envs" / "gfz.yaml").read_text())["dependencies"]
    assert {item.replace(" ", "").replace("pytorch", "torch") for item in conda} == {*wheel, "python>=3.11"}
