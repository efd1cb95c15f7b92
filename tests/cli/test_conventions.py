"""What people type from habit: no output, several archives, a wrong word; and what is shown while they wait."""

import gzip
import json
import os
import re
from pathlib import Path

import pytest

from geneformer_codec.cli import progress
from geneformer_codec.cli.main import main
from geneformer_codec.sequence.simulate import write_fasta
from geneformer_codec.sequence.simulate_reads import write_fastq

from .conftest import on_terminal, process

FASTA, READS = b">a\nACGTACGTNN\nAC\n", b"@r\nACGT\n+\nIIII\n@s\nAC\n+\nII\n"


@pytest.fixture(autouse=True)
def _in_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def files() -> set[str]:
    return {path.name for path in Path.cwd().iterdir()}


class TestOutputs:
    @pytest.mark.parametrize(
        ("name", "content", "archive", "back"),
        [
            ("x.fa", FASTA, "x.fa.gfz", "x.fa"),
            ("x.fa.gz", gzip.compress(FASTA, mtime=0), "x.fa.gfz", "x.fa"),
            ("x", FASTA, "x.gfz", "x"),
            ("GRCh38.p14", FASTA, "GRCh38.p14.gfz", "GRCh38.p14"),
        ],
    )
    def test_there_and_back(
        self, name: str, content: bytes, archive: str, back: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Path(name).write_bytes(content)
        assert main(["compress", name]) == 0
        assert capsys.readouterr().err.endswith(f"; in {archive}\n")
        assert files() == {name, archive}
        Path(name).unlink()
        assert main(["decompress", archive]) == 0
        assert capsys.readouterr().err == f"{archive} -> {back}\n"
        assert Path(back).read_bytes() == FASTA
        assert main(["compress", back]) == 1
        assert main(["decompress", archive]) == 1
        assert capsys.readouterr().err.count("it exists already; choose another name, or add -f") == 2
        assert main(["compress", back, "-qf"]) == main(["decompress", archive, "-qf"]) == 0

    def test_are_beside_the_input(self) -> None:
        Path("data").mkdir()
        Path("data/x.fa").write_bytes(FASTA)
        assert main(["compress", "-q", "data/x.fa"]) == 0
        Path("data/x.fa").unlink()
        assert main(["decompress", "-q", "data/x.fa.gfz"]) == 0
        assert files() == {"data"}
        assert Path("data/x.fa").read_bytes() == FASTA

    def test_of_standard_input_are_standard_output(self) -> None:
        archive = process("compress", "-", stdin=FASTA).stdout
        assert process("decompress", "-", stdin=archive).stdout == FASTA

    def test_as_is(self) -> None:
        Path("x.fa.gz").write_bytes(packed := gzip.compress(FASTA))
        assert main(["compress", "-q", "--as-is", "x.fa.gz"]) == 0
        Path("x.fa.gz").unlink()
        assert main(["decompress", "-q", "x.fa.gz.gfz"]) == 0
        assert Path("x.fa.gz").read_bytes() == packed

    @pytest.mark.parametrize(
        ("archive", "name", "back"),
        [
            ("x.gfz", "in.fa", "x.fa"),
            ("x.gfz", "in", "x"),
            ("x.gfz", "../../in.f/a", "x"),
            ("x.fa.gz.gfz", "in.fa", "x.fa"),
            ("x.bam.gfz", "in.fastq", "x.fastq"),
            ("X.GFZ", "in.fa", "X.fa"),
        ],
    )
    def test_are_named_by_the_archive(self, archive: str, name: str, back: str) -> None:
        """Of the name in the archive, only a plain suffix is used."""
        Path("in").write_bytes(FASTA)
        assert main(["compress", "-q", "in", "-o", archive, "--name", name]) == 0
        assert main(["decompress", "-q", archive]) == 0
        assert files() == {"in", archive, back}

    def test_of_pairs(self) -> None:
        for name in ("r_1.fq", "r_2.fq"):
            Path(name).write_bytes(READS)
        assert main(["compress", "-q", "r_1.fq", "--mate", "r_2.fq"]) == 0
        assert main(["compress", "-q", "r_1.fq", "--mate", "r_2.fq", "-o", "run.gfz"]) == 0
        for name in ("r_1.fq", "r_2.fq"):
            Path(name).unlink()
        assert main(["decompress", "-q", "r_1.fq.gfz", "run.gfz"]) == 0
        assert files() == {"r_1.fq.gfz", "run.gfz", "r_1.fq", "r_2.fq", "run_1.fq", "run_2.fq"}
        assert {Path(name).read_bytes() for name in ("r_1.fq", "r_2.fq", "run_1.fq", "run_2.fq")} == {READS}
        assert main(["decompress", "-qf", "run.gfz", "--mate", "x"]) == 0
        assert Path("x").read_bytes() == READS

    @pytest.mark.parametrize("mate", ["../b.fq", "/tmp/b.fq", ".b", "-b", "a.fq", "b\n.fq"])
    def test_names_of_mates_are_not_trusted(self, mate: str, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("a.fq", "b.fq"):
            Path(name).write_bytes(READS)
        monkeypatch.setattr(
            "geneformer_codec.inputs.sources.sample_name_of",
            lambda source, as_is=False: mate if source == "b.fq" else "a.fq",
        )
        assert main(["compress", "-q", "a.fq", "--mate", "b.fq"]) == 0
        Path("a.fq").unlink()
        assert main(["decompress", "-q", "a.fq.gfz"]) == 0
        assert files() == {"b.fq", "a.fq.gfz", "a_1.fq", "a_2.fq"}

    @pytest.mark.parametrize("source", [".", "..", "/", "pipe", "none", ""])
    def test_of_what_is_no_file(self, source: str) -> None:
        os.mkfifo("pipe")
        assert main(["compress", source]) in (1, 2)
        assert main(["decompress", source]) in (1, 2)
        assert files() == {"pipe"}

    @pytest.mark.parametrize("archive", [".gfz", "..gfz", "...gfz"])
    def test_of_what_has_a_suffix_alone(self, archive: str) -> None:
        Path("x.fa").write_bytes(FASTA)
        assert main(["compress", "-q", "x.fa", "-o", archive]) == 0
        assert main(["decompress", archive]) == 2

    def test_that_have_no_name(self, capsys: pytest.CaptureFixture[str]) -> None:
        Path("x.fa").write_bytes(FASTA)
        assert main(["compress", "-q", "x.fa", "-o", "x.archive"]) == 0
        assert main(["decompress", "x.archive"]) == 2
        assert "x.archive: is not named NAME.gfz, so the text has no name; give one" in capsys.readouterr().err


class TestSeveral:
    @pytest.fixture(autouse=True)
    def archives(self) -> None:
        for name in ("a", "b", "c"):
            Path(f"{name}.fa").write_bytes(FASTA.replace(b">a", f">{name}".encode()))
            assert main(["compress", "-q", f"{name}.fa"]) == 0
        damaged = bytearray(Path("b.fa.gfz").read_bytes())
        damaged[-30] ^= 1
        Path("b.fa.gfz").write_bytes(damaged)

    @pytest.mark.parametrize("command", ["verify", "info", "ls", "stats", "decompress -f"])
    def test_the_others_are_worked_on(self, command: str, capfd: pytest.CaptureFixture[str]) -> None:
        for name in ("a", "b", "c"):
            Path(f"{name}.fa").unlink()
        assert main([*command.split(), "a.fa.gfz", "b.fa.gfz", "c.fa.gfz"]) == 1
        printed = capfd.readouterr()
        assert "gfz: error: b.fa.gfz: " in printed.err
        assert printed.err.rstrip().endswith("gfz: error: 1 of 3 archives failed")
        if command == "decompress -f":
            assert {path.name for path in Path.cwd().glob("*.fa")} == {"a.fa", "c.fa"}
        elif command == "verify":
            assert re.findall(r"^(.*): every checksum holds", printed.err, re.M) == ["a.fa.gfz", "c.fa.gfz"]
        else:
            assert [name for name in "abc" if re.search(rf"\b{name}(\.fa)?(\.gfz)?\b", printed.out)] == ["a", "c"]

    def test_all_are_well(self, capfd: pytest.CaptureFixture[str]) -> None:
        assert main(["verify", "a.fa.gfz", "c.fa.gfz"]) == 0
        capfd.readouterr()
        assert main(["info", "--json", "a.fa.gfz", "c.fa.gfz"]) == 0
        first, second = capfd.readouterr().out.split("}\n{")
        assert (json.loads(first + "}")["sample"], json.loads("{" + second)["sample"]) == ("a.fa", "c.fa")
        assert main(["decompress", "-qf", "a.fa.gfz", "c.fa.gfz"]) == 0

    def test_the_model_is_read_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from geneformer_codec.model import file

        read: list[Path] = []
        monkeypatch.setattr(file, "read_model", lambda path, limit=None: read.append(path))
        assert main(["verify", "a.fa.gfz", "c.fa.gfz", "--model", "m.gfmodel"]) == 0
        assert read == [Path("m.gfmodel")]

    def test_with_one_output(self, capfd: pytest.CaptureFixture[str]) -> None:
        assert main(["decompress", "a.fa.gfz", "c.fa.gfz", "-o", "x"]) == 2
        assert "--out and --mate are for one archive" in capfd.readouterr().err


class TestWrongCalls:
    @pytest.mark.parametrize("call", [[], ["model"], ["cache"]])
    def test_a_command_alone_shows_its_help(self, call: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        assert main(call) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.startswith(" ".join(["usage: gfz", *call]))
        assert "show this help" in printed.err

    @pytest.mark.parametrize(
        ("call", "reported"),
        [
            ("comprss x.fa", "gfz: error: there is no command 'comprss' (did you mean 'compress'?)"),
            ("zzz", "gfz: error: there is no command 'zzz'"),
            ("model lss", "gfz model: error: there is no action 'lss' (did you mean 'ls'?)"),
            ("compress x.fa --modle m", "gfz compress: error: there is no option --modle (did you mean '--model'?)"),
            ("compress x.fa --thread=2", "gfz compress: error: there is no option --thread "
             "(did you mean '--threads'?)"),
            ("verify --zzz x", "gfz verify: error: there is no option --zzz"),
            ("compress x.fa -l fats", "gfz compress: error: argument -l/--level: 'fats' is none of fast, balanced, max "
             "(did you mean 'fast'?)"),
            ("faidx a.gfz b.gfz", "gfz faidx: error: 'b.gfz' is one argument too many"),
            ("compress x.fa --part-bases 16Q", "gfz compress: error: argument --part-bases: '16Q' is no size; give one "
             "such as 512M or 4G"),
            ("ls", "gfz ls: error: the following arguments are required: IN.gfz"),
        ],
    )  # fmt: skip
    def test_the_line_that_matters_is_first(self, call: str, reported: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(call.split()) == 2
        program = reported.partition(":")[0]
        assert capsys.readouterr().err == f"{reported}\nSee '{program} --help'.\n"

    def test_two_files_are_a_pair_or_two_archives(self, capsys: pytest.CaptureFixture[str]) -> None:
        for name in ("r1.fq", "r2.fq"):
            Path(name).write_bytes(READS)
        assert main(["compress", "r1.fq", "r2.fq"]) == 2
        assert "give the second file of the pair with --mate r2.fq, or compress each" in capsys.readouterr().err
        assert files() == {"r1.fq", "r2.fq"}

    def test_numbers_of_bases_are_sizes(self, capsys: pytest.CaptureFixture[str]) -> None:
        with Path("x.fa").open("wb") as out:
            write_fasta(out, 3, 2000, 0.1, 1)
        assert main(["compress", "-q", "x.fa", "--part-bases", "2k", "-l", "fast"]) == 0
        assert main(["info", "--json", "x.fa.gfz"]) == 0
        assert json.loads(capsys.readouterr().out)["parts"] == 3

    @pytest.mark.parametrize("regions", [["a:1-2", "nope"], ["a:5-2"], ["a:1-2", "a:x-y"]])
    def test_fetch_writes_nothing_before_it_knows_the_regions(
        self, regions: list[str], capfdbinary: pytest.CaptureFixture[bytes]
    ) -> None:
        Path("x.fa").write_bytes(FASTA)
        Path("out.fa").write_bytes(b"mine")
        assert main(["compress", "-q", "x.fa"]) == 0
        assert main(["fetch", "x.fa.gfz", *regions]) != 0
        assert capfdbinary.readouterr().out == b""
        assert main(["fetch", "x.fa.gfz", *regions, "-f", "-o", "out.fa"]) != 0
        assert files() == {"x.fa", "x.fa.gfz", "out.fa"}
        assert Path("out.fa").read_bytes() == b"mine"


class TestProgress:
    def expected(self, name: str, data: bytes) -> float:
        Path(name).write_bytes(data)
        return progress.expected_bases([name]) or 0

    def test_bases_are_judged_by_the_beginning(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with Path("x.fa").open("wb") as out:
            write_fasta(out, 20, 20_000, 0.1, 1)
        with Path("r.fq").open("wb") as out:
            write_fastq([out], 2000, seed=1)
        fasta, reads = Path("x.fa").read_bytes(), Path("r.fq").read_bytes()
        genomes = sum(len(line) for line in fasta.splitlines() if line[:1] != b">")
        sequenced = sum(map(len, reads.splitlines()[1::4]))
        assert self.expected("x.fa", fasta) == genomes
        assert self.expected("x.fa.gz", gzip.compress(fasta)) == genomes
        assert self.expected("r.fq.gz", gzip.compress(reads)) == sequenced
        monkeypatch.setattr(progress, "_SAMPLED_BYTES", 60_000)
        assert self.expected("x.fa", fasta) == pytest.approx(genomes, rel=0.05)
        assert self.expected("x.fa.gz", gzip.compress(fasta)) == pytest.approx(genomes, rel=0.1)
        assert self.expected("r.fq.gz", gzip.compress(reads)) == pytest.approx(sequenced, rel=0.1)
        assert progress.expected_bases(["x.fa", "r.fq"]) == pytest.approx(genomes + sequenced, rel=0.1)

    def test_what_cannot_be_judged(self) -> None:
        os.mkfifo("pipe")
        Path("empty").touch()
        for name in ("-", "pipe", "none", "empty"):
            assert progress.expected_bases([name]) is None
        assert self.expected("bomb.gz", gzip.compress(b">x\n" + b"A" * (1 << 26))) == 0
        assert self.expected("cut.gz", gzip.compress(FASTA)[:8]) == 0

    def test_each_phase_has_a_bar_with_a_percentage(self) -> None:
        """One to seek the sample's own panel, if it is in parts, and to verify; also of a .gz."""
        with Path("x.fa").open("wb") as out:
            write_fasta(out, 4, 100_000, 0.01, 1)
        Path("x.fa.gz").write_bytes(gzip.compress(Path("x.fa").read_bytes()))
        shown = on_terminal("compress", "x.fa.gz", "--verify", "-l", "fast", "--part-bases", "100k", "-T", "1").decode()
        for what in ("seek repeats", "code panel", "compress", "verify"):
            assert re.search(rf"\r{what}: +0%\|", shown), shown
        order = [shown.index(f"\r{what}: ") for what in ("seek repeats", "code panel", "verify")]
        assert order == sorted(order)
        assert re.search(r"\rdecompress: +0%\|", on_terminal("decompress", "-f", "x.fa.gfz").decode())

    def test_a_bar_is_never_full_before_the_end(self) -> None:
        bar = progress.Bar("x", 100)
        bar(150)
        assert (bar._bar.n, bar._bar.total) == (150, 150)
        bar.phase("y", None)
        assert (bar._bar.n, bar._bar.total) == (0, 100)
        bar.close()
