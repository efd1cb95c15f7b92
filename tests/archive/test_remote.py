"""Archives on a server: read by byte ranges, as few as can be."""

import http.server
import io
import random
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from geneformer_codec import api
from geneformer_codec.archive import random_access as access
from geneformer_codec.archive import remote
from geneformer_codec.archive.read import Archive
from geneformer_codec.archive.remote import RemoteFile, is_url
from geneformer_codec.errors import FormatError, InputError, UsageError
from geneformer_codec.reader import open

from .conftest import Write, ZlibModel, make_fasta, pack, unpacked


class Server:
    """Serves files by name; counts the bytes that it sends. It can be reported to do so badly."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.ranges = True
        self.headers: dict[str, str] = {"ETag": '"one"'}
        self.status: int | None = None
        self.before: Callable[[int], None] = lambda number: None
        """Called with the number of each request before it is answered."""
        self.mangle: Callable[[int, bytes], bytes] = lambda number, body: body
        self.sent = self.requests = 0
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # it holds a body back until the header was acknowledged

            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                server.requests += 1
                number = server.requests
                server.before(number)
                data = server.files.get(self.path.lstrip("/"))
                status, part, headers = server.status or 404, b"", {}
                if data is not None and not server.status:
                    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
                    status, part, headers = 200, data, dict(server.headers)
                    if asked and server.ranges and int(asked[1]) >= len(data):
                        status, part, headers = 416, b"", {"Content-Range": f"bytes */{len(data)}"} | headers
                    elif asked and server.ranges:
                        start, stop = int(asked[1]), min(int(asked[2] or len(data)), len(data) - 1)
                        status, part = 206, data[start : stop + 1]
                        headers = {"Content-Range": f"bytes {start}-{stop}/{len(data)}"} | headers
                self.send_response(status)
                for name, value in (headers or server.headers).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(part)))
                self.end_headers()
                server.sent += len(part)
                body = server.mangle(number, part)
                self.wfile.write(body)
                self.close_connection = len(body) < len(part)

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def test_only_what_is_needed(
    server: Server, tmp_path: Path, write: Write, model: ZlibModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = make_fasta(200, 20_000)
    path = tmp_path / "a.gfz"
    api.compress(write("in.fa", text), path, model=model, part_bases=200_000, access=8192)
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
        assert server.sent - before < len(data) // 8, "a small block is fetched whole, and so checked"
        assert server.requests == requests + 1
        before = server.sent
        assert remote["seq150"][5020:5080] == local["seq150"][5020:5080]
        assert server.sent == before
        monkeypatch.setattr(access, "WHOLE_BYTES", 0)
        assert remote["seq100"][5000:5100] == local["seq100"][5000:5100]
        assert server.sent - before < 20_000, "side streams of a part, and a slice"
        assert server.requests - requests <= 5
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
    server.files["none"] = b""
    with pytest.raises(FormatError, match=r"/none: the file is empty"):
        api.info(f"{server.url}/none")
    server.files["a.gfz"], server.ranges = data, False
    with pytest.raises(InputError, match="does not give parts of files"):
        api.info(f"{server.url}/a.gfz")
    server.close()
    with pytest.raises(InputError, match=rf"cannot read {server.url}.*cannot connect to the server"):
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


@pytest.mark.parametrize(
    ("status", "headers", "message"),
    [
        (404, {}, "there is no such file"),
        (410, {}, "there is no such file"),
        (401, {}, "no permission, the server answers 401 Unauthorized"),
        (403, {}, "no permission, the server answers 403 Forbidden"),
        (429, {}, "the server answers 429 Too Many Requests; try again later"),
        (500, {}, "the server answers 500 Internal Server Error; try again later"),
        (503, {}, "the server answers 503 Service Unavailable; try again later"),
        (400, {}, "the server answers 400 Bad Request; check the address"),
        (302, {}, "the server answers 302 Found without saying where to"),
        (302, {"Location": "a.gfz"}, "redirects without end"),
        (302, {"Location": "ftp://host/a.gfz"}, "redirects to an address that is not followed"),
    ],
)
def test_what_a_server_answers(server: Server, status: int, headers: dict[str, str], message: str) -> None:
    server.status, server.headers = status, headers
    with pytest.raises(InputError, match=rf"{server.url}/a\.gfz: .*{message}") as caught:
        api.info(f"{server.url}/a.gfz")
    assert isinstance(caught.value.__cause__, FileNotFoundError) == (status in (404, 410))


def test_without_a_secure_connection(server: Server) -> None:
    url = server.url.replace("http:", "https:") + "/a.gfz"
    with pytest.raises(InputError, match=rf"cannot read {url}: no secure connection"):
        api.info(url)


def test_a_server_that_is_silent(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_SILENCE", 0.2)
    waiting = threading.Event()
    server.before = lambda number: waiting.wait(1800) and None
    with pytest.raises(InputError, match="does not answer in time"):
        api.info(f"{server.url}/a.gfz")
    waiting.set()


REGIONS = {"seq3": (5, 400), "seq11": (0, 9), "seq30": (100, 460), "seq39": (0, None)}


@pytest.fixture
def pair(tmp_path: Path, write: Write, model: ZlibModel) -> dict[str, bytes]:
    """An archive, another of the same names, and one of the same size whose blocks alone are others."""
    made = {}
    for name, seed in (("first", 1), ("other", 2)):
        api.compress(
            write("in.fa", make_fasta(40, 900, seed)), tmp_path / name, model=model, embed=True, part_bases=8000,
            access=512, name="in.fa",
        )  # fmt: skip
        made[name] = (tmp_path / name).read_bytes()
    entries, manifest = unpacked(tmp_path / "first")
    changed = {name: bytes(octet ^ 1 for octet in data) for name, data in entries.items() if name[:6] != "models"}
    pack(tmp_path / "alike", entries | changed, manifest)
    made["alike"] = (tmp_path / "alike").read_bytes()
    assert len(made["alike"]) == len(made["first"])
    return made


@pytest.fixture
def far_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Archives of tests are small; have their ends and blocks be small as well, so that pieces are asked for."""
    monkeypatch.setattr(remote, "_TAIL_BYTES", 4096)
    monkeypatch.setattr(access, "WHOLE_BYTES", 0)


