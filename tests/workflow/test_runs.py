"""Runs that are fetched: from a stand-in of ENA on this machine, and by the tools of SRA as far as they go offline."""

import contextlib
import gzip
import hashlib
import json
import os
import random
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from geneformer_codec.errors import InputError
from geneformer_rules import runs, toolkit
from geneformer_rules.accessions import Accession, choose, is_no_run, parse
from geneformer_rules.downloading import NetworkError, Patience, download
from geneformer_rules.ena import run_files

from .conftest import Project

QUICK = Patience(tries=3, seconds=0.001)


def reads(run: str, mate: int, count: int = 60, length: int = 76) -> bytes:
    """FASTQ as SRA gives it."""
    chance = random.Random(f"{run}{mate}")
    lines = []
    for number in range(1, count + 1):
        bases = "".join(chance.choices("ACGTN", (25, 25, 25, 25, 1), k=length))
        lines += [f"@{run}.{number} {number}/{mate}", bases, "+", "".join(chance.choices("#-?AF", k=length))]
    return ("\n".join(lines) + "\n").encode()


class Server:
    """ENA, as far as it is used. ``stumbles`` are answers that go wrong before one is right."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.runs: dict[str, list[str]] = {}
        self.stumbles: list[str] = []
        self.ranges: list[str] = []
        self.asked: list[str] = []
        self.at_once = self.most_at_once = 0
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def add(self, run: str, **texts: bytes) -> None:
        """A run and its files, named ``RUN.fastq.gz`` for ``_`` and ``RUN_1.fastq.gz`` for ``_1``."""
        self.runs[run] = [f"/{run}{'' if part == '_' else part}.fastq.gz" for part in texts]
        self.files |= dict(zip(self.runs[run], (gzip.compress(text) for text in texts.values()), strict=True))

    def _report(self, run: str) -> list[dict[str, str]]:
        if run not in self.runs:
            return []
        files = [self.files[name] for name in self.runs[run]]
        return [
            {
                "run_accession": run,
                "fastq_ftp": ";".join(self.url + name for name in self.runs[run]),
                "fastq_bytes": ";".join(str(len(file)) for file in files),
                "fastq_md5": ";".join(hashlib.md5(file).hexdigest() for file in files),
            }
        ]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                address = urlsplit(self.path)
                server.asked.append(address.path)
                if address.path == "/filereport":
                    data, status = json.dumps(server._report(parse_qs(address.query)["accession"][0])).encode(), 200
                elif address.path in server.files:
                    data, status = server.files[address.path], 200
                else:
                    return self.send_error(404)
                stumble = server.stumbles.pop(0) if server.stumbles and address.path != "/filereport" else ""
                if stumble == "busy":
                    return self.send_error(503)
                start = 0
                if wanted := self.headers.get("Range"):
                    server.ranges.append(wanted)
                    start, status = int(wanted.removeprefix("bytes=").rstrip("-")), 206
                self.send_response(status)
                self.send_header("Content-Length", str(len(data) - start))
                if status == 206:
                    self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
                self.end_headers()
                data = data[start:]
                if stumble == "breaks off":
                    data = data[: len(data) // 2]
                if stumble == "garbles":
                    data = bytes(octet ^ 1 for octet in data)
                self.wfile.write(data)
                return None

        return Handler


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


class TestAccessions:
    def test_what_is_one(self) -> None:
        assert parse("SRR3927310") == Accession("SRR3927310")
        assert parse("ERR000589:unpaired") == Accession("ERR000589", "unpaired")
        assert parse("data/SRR3927310.fastq") is None
        assert [is_no_run(cell) for cell in ("PRJNA12", "SRP000001", "SAMN0001", "SRR000001", "x.fa")] == [True] * 3 + [
            False
        ] * 2

    @pytest.mark.parametrize(
        ("given", "files", "chosen"),
        [
            ("SRR000001", ["SRR000001.fastq.gz"], [0]),
            ("SRR000001", ["SRR000001_1.fastq.gz", "SRR000001_2.fastq.gz"], [0, 1]),
            ("SRR000001", ["SRR000001_1.fastq"], [0]),
            ("SRR000001:paired", ["SRR000001.fastq", "SRR000001_1.fastq", "SRR000001_2.fastq"], [1, 2]),
            ("SRR000001:unpaired", ["SRR000001.fastq", "SRR000001_1.fastq", "SRR000001_2.fastq"], [0]),
        ],
    )
    def test_which_files_a_sample_is(self, given: str, files: list[str], chosen: list[int]) -> None:
        accession = parse(given)
        assert accession is not None
        assert choose(accession, {name: number for number, name in enumerate(files)}) == chosen

    def test_reads_without_a_mate_are_never_left_out_unsaid(self) -> None:
        names = dict.fromkeys(["SRR000001.fastq", "SRR000001_1.fastq", "SRR000001_2.fastq"])
        with pytest.raises(InputError, match="'SRR000001:paired' and as 'SRR000001:unpaired'"):
            choose(Accession("SRR000001"), names)
        with pytest.raises(InputError, match="has no unpaired reads"):
            choose(Accession("SRR000001", "unpaired"), dict.fromkeys(["SRR000001_1.fastq", "SRR000001_2.fastq"]))
        with pytest.raises(InputError, match="neither one nor a pair"):
            choose(Accession("SRR000001"), dict.fromkeys([f"SRR000001_{number}.fastq" for number in range(1, 5)]))


class TestDownloading:
    def fetched(self, server: Server, path: Path) -> bytes:
        data = server.files["/f"]
        download(f"{server.url}/f", path, len(data), hashlib.md5(data).hexdigest(), QUICK)
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

    def test_what_is_refused_is_not_asked_again(self, server: Server, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="answers 404"):
            download(f"{server.url}/gone", tmp_path / "f", 1, "", QUICK)
        assert server.asked == ["/gone"]

    def test_nobody_answers(self, server: Server, tmp_path: Path) -> None:
        server.http.server_close()
        with pytest.raises(NetworkError, match=r"cannot be reached.*tried 3 times.*again later"):
            run_files(Accession("SRR000001"), f"{server.url}/filereport", QUICK)

    def test_reports_that_do_not_help(self, server: Server) -> None:
        url = f"{server.url}/filereport"
        with pytest.raises(InputError, match="SRR000001: ENA knows no such run; correct the accession"):
            run_files(Accession("SRR000001"), url, QUICK)
        server.add("SRR000002")
        with pytest.raises(InputError, match=r"SRR000002: ENA has no FASTQ files.*sra-toolkit"):
            run_files(Accession("SRR000002"), url, QUICK)
        server.files["/page"] = b"<html>"
        with pytest.raises(InputError, match=r"is not JSON but begins with b'<html>'"):
            run_files(Accession("SRR000002"), f"{server.url}/page", QUICK)


class TestPlaces:
    def test_abandoned_downloads_make_room(self, tmp_path: Path) -> None:
        """Those of jobs at work stay, and what was kept."""
        for number, name in enumerate(["oldest", "old", "kept"]):
            (tmp_path / name).mkdir()
            (tmp_path / name / "reads").touch()
            if name != "kept":
                (tmp_path / name / ".lock").touch()
            os.utime(tmp_path / name, (number, number))
        with runs._place(tmp_path, "working", None), runs._place(tmp_path, "new", 4):
            assert self.names(tmp_path) == {"working", "new", "kept", "old"}
            with runs._place(tmp_path, "next", 2):
                assert self.names(tmp_path) == {"working", "new", "next", "kept"}
        assert self.names(tmp_path) == {"kept"}, "what was never used is gone"

    def names(self, directory: Path) -> set[str]:
        return {path.name for path in directory.iterdir() if path.is_dir()}

    def test_what_a_job_that_failed_has_fetched_is_gone_on_with(self, tmp_path: Path) -> None:
        with contextlib.suppress(InputError), runs._place(tmp_path, "run", 1) as directory:
            (directory / "reads").touch()
            raise InputError("no network")
        assert (tmp_path / "run" / "reads").exists()
        with runs._place(tmp_path, "other", 1):
            assert self.names(tmp_path) == {"other"}

    def test_two_jobs_do_not_share_one(self, tmp_path: Path) -> None:
        with (
            runs._place(tmp_path, "run", 1),
            pytest.raises(InputError, match="another job is at work"),
            runs._place(tmp_path, "run", 1),
        ):
            pass


def test_runs_and_pairs_are_archived(project: Project, server: Server) -> None:
    """Fetched ones and files of one's own; one is unknown; one breaks off and goes on in the next run."""
    one, pair = reads("SRR000001", 1), [reads("SRR000002", mate) for mate in (1, 2)]
    server.add("SRR000001", _=one)
    server.add("SRR000002", _1=pair[0], _2=pair[1])
    server.add("SRR000003", _=reads("SRR000003", 1))
    project.samples[0] += "\tmate"
    project.samples += [f"{name}\t{run}\tnone\t" for name, run in [("one", "SRR000001"), ("two", "SRR000002")]]
    project.samples += ["stopped\tSRR000003\tnone\t", "unknown\tSRR000004\tnone\t"]
    for name, count in (("small", 20), ("large", 400)):
        for mate in (1, 2):
            path = project.directory / "data" / f"{name}_{mate}.fq.gz"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(gzip.compress(reads(name, mate, count)))
        project.samples.append(f"{name}\tdata/{name}_1.fq.gz\tnone\tdata/{name}_2.fq.gz")
    project.settings |= {"part_bases": 40_000, "retries": 0, "delete_source": True}
    project.settings["sra"] = {"ena_url": f"{server.url}/filereport", "tries": 1, "downloads": 1}
    whole = server.files["/SRR000003.fastq.gz"]
    held = project.result("downloads", "stopped", "SRR000003.fastq.gz.part")
    held.parent.mkdir(parents=True)
    (held.parent / ".lock").touch()
    held.write_bytes(whole[:1000])
    said = project.run("results/archives/stopped.gfz")
    assert server.ranges == ["bytes=1000-"]
    assert "sra_downloads=1" in said
    said = project.run("compress_all", "--keep-going", status=1)
    assert said.count("localrule archive_run:") == 3
    assert said.count("Error in rule") == 1
    assert len(json.loads(project.result("plans", "large.json").read_text())["parts"]) > 1, "a pair in parts"
    assert "error: SRR000004: ENA knows no such run" in project.all_logs()
    assert [path.name for path in project.result("downloads").iterdir()] == [".lock"]
    assert not list(project.directory.rglob("*.fq.gz"))
    project.samples.remove("unknown\tSRR000004\tnone\t")
    asked = len(server.asked)
    wanted = [f"results/decompressed/{name}" for name in ("one.fq", "two_2.fq", "stopped.fa")]
    project.run(*wanted, "--keep-going", status=1)
    assert {path.name for path in project.result("decompressed").iterdir()} == {"one.fq", "two_1.fq", "two_2.fq"}
    assert "holds FASTQ and does not become results/decompressed/stopped.fa; ask for results/dec" in project.all_logs()
    project.run("compress_all", "decompress_all", "verify_all")
    assert len(server.asked) == asked
    assert project.report("two")["accession"] == "SRR000002"
    assert project.report("two")["records"] == 120
    texts = {path.name: path.read_bytes() for path in project.result("decompressed").glob("*.f*")}
    expected = {"one.fq": one, "stopped.fq": reads("SRR000003", 1)}
    expected |= {f"two_{mate}.fq": pair[mate - 1] for mate in (1, 2)}
    expected |= {
        f"{name}_{mate}.fq": reads(name, mate, count)
        for name, count in (("small", 20), ("large", 400))
        for mate in (1, 2)
    }
    assert texts == expected
    assert "Nothing to be done" in project.run("-n", "compress_all", "decompress_all")


