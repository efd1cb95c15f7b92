"""Accessions as people write them, and the sample sheets that are made of them."""

import io
import sys
from pathlib import Path

import pytest

from geneformer_codec.errors import InputError
from geneformer_rules import accessions, cli, sheets
from geneformer_rules.accessions import Accession, choose, parse, wanted
from geneformer_rules.run_sheet import COLUMNS, species_label

from .ena_server import Server, reads


class TestWriting:
    def test_what_a_run_is(self) -> None:
        assert parse("SRR3927310") == Accession("SRR3927310")
        assert parse("ERR000589:unpaired") == Accession("ERR000589", "unpaired")
        assert parse("DRR000001:3") == Accession("DRR000001", "3")
        for path in (
            "data/SRR3927310.fastq",
            "./SRR3927310",
            "srr3927310",
            "SRR3927310:both",
            "SRR3927310 ",
            "SRX000001",
        ):
            assert parse(path) is None

    @pytest.mark.parametrize(
        ("argument", "found"),
        [
            ("SRR3927310", ["SRR3927310"]),
            ("srr3927310", ["SRR3927310"]),
            ("prjna12, SRX000001;samea1234567\nERR000001 ,", ["PRJNA12", "SRX000001", "SAMEA1234567", "ERR000001"]),
            ("SRR000001:paired SRR000001", ["SRR000001"]),
            ("https://www.ncbi.nlm.nih.gov/sra/?term=SRP012345", ["SRP012345"]),
            ("https://www.ncbi.nlm.nih.gov/geo/query/acc.cgi?acc=GSE52778", ["GSE52778"]),
            ("https://www.ebi.ac.uk/ena/browser/view/PRJEB1234", ["PRJEB1234"]),
            ("https://trace.ncbi.nlm.nih.gov/Traces/?view=run_browser&acc=SRR390728&display=metadata", ["SRR390728"]),
            ("ftp.sra.ebi.ac.uk/vol1/fastq/SRR390/SRR390728/SRR390728_1.fastq.gz", ["SRR390728"]),
            ("", []),
        ],
    )
    def test_unambiguous_accessions_are_accepted(self, argument: str, found: list[str]) -> None:
        assert wanted([argument]) == found

    @pytest.mark.parametrize(
        "word", ["SRR12", "9606", "xSRR000001", "SRR000001x", "https://ncbi.nlm.nih.gov/sra", "a.fq"]
    )
    def test_what_is_no_accession(self, word: str) -> None:
        with pytest.raises(InputError, match="is not an accession of a run"):
            wanted(["SRR000002", word])

    @pytest.mark.parametrize(
        ("word", "reported"), [("phs000178.v1.p1", r"dbGaP.*'sra\.ngc'"), ("EGAD00001000001", "EGA.*pyega3")]
    )
    def test_what_is_protected(self, word: str, reported: str) -> None:
        with pytest.raises(InputError, match=f"{word}: the data of {reported}"):
            wanted([word])

    @pytest.mark.parametrize(
        ("cell", "reported"),
        [
            ("srr3927310", "if the run is meant, write 'SRR3927310'"),
            ("https://www.ncbi.nlm.nih.gov/sra/SRR3927310", "if the run is meant, write 'SRR3927310'"),
            ("SRR000001,SRR000002", "names 2 accessions; give each a row of its own: geneformer-rules acc"),
            ("PRJNA12", "is not the accession of a run; this makes the rows of its runs: geneformer-rules acc"),
            ("gse52778", "geneformer-rules accessions GSE52778"),
            ("phs000178", "the data of dbGaP are protected"),
            ("EGAF00001000001", "the data of EGA are protected"),
            ("SRR000001.fastq", "file 'SRR000001.fastq' not found"),
        ],
    )  # fmt: skip
    def test_cells_of_a_sheet_that_are_no_file(self, cell: str, reported: str) -> None:
        assert reported in sheets._missing(cell)

    @pytest.mark.parametrize(
        ("organism", "label"),
        [
            ("Homo sapiens", "homo_sapiens"),
            ("Canis lupus familiaris", "canis_lupus_familiaris"),
            ("Salmonella enterica subsp. enterica serovar Typhimurium", "salmonella_enterica"),
            ("Severe acute respiratory syndrome coronavirus 2", "severe_acute_respiratory_syndrome_coronavirus_2"),
            ("Influenza A virus (A/California/07/2009(H1N1))", "influenza_a_virus"),
            ("'Candidatus Phytoplasma' sp. X", "candidatus_phytoplasma"),
            ("[Candida] auris", "candida_auris"),
            ("human gut metagenome", "human_gut_metagenome"),
            ("\t\x1b[31m\n", "31m"),
            ("株", "none"),
        ],
    )
    def test_labels_of_species(self, organism: str, label: str) -> None:
        assert species_label(organism) == label


