"""What ENA answers: files that break off or differ, reports that say nothing, and answers of somebody else."""

import hashlib
import json
import random
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from geneformer_codec.errors import InputError
from geneformer_rules import ena
from geneformer_rules.accessions import Accession
from geneformer_rules.downloading import NetworkError, check_host, download
from geneformer_rules.ena import remote_run

from .ena_server import QUICK, Server, answers, endless, reads, redirects

HERE = ["127.0.0.1"]


class TestDownloading:
    def fetched(self, server: Server, path: Path) -> bytes:
        data = server.files["/f"]
        download(f"{server.url}/f", path, len(data), hashlib.md5(data).hexdigest(), HERE, QUICK)
        return path.read_bytes()

    def test_goes_on_where_it_broke_off(self, server: Server, tmp_path: Path) -> None:
        server.files["/f"] = random.Random(1).randbytes(100_000)
        server.stumbles = ["busy", "breaks off", "breaks off"]
        assert self.fetched(server, tmp_path / "f") == server.files["/f"]
        assert server.ranges == ["bytes=50000-", "bytes=75000-"]
        asked = len(server.asked)
        self.fetched(server, tmp_path / "f")
        assert len(server.asked) == asked, "what is there is not fetched again"
        assert [path.name for path in tmp_path.iterdir()] == ["f"]

    def test_what_differs_is_fetched_again(self, server: Server, tmp_path: Path) -> None:
        server.files["/f"] = b"x" * 1000
        server.stumbles = ["garbles"]
        assert self.fetched(server, tmp_path / "f") == server.files["/f"]
        server.stumbles = ["garbles"] * 3
        with pytest.raises(NetworkError, match=r"not what was announced.*tried 3 times"):
            self.fetched(server, tmp_path / "g")
        assert [path.name for path in tmp_path.iterdir()] == ["f"]

    def test_what_is_refused_is_not_requested_again(self, server: Server, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="answers 404"):
            download(f"{server.url}/gone", tmp_path / "f", 1, "", HERE, QUICK)
        assert server.asked == ["/gone"]

    def test_a_server_that_does_not_respond(self, server: Server) -> None:
        server.http.server_close()
        with pytest.raises(NetworkError, match=r"no connection.*tried 3 times.*again later"):
            remote_run("SRR000001", server.reports, QUICK)

    @pytest.mark.parametrize(
        "lie", [endless, answers(b"x" * 2000), answers(b"x" * 10)], ids=["endless", "more", "less"]
    )
    def test_never_more_bytes_than_announced(
        self, lie: Callable[[BaseHTTPRequestHandler], None], server: Server, tmp_path: Path
    ) -> None:
        server.lies["/f"] = lie
        with pytest.raises(NetworkError, match=r"1,000 bytes (that )?were announced"):
            download(f"{server.url}/f", tmp_path / "f", 1000, "", HERE, QUICK)
        assert not list(tmp_path.iterdir())


class TestHosts:
    @pytest.mark.parametrize(
        "url", ["https://ftp.sra.ebi.ac.uk/vol1/x", "http://EBI.ac.uk./x", "https://www.ebi.ac.uk:443/x"]
    )
    def test_those_of_ena(self, url: str) -> None:
        check_host(url, ena.HOSTS)

    @pytest.mark.parametrize(
        "url",
        [
            "https://ebi.ac.uk.evil.org/x",
            "https://evilebi.ac.uk/x",
            "http://169.254.169.254/latest",
            "http://localhost/x",
        ],
    )
    def test_others(self, url: str) -> None:
        with pytest.raises(InputError, match=r"is not one of those that runs are downloaded from.*'sra\.hosts'"):
            check_host(url, ena.HOSTS)

    @pytest.mark.parametrize(
        "url",
        ["file:///etc/passwd", "file://ebi.ac.uk/etc/passwd", "data:text/plain,x", "ftp://ebi.ac.uk/x", "ebi.ac.uk/x",
         "https://user@ebi.ac.uk/x", "https://ebi.ac.uk@evil.org/x", "https:///x", "http://[::1/x"],
    )  # fmt: skip
    def test_no_addresses(self, url: str) -> None:
        with pytest.raises(InputError, match="is not an HTTP or HTTPS address"):
            check_host(url, ena.HOSTS)

    @pytest.mark.parametrize("place", ["file:///etc/passwd", "http://localhost:1/f", "data:,x", "ftp://127.0.0.1/f"])
    def test_redirects_lead_to_no_other(self, place: str, server: Server, tmp_path: Path) -> None:
        server.lies["/f"] = redirects(place)
        with pytest.raises(InputError, match=r"not one of those|is not an HTTP or HTTPS address|302"):
            download(f"{server.url}/f", tmp_path / "f", 10, "", HERE, QUICK)
        assert server.asked == ["/f"], "asked once"
        server.files["/g"] = b"x" * 10
        server.lies["/f"] = redirects(f"{server.url}/g")
        download(f"{server.url}/f", tmp_path / "f", 10, hashlib.md5(b"x" * 10).hexdigest(), HERE, QUICK)

    def test_more_of_them_can_be_named(self, server: Server, tmp_path: Path) -> None:
        server.add("SRR000001", _=reads("SRR000001", 1))
        server.rows["SRR000001"] = {"fastq_ftp": f"http://localhost:{server.http.server_port}/SRR000001.fastq.gz"}
        run = Accession("SRR000001")
        with pytest.raises(InputError, match="the host localhost is not one of those"):
            ena.fetch(run, tmp_path, server.reports, QUICK)
        assert not list(tmp_path.iterdir())
        assert [file.name for file in ena.fetch(run, tmp_path, server.reports, QUICK, ["LOCALHOST"]).files]