TOOLS = ("latf-load", "kar", "vdb-validate", "fasterq-dump")


class TestToolkit:
    @pytest.fixture
    def archived(self, tmp_path: Path) -> Path:
        """A run as prefetch leaves it, made by the tools that SRA loads submissions with."""
        for tool in TOOLS:
            if shutil.which(tool) is None:
                pytest.skip(f"{tool} is not there, of the SRA toolkit")
        for mate in (1, 2):
            (tmp_path / f"r_{mate}.fastq").write_bytes(reads("SRR000008", mate))
        load = "latf-load -p ILLUMINA --quality PHRED_33 -o db -1 r_1.fastq -2 r_2.fastq > log 2>&1"
        assert os.system(f"cd {tmp_path} && {load} && kar --create SRR000009.sra --directory db >> log 2>&1") == 0
        return tmp_path / "SRR000009.sra"

    def stand_in(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str) -> None:
        """A prefetch that needs no network."""
        tool = tmp_path / "bin" / "prefetch"
        tool.parent.mkdir(exist_ok=True)
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")

    def test_reads_are_validated_extracted_and_counted(
        self, archived: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.stand_in(monkeypatch, tmp_path, f'ls $3/$1/*.lock || {{ mkdir -p "$3/$1" && cp {archived} "$3/$1/"; }}')
        out = tmp_path / "out"
        (out / "SRR000009").mkdir(parents=True)
        (out / "SRR000009" / "SRR000009.sra.lock").touch()  # as a prefetch leaves it that was killed
        files, count = toolkit.fetch(Accession("SRR000009"), out, 1, QUICK)
        assert [file.name for file in files] == ["SRR000009_1.fastq", "SRR000009_2.fastq"]
        assert count == 120
        assert files[0].read_bytes().splitlines()[1::4] == reads("SRR000008", 1).splitlines()[1::4]
        damaged = bytearray(archived.read_bytes())
        damaged[len(damaged) // 2] ^= 255
        archived.write_bytes(damaged)
        with pytest.raises(InputError, match="SRR000009: what was downloaded is damaged; vdb-validate says"):
            toolkit.fetch(Accession("SRR000009"), out, 1, QUICK)
        assert not (out / "SRR000009").exists(), "or it would be found again"

    @pytest.mark.parametrize(
        ("said", "tries", "told"),
        [
            ("err: Cannot resolve accession ( 404 )", 1, "correct the accession in the sample sheet"),
            ("err: connection failed while opening file: timeout", 3, r"tried 3 times\); run the workflow again later"),
        ],
    )
    def test_prefetch_fails(
        self, said: str, tries: int, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for tool in TOOLS[2:]:
            monkeypatch.setattr(shutil, "which", lambda tool: tool)
        self.stand_in(monkeypatch, tmp_path, f'echo x >> {tmp_path}/calls; echo "{said}"; exit 3')
        with pytest.raises(InputError, match=told):
            toolkit.fetch(Accession("SRR000009"), tmp_path / "out", 1, QUICK)
        assert len((tmp_path / "calls").read_text().split()) == tries

    def test_no_tools(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(
            InputError, match=r"prefetch: there is no such command; install the SRA toolkit.*sra.source"
        ):
            toolkit.fetch(Accession("SRR000009"), tmp_path, 1, QUICK)