class TestFiles:
    NAMES = ("SRR000001", "SRR000001_1", "SRR000001_2", "SRR000001_3")

    @pytest.mark.parametrize(
        ("given", "files", "chosen"),
        [
            ("SRR000001", [0], [0]),
            ("SRR000001", [1], [1]),
            ("SRR000001", [1, 2], [1, 2]),
            ("SRR000001", [0, 1, 2], [1, 2, 0]),
            ("SRR000001:paired", [0, 1, 2], [1, 2]),
            ("SRR000001:paired", [1, 2, 3], [1, 2]),
            ("SRR000001:unpaired", [0, 1, 2], [0]),
            ("SRR000001:3", [1, 2, 3], [3]),
        ],
    )
    @pytest.mark.parametrize("suffix", [".fastq", ".fastq.gz"])
    def test_which_a_sample_is(self, given: str, files: list[int], chosen: list[int], suffix: str) -> None:
        accession = parse(given)
        assert accession is not None
        assert choose(accession, {self.NAMES[number] + suffix: number for number in files}) == chosen

    @pytest.mark.parametrize(
        ("given", "files", "reported"),
        [
            ("SRR000001:unpaired", [1, 2], "has no unpaired reads"),
            ("SRR000001:unpaired", [0], "has no unpaired reads"),
            ("SRR000001:paired", [1], "has no paired reads"),
            ("SRR000001:3", [1, 2], "has no file 3"),
            ("SRR000001", [1, 2, 3], "in 3 files.*geneformer-rules accessions SRR000001.*'SRR000001:3'"),
        ],
    )  # fmt: skip
    def test_that_are_not_there(self, given: str, files: list[int], reported: str) -> None:
        accession = parse(given)
        assert accession is not None
        with pytest.raises(InputError, match=reported):
            choose(accession, {f"{self.NAMES[number]}.fastq.gz": number for number in files})

    def test_what_is_made_of_them_is_chosen(self) -> None:
        """Each file of a run is in one row, and the row is that of the files."""
        for files in ([0], [1], [1, 2], [0, 1, 2], [1, 2, 3], [0, 1, 2, 3], [0, 2]):
            named = {f"{self.NAMES[number]}.fastq.gz": number for number in files}
            rows = accessions.rows_of("SRR000001", [self.NAMES[number] for number in files])
            parsed = [parse(path) for _, path in rows]
            found = [number for one in parsed if one is not None for number in choose(one, named)]
            assert sorted(found) == files
            assert len({name for name, _ in rows}) == len(rows)


def record(accession: str, *relations: str) -> str:
    """A record of GEO."""
    kind = "Series" if accession.startswith("GSE") else "Sample"
    lines = [f"^{kind.upper()} = {accession}", f"!{kind}_title = Reads", f"!{kind}_geo_accession = {accession}"]
    return "\r\n".join([*lines, *(f"!{kind}_relation = {relation}" for relation in relations), ""])


