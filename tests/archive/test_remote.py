"""Archives on a server: read by byte ranges, as few as can be."""

import http.server
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from geneformer_codec import api
from geneformer_codec.archive.read import Archive
from geneformer_codec.archive.remote import RemoteFile, is_url
from geneformer_codec.errors import FormatError, InputError, UsageError
from geneformer_codec.reader import open

from .conftest import ZlibModel, make_fasta

Write = Callable[[str, bytes], Path]


class Server:
    """Serves files by name; counts the bytes that it sends."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.ranges = True
        self.sent = self.requests = 0
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_HEAD(self) -> None:
                self.answer(b"")

            def do_GET(self) -> None:
                self.answer(None)

            def answer(self, body: bytes | None) -> None:
                data = server.files.get(self.path.lstrip("/"))
                if data is None:
                    self.send_response(404)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
                status, part = 200, data
                if asked and server.ranges:
                    start, stop = int(asked[1]), min(int(asked[2] or len(data)), len(data) - 1)
                    status, part = 206, data[start : stop + 1]
                self.send_response(status)
                if status == 206:
                    self.send_header("Content-Range", f"bytes {start}-{stop}/{len(data)}")
                if server.ranges:
                    self.send_header("Accept-Ranges", "bytes")
                self.send_header("Content-Length", str(len(part)))
                self.end_headers()
                if body is None:
                    server.sent += len(part)
                    server.requests += 1
                    self.wfile.write(part)

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def test_only_what_is_needed(server: Server, tmp_path: Path, write: Write, model: ZlibModel) -> None:
    text = make_fasta(200, 20_000)
    path = tmp_path / "a.gfz"
    api.compress(write("in.fa", text), path, model=model, part_bases=200_000, lane_length=8192)
    server.files["a.gfz"] = data = path.read_bytes()
    assert len(data) > 700_000
    url = f"{server.url}/a.gfz"
    assert api.info(url) == api.info(path)
    ends = server.sent
    assert ends < 140_000, "two ends of the file"
    with open(path, model=model) as local, open(url, model=model) as remote:
        assert list(remote) == list(local)
        assert server.sent < 2 * ends + 20_000, "and names and layout"
        before, requests = server.sent, server.requests
        assert remote["seq150"][5000:5100] == local["seq150"][5000:5100]
        assert server.sent - before < 20_000, "side streams of a part, and a lane"
        assert server.requests - requests <= 4
        before = server.sent
        assert remote["seq150"][5020:5080] == local["seq150"][5020:5080]
        assert server.sent == before
        assert str(remote["seq20"]) == str(local["seq20"])
        assert remote["seq0"][:10] + remote["seq199"][:10] == local["seq0"][:10] + local["seq199"][:10]


def test_a_whole_archive(server: Server, tmp_path: Path, write: Write) -> None:
    text = make_fasta(20, 900)
    api.compress(write("in.fa", text), tmp_path / "a.gfz", part_bases=5000)
    server.files["a.gfz"] = (tmp_path / "a.gfz").read_bytes()
    api.verify(f"{server.url}/a.gfz")
    api.decompress(f"{server.url}/a.gfz", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == text


def test_what_can_go_wrong(server: Server, tmp_path: Path, write: Write) -> None:
    api.compress(write("in.fa", make_fasta(200, 4000)), tmp_path / "a.gfz")
    server.files["a.gfz"] = data = (tmp_path / "a.gfz").read_bytes()
    with pytest.raises(InputError, match=r"/none\.gfz: there is no such file"):
        api.info(f"{server.url}/none.gfz")
    with pytest.raises(UsageError, match=r"nothing://x\.gfz"):
        api.info("nothing://x.gfz")
    with pytest.raises(UsageError, match=r"pip install 'geneformer-rules\[remote\]'"):
        api.info("oci://bucket/x.gfz")
    server.files["text"] = b">a\nACGT\n"
    with pytest.raises(FormatError, match=r"/text: this is not a \.gfz archive"):
        api.info(f"{server.url}/text")
    with Archive(f"{server.url}/a.gfz") as archive:
        server.files["a.gfz"] = data[:1000]
        with pytest.raises((FormatError, InputError), match=r"/a\.gfz"):
            archive.block_data(archive.blocks[0])
    server.files["a.gfz"], server.ranges = data, False
    with pytest.raises(InputError, match="does not give parts of files"):
        api.info(f"{server.url}/a.gfz")
    server.close()
    with pytest.raises(InputError, match=rf"cannot read {server.url}"):
        api.info(f"{server.url}/a.gfz")


def test_other_stores(tmp_path: Path, write: Write) -> None:
    """fsspec knows many; this one is in memory."""
    import fsspec

    text = make_fasta(5, 900)
    api.compress(write("in.fa", text), tmp_path / "a.gfz")
    with fsspec.open("memory://store/a.gfz", "wb") as file:
        file.write((tmp_path / "a.gfz").read_bytes())
    with open("memory://store/a.gfz") as archive:
        assert len(str(archive["seq3"])) == len(archive["seq3"])


def test_reads_and_seeks(server: Server) -> None:
    server.files["x"] = data = bytes(range(256)) * 2000
    with RemoteFile(f"{server.url}/x") as file:
        file.hold([(1000, 2000), (2000, 3000), (300_000, 300_000), (290_000, 290_010), (511_000, 511_900)])
        requests = server.requests
        file.seek(1500)
        assert file.read(1000) == data[1500:2500]
        assert server.requests == requests
        assert (file.seek(-5, 2), file.read(), file.read(1), file.tell()) == (len(data) - 5, data[-5:], b"", len(data))
        file.seek(299_000)
        buffer = bytearray(10)
        assert (file.readinto(buffer), bytes(buffer)) == (10, data[299_000:299_010])
        assert server.requests == requests + 1
        assert file.seek(-10, 1) == 299_000
        with pytest.raises(ValueError, match="before the start"):
            file.seek(-1)
    assert is_url("s3://bucket/x.gfz")
    assert not is_url("x.gfz")
    assert not is_url(Path("x.gfz"))