class TestReports:
    def test_that_do_not_help(self, server: Server) -> None:
        with pytest.raises(InputError, match=r"SRR000001: ENA has no such run; correct the acc.*dbGaP.*'sra\.ngc'"):
            remote_run("SRR000001", server.reports, QUICK)
        server.add("SRR000002")
        with pytest.raises(InputError, match=r"SRR000002: ENA has no FASTQ files.*sra-toolkit"):
            remote_run("SRR000002", server.reports, QUICK)

    @pytest.mark.parametrize(
        "body",
        [b"<html>", b"[" * 200_000, json.dumps([{"run_accession": "SRR000002"}]).encode(), b"\xff\xfe" * 100, b"\n\n"],
        ids=["page", "nested", "json", "binary", "blank"],
    )
    def test_of_something_else(self, body: bytes, server: Server) -> None:
        server.lies["/filereport"] = answers(body)
        with pytest.raises(InputError, match=r"not a file report of ENA with the columns run_accession, fastq_ftp"):
            remote_run("SRR000002", server.reports, QUICK)

    def test_without_an_end(self, server: Server) -> None:
        server.lies["/filereport"] = endless
        with pytest.raises(InputError, match="has more than 1,048,576 bytes"):
            remote_run("SRR000002", server.reports, QUICK)

    def test_whose_line_has_no_end(self, server: Server) -> None:
        server.lies["/filereport"] = answers(b"run_accession" + b"x" * (1 << 20))
        with (
            pytest.raises(InputError, match=r"has more than|line 1: is longer than"),
            ena.file_report("PRJNA1", ena.FIELDS, server.reports, QUICK) as rows,
        ):
            next(rows)

    def test_that_break_off(self, server: Server) -> None:
        """Of two rows only one came: the second half is missed."""
        server.of["PRJNA1"] = ["SRR000001", "SRR000002"]
        for run in server.of["PRJNA1"]:
            server.add(run, _=b"x")
        whole = server.report("PRJNA1", list(ena.FIELDS))

        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(whole)))
            handler.end_headers()
            handler.wfile.write(whole[: whole.index(b"SRR000002")])
            del server.lies["/filereport"]

        server.lies["/filereport"] = answer
        with ena.file_report("PRJNA1", ena.FIELDS, server.reports, QUICK) as rows:
            assert [row["run_accession"] for row in rows] == server.of["PRJNA1"]

    @pytest.mark.parametrize(
        ("cells", "reported"),
        [
            ({"fastq_bytes": "-5"}, "invalid fastq_bytes '-5'"),
            ({"fastq_bytes": "0"}, "invalid fastq_bytes '0'"),
            ({"fastq_bytes": "1e3"}, "invalid fastq_bytes '1e3'"),
            ({"fastq_bytes": "9" * 5000}, "invalid fastq_bytes '9+'"),
            ({"fastq_bytes": "1;2"}, "1 files have 2 sizes and 1 MD5 sums"),
            ({"read_count": "-1"}, "invalid read_count '-1'"),
            ({"base_count": "many"}, "invalid base_count 'many'"),
            ({"fastq_md5": "../../x"}, "is not an MD5 sum"),
            ({"fastq_ftp": "ebi.ac.uk/.."}, r"'ebi.ac.uk/\.\.' is not the name of a FASTQ file of it"),
            ({"fastq_ftp": "ebi.ac.uk/.lock"}, "is not the name of a FASTQ file of it"),
            ({"fastq_ftp": "ebi.ac.uk/SRR000002.fastq.gz"}, "is not the name of a FASTQ file of it"),
            ({"fastq_ftp": "ebi.ac.uk/SRR000001.fastq.gz?x"}, "is not the name of a FASTQ file of it"),
            ({"fastq_ftp": "ebi.ac.uk/SRR000001_1.fastq.gz.part"}, "is not the name of a FASTQ file of it"),
            ({"fastq_ftp": "a/SRR000001.fastq.gz;SRR000001.fastq", "fastq_bytes": "", "fastq_md5": ""}, "have one"),
        ],
    )  # fmt: skip
    def test_with_odd_cells(self, cells: dict[str, str], reported: str, server: Server, tmp_path: Path) -> None:
        server.add("SRR000001", _=reads("SRR000001", 1))
        server.rows["SRR000001"] = cells
        with pytest.raises(InputError, match=rf"127\.0\.0\.1: run SRR000001: .*{reported}"):
            ena.fetch(Accession("SRR000001"), tmp_path, server.reports, QUICK)
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("place", ["file:///etc/SRR000001.fastq.gz", "http://169.254.1.1/SRR000001.fastq.gz"])
    def test_with_files_elsewhere(self, place: str, server: Server, tmp_path: Path) -> None:
        server.add("SRR000001", _=reads("SRR000001", 1))
        server.rows["SRR000001"] = {"fastq_ftp": place}
        with pytest.raises(InputError, match=r"not an HTTP or HTTPS address|not one of those"):
            ena.fetch(Accession("SRR000001"), tmp_path, server.reports, QUICK)
        assert not list(tmp_path.iterdir())

    def test_about_another_run(self, server: Server) -> None:
        server.add("SRR000002", _=b"x")
        server.of["SRR000001"] = ["SRR000002"]
        with pytest.raises(InputError, match="SRR000001: ENA has no such run"):
            remote_run("SRR000001", server.reports, QUICK)

    def test_addresses_are_read_over_https(self) -> None:
        row = dict.fromkeys(ena.FIELDS, "") | {"run_accession": "SRR000001"}
        place = "ftp.sra.ebi.ac.uk/vol1/fastq/SRR000/SRR000001/SRR000001.fastq.gz"
        for written in (place, f"ftp://{place}", f"https://{place}"):
            assert ena.RemoteRun.of({**row, "fastq_ftp": written}, "report").files[0].url == f"https://{place}"


