"""A stand-in of ENA on this machine: its file reports, its files, its odd cases, and lies that ENA does not tell."""

import gzip
import hashlib
import random
import threading
import urllib.parse
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from geneformer_rules.downloading import Patience

QUICK = Patience(tries=3, seconds=0.001)


def reads(run: str, mate: int, count: int = 60, length: int = 76) -> bytes:
    """FASTQ as SRA gives it."""
    rng = random.Random(f"{run}{mate}")
    lines = []
    for number in range(1, count + 1):
        bases = "".join(rng.choices("ACGTN", (25, 25, 25, 25, 1), k=length))
        lines += [f"@{run}.{number} {number}/{mate}", bases, "+", "".join(rng.choices("#-?AF", k=length))]
    return ("\n".join(lines) + "\n").encode()


class Server:
    """ENA and GEO, as far as they are used. ``stumbles`` are answers about files that go wrong before one is right.

    ``rows`` has cells of the report by run, beside those that follow from the files; a ``"RUN"`` without files has no
    FASTQ. ``of`` has the runs of other accessions. ``lies`` are answers in place of those at a path.
    ``geo`` has the text of GEO's records.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.runs: dict[str, list[str]] = {}
        self.counts: dict[str, tuple[object, ...]] = {}
        self.rows: dict[str, dict[str, str]] = {}
        self.of: dict[str, list[str]] = {}
        self.geo: dict[str, str] = {}
        self.lies: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        self.stumbles: list[str] = []
        self.ranges: list[str] = []
        self.asked: list[str] = []
        self.on_file: Callable[[], None] = lambda: None
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.reports = f"{self.url}/filereport"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def add(self, run: str, **texts: bytes) -> None:
        """A run and its files, named ``RUN.fastq.gz`` for ``_`` and ``RUN_1.fastq.gz`` for ``_1``."""
        self.runs[run] = [f"/{run}{'' if part == '_' else part}.fastq.gz" for part in texts]
        self.files |= dict(zip(self.runs[run], (gzip.compress(text) for text in texts.values()), strict=True))

    def report(self, accession: str, fields: list[str]) -> bytes:
        """The report about an accession, as ENA writes it: nothing but the header where it knows of nothing."""
        lines = [fields]
        for run in self.of.get(accession, [accession]):
            if run in self.runs:
                row = self._row(run)
                lines.append([row.get(field, "") for field in fields])
        return "".join("\t".join(line) + "\n" for line in lines).encode()

    def _row(self, run: str) -> dict[str, str]:
        files = [self.files.get(name, b"") for name in self.runs[run]]
        counts = zip(("read_count", "base_count"), map(str, self.counts.get(run, ())), strict=False)
        return {
            "run_accession": run,
            "fastq_ftp": ";".join(self.url + name for name in self.runs[run]),
            "fastq_bytes": ";".join(str(len(file) or 1) for file in files),
            "fastq_md5": ";".join(hashlib.md5(file).hexdigest() for file in files),
            **dict(counts),
            **self.rows.get(run, {}),
        }

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                address = urllib.parse.urlsplit(self.path)
                server.asked.append(address.path)
                if address.path in server.lies:
                    return server.lies[address.path](self)
                if address.path == "/filereport":
                    query = {key: values[0] for key, values in urllib.parse.parse_qs(address.query).items()}
                    assert (query["result"], query["format"], query["limit"]) == ("read_run", "tsv", "0")
                    if query["accession"][:3] in ("GSE", "GSM"):
                        return self.send_error(400)
                    data, status = server.report(query["accession"], query["fields"].split(",")), 200
                elif address.path == "/geo":
                    query = {key: values[0] for key, values in urllib.parse.parse_qs(address.query).items()}
                    assert (query["targ"], query["form"], query["view"]) == ("self", "text", "brief")
                    data, status = server.geo.get(query["acc"], "<!DOCTYPE html>\n<html>").encode(), 200
                elif address.path in server.files:
                    server.on_file()
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


def answers(data: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
    """An answer of these bytes, whatever was asked."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def endless(handler: BaseHTTPRequestHandler) -> None:
    """An answer without a length that goes on until nobody listens."""
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b"A" * 65536)
    except OSError:
        pass


def redirects(place: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """An answer that sends the client to another place."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", place)
        handler.end_headers()

    return answer