class TestSheet:
    @pytest.fixture(autouse=True)
    def project(self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A project of four runs: a single file, a pair, a pair with others, and three files."""
        monkeypatch.chdir(tmp_path)
        self.server, self.sheet = server, tmp_path / "samples.tsv"
        self.runs = [f"SRR00000{number}" for number in range(1, 5)]
        for run, names in zip(self.runs, (["_"], ["_1", "_2"], ["_", "_1", "_2"], ["_1", "_2", "_3"]), strict=True):
            server.add(run, **{name: reads(run, number) for number, name in enumerate(names)})
            server.counts[run] = 60, 4560
            server.rows[run] = {
                "library_layout": "SINGLE" if names == ["_"] else "PAIRED",
                "instrument_platform": "ILLUMINA",
                "library_source": "GENOMIC",
                "scientific_name": "Homo sapiens",
                "sra_bytes": "1234",
            }
        server.of["PRJNA1"], server.of["SRX000001"] = self.runs, self.runs[:1]

    def make(self, *arguments: str, status: int = 0) -> list[dict[str, str]]:
        """What the command writes to the sheet."""
        call = [
            "accessions",
            *arguments,
            "--ena",
            self.server.reports,
            "--geo",
            f"{self.server.url}/geo",
            "--tries",
            "1",
        ]
        assert cli.main([*call, "-o", str(self.sheet)]) == status
        if status:
            return []
        header, *lines = self.sheet.read_text().splitlines()
        assert header == "\t".join(COLUMNS)
        return [dict(zip(COLUMNS, line.split("\t"), strict=True)) for line in lines]

    def test_has_a_row_for_each_file_or_pair(self, capsys: pytest.CaptureFixture[str]) -> None:
        rows = self.make("PRJNA1")
        assert [(row["sample"], row["path"], row["layout"]) for row in rows] == [
            ("SRR000001", "SRR000001", "single"),
            ("SRR000002", "SRR000002", "paired"),
            ("SRR000003", "SRR000003:paired", "paired"),
            ("SRR000003_unpaired", "SRR000003:unpaired", "single"),
            *((f"SRR000004_{number}", f"SRR000004:{number}", "single") for number in (1, 2, 3)),
        ]
        sizes = {name: len(data) for name, data in self.server.files.items()}
        assert rows[0] == {
            "sample": "SRR000001", "path": "SRR000001", "species": "homo_sapiens", "layout": "single",
            "platform": "illumina", "reads": "60", "bases": "4560", "bytes": str(sizes["/SRR000001.fastq.gz"]),
            "organism": "Homo sapiens",
        }  # fmt: skip
        assert sum(int(row["bytes"]) for row in rows) == sum(sizes.values()), "each file is in one row"
        assert [row["reads"] for row in rows[2:]] == [""] * 5, "those of the run are not divided"
        printed = capsys.readouterr().err
        assert "4 runs in 7 rows; 0.0 GB are to be downloaded" in printed
        assert "these labels need rows in the species sheet" in printed

    def test_is_one_that_the_workflow_reads(self) -> None:
        self.make("PRJNA1", "--species", "none")
        (self.sheet.parent / "species.tsv").write_text("species\n")
        loaded = sheets.load({"samples": str(self.sheet), "species": "species.tsv"}, exists=lambda path: False)
        assert len(loaded.samples) == 7
        assert all(sample.accession for sample in loaded.samples.values())

    def test_has_each_run_once(self) -> None:
        whole = self.make("PRJNA1")
        assert self.make("-f", "SRX000001", "prjna1", "SRR000002,SRR000001") == whole

    def test_of_the_sra_toolkit_does_not_depend_on_files_of_ena(self) -> None:
        self.server.add("SRR000005")
        self.server.rows["SRR000005"] = {"library_layout": "PAIRED", "sra_bytes": "99"}
        self.server.of["PRJNA1"] = [*self.runs, "SRR000005"]
        rows = self.make("PRJNA1", "--source", "sra-toolkit")
        assert [row["path"] for row in rows] == [*self.runs, "SRR000005"]
        assert [row["bytes"] for row in rows] == ["1234"] * 4 + ["99"]
        assert rows[-1]["species"] == "none"

    def test_reports_runs_without_files(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.server.add("SRR000005")
        self.server.of["PRJNA1"] = [*self.runs, "SRR000005"]
        self.make("PRJNA1", status=1)
        printed = capsys.readouterr().err
        assert (
            "ENA has no FASTQ files of SRR000005; take them from the SRA toolkit (--source sra-toolkit), or" in printed
        )
        assert not list(self.sheet.parent.iterdir()), "nothing is written, nor half of it"
        assert len(self.make("PRJNA1", "--skip")) == 7
        assert "left out, as ENA has no FASTQ files of them: SRR000005" in capsys.readouterr().err

    def test_reports_what_may_be_missing(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.server.rows["SRR000001"] |= {"library_layout": "PAIRED", "library_source": "TRANSCRIPTOMIC SINGLE CELL"}
        self.make("PRJNA1")
        printed = capsys.readouterr().err
        assert "stated to be paired, but one file at ENA (the SRA toolkit may have more): SRR000001" in printed
        assert "of single cells, whose barcodes ENA's files may lack (--source sra-toolkit): SRR000001" in printed

    def test_names_all_accessions_that_have_no_runs(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.server.geo["GSE52778"] = record("GSE52778", "BioProject: https://www.ncbi.nlm.nih.gov/bioproject/PRJNA2")
        self.make("PRJNA1", "PRJNA2", "GSE52778", status=1)
        printed = capsys.readouterr().err
        assert "PRJNA2: ENA has no public runs of it; correct the accession. Of an umbrella project" in printed
        assert "GSE52778: ENA has no public runs of what GEO names as its source" in printed
        assert not self.sheet.exists()

    def test_has_the_runs_that_geo_names(self, capsys: pytest.CaptureFixture[str]) -> None:
        ncbi = "https://www.ncbi.nlm.nih.gov"
        self.server.geo = {
            "GSE52778": record("GSE52778", f"BioProject: {ncbi}/bioproject/PRJNA1", f"SRA: {ncbi}/sra?term=SRP033351"),
            "GSE7": record("GSE7", "SuperSeries of: GSE52778", "SuperSeries of: GSE8", f"BioProject: {ncbi}/PRJNA9"),
            "GSE8": record("GSE8", f"BioProject: {ncbi}/bioproject/PRJNA1", "SubSeries of: GSE7"),
            "GSM1": record("GSM1", f"BioSample: {ncbi}/biosample/SAMN1", f"SRA: {ncbi}/sra?term=SRX000001"),
            "GSE2": record("GSE2", "Alternative to: GSE3"),
        }
        whole = self.make("PRJNA1")
        assert self.make("-f", "gse52778") == whole
        assert "GSE52778: GEO names PRJNA1" in capsys.readouterr().err
        assert self.make("-f", f"{ncbi}/geo/query/acc.cgi?acc=GSE7") == whole
        assert [row["path"] for row in self.make("-f", "GSM1")] == ["SRR000001"]
        self.sheet.unlink()
        for accession, printed in (
            ("GSE2", "GSE2: GEO names no project or experiment of SRA for it; are these data of arrays?"),
            ("GSE3", "GSE3: GEO has no such public record; correct the accession, or name its project"),
        ):
            self.make(accession, status=1)
            assert printed in capsys.readouterr().err

    def test_is_not_replaced_without_force(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.sheet.write_text("mine")
        self.make("PRJNA1", status=1)
        assert "it exists already; choose another name, or add -f" in capsys.readouterr().err
        assert (self.sheet.read_text(), self.server.asked) == ("mine", [])
        self.make("PRJNA1", "PRJNA2", "-f", status=1)
        assert self.sheet.read_text() == "mine"
        assert len(self.make("PRJNA1", "-f")) == 7

    def test_on_standard_output(self, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
        rows = self.make("PRJNA1")
        assert cli.main(["accessions", "PRJNA1", "--ena", self.server.reports, "-o", "-"]) == 0
        assert capfdbinary.readouterr().out == self.sheet.read_bytes()
        assert cli.main(["accessions", "PRJNA1", "PRJNA2", "--ena", self.server.reports, "-o", "-"]) == 1
        assert capfdbinary.readouterr().out == b"", "nothing before all is known"
        assert len(rows) == 7

    def test_labels_that_the_species_sheet_has(self, tmp_path: Path) -> None:
        self.server.rows["SRR000002"]["scientific_name"] = "Mus musculus"
        species = tmp_path / "species.tsv"
        species.write_text("species\tpanel\nhomo_sapiens\tx.fa\n")
        labels = [row["species"] for row in self.make("PRJNA1", "--species-sheet", str(species))]
        assert labels == ["homo_sapiens", "none", *["homo_sapiens"] * 5]

    def test_of_a_report_on_the_disk(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        whole = self.make("PRJNA1")
        header, *lines = (
            self.server.report("PRJNA1", ["run_accession", "study_alias", "fastq_ftp"]).decode().splitlines()
        )
        report = tmp_path / "report.tsv"
        lines[0] = lines[0].replace("\t\t", "\tGSE52778\t")
        report.write_text("\ufeff" + "\r\n".join([header, *lines]) + "\r\n", encoding="utf-8")
        asked = len(self.server.asked)
        assert [row["path"] for row in self.make("-f", "--from", str(report))] == [row["path"] for row in whole]
        assert [row["path"] for row in self.make("-f", "--from", str(report), "GSE52778")] == ["SRR000001"]
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(report.read_bytes())))
        assert len(self.make("-f", "--from", "-", "SRR000002", "SRR000003")) == 3
        assert len(self.server.asked) == asked, "nobody was asked"
        self.make("-f", "--from", str(report), "PRJNA2", status=1)
        assert f"PRJNA2: no row of {report} has this accession" in capsys.readouterr().err
        report.write_text(f"{header}\nSRR000001\tx\n")
        self.make("-f", "--from", str(report), status=1)
        assert f"{report}, line 2: has 2 cells under 3 columns" in capsys.readouterr().err
        self.make(status=2)
        assert "give accessions, or a report with --from" in capsys.readouterr().err

    def test_shows_nothing_that_a_terminal_would_obey(self) -> None:
        self.server.rows["SRR000001"] |= {
            "library_layout": "A\x1b[2J",
            "scientific_name": "B\x9b",
            "instrument_platform": "\r",
        }
        (row,) = self.make("SRR000001", "--source", "sra-toolkit")
        assert row["layout"] == "a\\x1b[2j"
        assert all(cell.isprintable() for cell in row.values())

    def test_with_an_odd_size(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.server.rows["SRR000001"]["sra_bytes"] = "1;-1"
        self.make("PRJNA1", "--source", "sra-toolkit", status=1)
        assert "the report about PRJNA1: run SRR000001: invalid sra_bytes '-1'" in capsys.readouterr().err

    def test_of_many_runs(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A report is read line by line."""
        self.server.of["PRJNA3"] = many = [f"SRR1{number:06}" for number in range(5000)]
        self.server.runs |= {run: ["/SRR000001.fastq.gz"] for run in many}
        self.server.rows |= {run: {"fastq_ftp": f"ftp.sra.ebi.ac.uk/vol1/{run}.fastq.gz"} for run in many}
        assert [row["sample"] for row in self.make("PRJNA3")] == many
        assert [row["sample"] for row in self.make("-f", " ".join(many[:450]))] == many[:450]
        assert "asked ENA about 400 of 450 accessions" in capsys.readouterr().err