class TestReadsWithoutAMate:
    """They go behind those of the first file; a download that was interrupted anywhere is gone on with."""

    def test_all_reads_of_a_run_are_fetched(self, server: Server, tmp_path: Path) -> None:
        texts = {name: reads("SRR000001", number) for number, name in enumerate(("_", "_1", "_2"))}
        server.add("SRR000001", **texts)
        fetched = ena.fetch(Accession("SRR000001"), tmp_path, server.reports, QUICK)
        assert [file.name for file in fetched.files] == ["SRR000001_1_and_unpaired.fastq.gz", "SRR000001_2.fastq.gz"]
        assert (
            fetched.files[0].read_bytes() == server.files["/SRR000001_1.fastq.gz"] + server.files["/SRR000001.fastq.gz"]
        )
        assert {path.name for path in tmp_path.iterdir()} == {file.name for file in fetched.files}
        asked = server.asked.copy()
        assert ena.fetch(Accession("SRR000001"), tmp_path, server.reports, QUICK).files == fetched.files
        assert server.asked == [*asked, "/filereport"]

    def test_after_a_kill(self, server: Server, tmp_path: Path) -> None:
        texts = {name: reads("SRR000001", number) for number, name in enumerate(("_", "_1", "_2"))}
        server.add("SRR000001", **texts)
        (tmp_path / "SRR000001_1_and_unpaired.fastq.gz.part").write_bytes(b"half")
        (tmp_path / "SRR000001.fastq.gz").write_bytes(server.files["/SRR000001.fastq.gz"])
        fetched = ena.fetch(Accession("SRR000001"), tmp_path, server.reports, QUICK)
        assert (
            fetched.files[0].read_bytes() == server.files["/SRR000001_1.fastq.gz"] + server.files["/SRR000001.fastq.gz"]
        )
        assert {path.name for path in tmp_path.iterdir()} == {file.name for file in fetched.files}
