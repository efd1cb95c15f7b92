"""The script that is run on a GPU (``tests/gpu/check``), as far as it can be without one."""

import importlib.machinery
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("numba_cuda")
pytest.importorskip("numba", minversion="0.68")  # earlier ones lack passes of LLVM that kernels are built with

from emulated import EmulatedDevice
from kinds import KINDS, MAPPED_KINDS, QUALITY_KINDS
from registers import PROCESSORS, assembler
from substitute import Substitute

SCRIPT = Path(__file__).with_name("check")


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, which measures little."""
    loader = importlib.machinery.SourceFileLoader("gpu_check", str(SCRIPT))
    spec = importlib.util.spec_from_loader("gpu_check", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    little = {"LENGTH": 1000, "UNIQUE": 4, "COUNTS": {"": (4, 40)}, "ON_A_CORE": 2}
    for name, value in (little | {"QUALITY_LENGTH": 1000, "QUALITY_UNIQUE": 4, "QUALITY_COUNTS": (4, 40)}).items():
        monkeypatch.setattr(module, name, value)
    return module


def printing(rows: list[dict[str, str]], then: str) -> list[str]:
    """A command that prints rows, and does something else."""
    code = f"import sys, time\nfor line in {[json.dumps(row) for row in rows]}: print(line, flush=True)\n{then}"
    return [sys.executable, "-c", code]


@pytest.mark.parametrize(
    ("then", "said"),
    [
        ("time.sleep(60)", "not done after 2 s"),
        ("raise ValueError('odd')", "ValueError: odd"),
        ("sys.exit(3)", "status 3"),
        ("import os; os.abort()", "status -6"),
    ],
)
def test_a_step_that_fails_leaves_what_it_has_measured(check: ModuleType, then: str, said: str, tmp_path: Path) -> None:
    """Its rows are in the report, and those of the steps before and after."""
    report, rows = (
        check.Report(60, tmp_path / "report"),
        [{"experts": "a", "speed": "3"}, {"experts": "b", "speed": "4"}],
    )
    assert report.step("first", 0, lambda _: [{"experts": "x", "speed": "1"}])
    assert not report.step("second", 2, lambda most: check.rows_of(printing(rows, then), most))
    assert not report.step("third", 100, lambda _: [])
    assert report.step("fourth", 5, lambda most: check.rows_of(printing(rows[:1], ""), most))
    text = (tmp_path / "report").read_text()
    assert text == str(report)
    lines = text.splitlines()[2:]
    assert lines[:6] == ["| experts | speed |", "| --- | --- |", "| x | 1 |", "| a | 3 |", "| b | 4 |", "| a | 3 |"]
    assert said in lines[9]
    assert lines[10] == "| third | left out, as there was no time |"
    assert not report.is_good


def test_a_report_is_there_when_the_script_is_killed(check: ModuleType, tmp_path: Path) -> None:
    report = check.Report(60, tmp_path / "report")

    def rows(_: float) -> Iterator[dict[str, str]]:
        yield {"experts": "a"}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        report.step("a", 1, rows)
    assert "| a |" in (tmp_path / "report").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fast-alone", "fast-illumina", "mapped-reads"])
def test_speed_is_measured(kind: str, check: ModuleType) -> None:
    """On a device that is none."""
    exact, *rows = check.of_kind(kind)(EmulatedDevice()).speed(kind)
    assert exact["slices"].endswith(" of up to 20,000")
    assert [row["slices"] for row in rows] == ["4 of 1,000", "40 of 1,000"]
    for row in (exact, *rows):
        assert row["encode / decode"] == "equal / equal"
    assert all(
        float(speed) > 0
        for speed in rows[0]["Mbases/s, kernel" if kind == "fast-alone" else "M/s, kernel"].split(" / ")
    )


@pytest.mark.nightly
def test_all_of_it(driver: Substitute, tmp_path: Path) -> None:
    """On a driver that refuses kernels: each step says so."""
    environment = os.environ | {"LD_LIBRARY_PATH": str(driver.path.parent)}
    command = [
        sys.executable,
        SCRIPT,
        "--kinds",
        "fast-alone",
        "--presets",
        "stream-tiny",
        "--out",
        tmp_path / "report",
    ]
    assert subprocess.run(command, env=environment, check=False).returncode == 1
    text = (tmp_path / "report").read_text()
    assert "| Fake 7 |" in text
    assert "| fast-alone | FAILED: geneformer_codec.cuda.device.DeviceError: the GPU's driver refuses a kernel" in text
    assert "| gfz | FAILED: RuntimeError: compress" in text
    assert "| network stream-tiny | FAILED: RuntimeError: train" in text
    without = subprocess.run([*command[:-1], tmp_path / "none"], check=False)
    assert without.returncode == 1
    assert "| device | FAILED: " in (tmp_path / "none").read_text()


@pytest.mark.nightly
@pytest.mark.skipif(assembler() is None, reason="there is no ptxas: pip install nvidia-cuda-nvcc")
@pytest.mark.parametrize(
    "kind",
    [*KINDS, *QUALITY_KINDS, *MAPPED_KINDS],
)
def test_registers_are_bounded(kind: str) -> None:
    """Of all kernels, for all processors, without a GPU."""
    from kinds import layout_of
    from registers import usage

    from geneformer_codec.cuda.kernel import Source

    for decoding in (False, True):
        for processor in PROCESSORS:
            taken = usage(Source(layout_of(kind, 1 << 16, decoding), decoding).ptx(processor), processor)
            assert taken.is_bounded, (decoding, processor, taken)