def stretches(url: str) -> list[str] | None:
    """What stands in some regions of the archive; None if that could not be read."""
    try:
        with open(url) as archive:
            return [archive[name][start:stop] for name, (start, stop) in REGIONS.items()]
    except (FormatError, InputError, KeyError):
        return None


def right_stretches(data: bytes) -> list[str]:
    with open(io.BytesIO(data)) as archive:
        return [archive[name][start:stop] for name, (start, stop) in REGIONS.items()]


DATE = "Mon, 01 Jan 2024 00:00:"
VALIDATORS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "strong etag": ({"ETag": '"one"'}, {"ETag": '"two"'}),
    "weak etag": ({"ETag": 'W/"one"'}, {"ETag": 'W/"two"'}),
    "weak etag of both": ({"ETag": 'W/"one"'}, {"ETag": 'W/"one"'}),
    "no etag later": ({"ETag": '"one"'}, {}),
    "last-modified": ({"Last-Modified": f"{DATE}00 GMT"}, {"Last-Modified": f"{DATE}01 GMT"}),
    "last-modified of both": ({"Last-Modified": f"{DATE}00 GMT"}, {"Last-Modified": f"{DATE}00 GMT"}),
    "nothing": ({}, {}),
}  # fmt: skip


@pytest.mark.usefixtures("far_apart")
@pytest.mark.parametrize("other", ["other", "alike"])
@pytest.mark.parametrize("validator", VALIDATORS)
def test_a_file_that_is_replaced(server: Server, pair: dict[str, bytes], validator: str, other: str) -> None:
    """Whenever it happens: what is read is of one file, or nothing is."""
    right, url = right_stretches(pair["first"]), f"{server.url}/a.gfz"
    errors = 0
    for when in range(2, 40):
        server.files["a.gfz"], server.headers = pair["first"], VALIDATORS[validator][0]

        def replace(number: int, at: int = server.requests + when) -> None:
            if number == at:
                server.files["a.gfz"], server.headers = pair[other], VALIDATORS[validator][1]

        server.before, requests = replace, server.requests
        found = stretches(url)
        assert found in (None, right), when
        errors += found is None
        if server.requests < requests + when:
            break
    assert errors > 3


@pytest.mark.usefixtures("far_apart")
@pytest.mark.parametrize("headers", [{"ETag": '"one"'}, {"ETag": 'W/"one"'}, {}], ids=str)
def test_a_replaced_file_is_reported(server: Server, pair: dict[str, bytes], headers: dict[str, str]) -> None:
    server.files["a.gfz"], server.headers = pair["first"], headers
    with Archive(f"{server.url}/a.gfz") as archive:
        server.files["a.gfz"] = pair["other"]
        with pytest.raises(FormatError, match=r"/a\.gfz: the file was replaced or truncated while it was read"):
            archive.read_range(archive.blocks[0], 10, 20)
        server.files.clear()
        with pytest.raises(FormatError, match=r"/a\.gfz: the file was replaced or truncated while it was read"):
            archive.block_data(archive.blocks[0])


def test_times_that_differ_on_servers_of_one_name(server: Server, pair: dict[str, bytes]) -> None:
    """A strong ETag says that the bytes are the same, whatever the time."""
    server.files["a.gfz"] = pair["first"]
    server.before = lambda number: server.headers.update({"Last-Modified": f"{DATE}{number:02} GMT"})
    assert stretches(f"{server.url}/a.gfz") == right_stretches(pair["first"])


@pytest.mark.parametrize("pieces", [False, True])
def test_bytes_that_change_on_the_way(
    server: Server, pair: dict[str, bytes], request: pytest.FixtureRequest, pieces: bool
) -> None:
    """Blocks that are fetched whole are checked; of others, records that are read whole are."""
    if pieces:
        request.getfixturevalue("far_apart")
    server.files["a.gfz"] = pair["first"]
    right, url = right_stretches(pair["first"]), f"{server.url}/a.gfz"
    assert stretches(url) == right
    answers, rng, errors = server.requests, random.Random(3), 0
    for _ in range(60):
        victim = server.requests + 1 + rng.randrange(answers)

        def flip(number: int, body: bytes, victim: int = victim) -> bytes:
            if number != victim or not body:
                return body
            place = rng.randrange(len(body))
            return body[:place] + bytes((body[place] ^ 1 << rng.randrange(8),)) + body[place + 1 :]

        server.mangle = flip
        found = stretches(url)
        assert found is None or (found[-1] if pieces else found) == (right[-1] if pieces else right)
        errors += found is None
    assert errors > 5


@pytest.mark.parametrize(
    ("name", "mangle", "headers", "message"),
    [
        ("short", lambda number, body: body[:-1], {}, "an answer ended too early"),
        ("another place", None, {"Content-Range": "bytes 5-9/100000"}, "does not give parts of files as it should"),
        ("no place", None, {"Content-Range": ""}, "does not send its size, or the range of its answer"),
        ("unknown size", None, {"Content-Range": "bytes 0-76/*"}, "does not send its size"),
    ],
)
def test_answers_of_other_bytes(
    server: Server, pair: dict[str, bytes], name: str, mangle: Any, headers: dict[str, str], message: str
) -> None:
    server.files["a.gfz"], server.headers = pair["first"], headers
    server.mangle = mangle or server.mangle
    with pytest.raises((FormatError, InputError), match=rf"/a\.gfz: .*{message}"):
        api.info(f"{server.url}/a.gfz")


@pytest.mark.usefixtures("far_apart")
def test_other_stores_that_change(tmp_path: Path, pair: dict[str, bytes]) -> None:
    import fsspec

    system = fsspec.filesystem("memory")
    for other in ("other", "alike"):
        system.pipe("/store/a.gfz", pair["first"])
        with open("memory://store/a.gfz") as archive:
            system.pipe("/store/a.gfz", pair[other])
            with pytest.raises(FormatError, match="was replaced or truncated while it was read"):
                archive["seq3"][5:400]
    with pytest.raises(InputError, match=r"memory://store/none\.gfz: there is no such file"):
        api.info("memory://store/none.gfz")
