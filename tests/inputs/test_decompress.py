"""Sources are read by content; errors name them."""

import bz2
import collections
import gzip
import io
import lzma
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from unreadable import UNREADABLE, make_unreadable

from geneformer_codec.errors import InputError
from geneformer_codec.inputs.decompress import open_input

TEXT = b"".join(
    b">record%d\n%b\n" % (number, bytes(b"ACGT"[(number * k * k >> 3) % 4] for k in range(200)))
    for number in range(300)
)

COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "Zstandard": zstandard.ZstdCompressor().compress,
}
COMPRESSED = [name for name in COMPRESSORS if name != "plain"]


@pytest.mark.parametrize("kind", COMPRESSORS)
@pytest.mark.parametrize("text", [TEXT, b"", b"A", b"\n"], ids=["long", "empty", "letter", "feed"])
def test_content_decides(kind: str, text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "misnamed.gz"
    path.write_bytes(COMPRESSORS[kind](text))
    with open_input(path) as stream:
        assert stream.read() == text


@pytest.mark.parametrize("kind", COMPRESSED)
def test_several_members(kind: str, tmp_path: Path) -> None:
    pack = COMPRESSORS[kind]
    path = tmp_path / "source"
    path.write_bytes(pack(TEXT[:1000]) + pack(b"") + pack(TEXT[1000:]))
    with open_input(str(path)) as stream:
        assert b"".join(iter(lambda: stream.read(777), b"")) == TEXT


@pytest.mark.parametrize("kind", COMPRESSED)
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.95, 1.0])
def test_truncation_is_an_error(kind: str, share: float, tmp_path: Path) -> None:
    whole = COMPRESSORS[kind](TEXT)
    path = tmp_path / "source"
    path.write_bytes(whole[: min(max(6, int(len(whole) * share)), len(whole) - 1)])
    with open_input(path) as stream, pytest.raises(InputError, match=r"source: the \w+ compression .*get or make"):
        stream.read()


@pytest.mark.parametrize("kind", COMPRESSED)
def test_truncation_of_a_later_member_is_an_error(kind: str, tmp_path: Path) -> None:
    whole = COMPRESSORS[kind](TEXT)
    path = tmp_path / "source"
    for length in (1, 2, 3, len(whole) // 2, len(whole) - 1):  # a few bytes are no trailing ones
        path.write_bytes(whole + whole[:length])
        with open_input(path) as stream, pytest.raises(InputError, match="is truncated"):
            stream.read()


@pytest.mark.parametrize("kind", COMPRESSED)
@pytest.mark.parametrize("at", [0.5, 0.9])
def test_damage_of_a_later_member_is_an_error(kind: str, at: float, tmp_path: Path) -> None:
    """The readers of Python take it for trailing bytes, and give half of the text."""
    pack = zstandard.ZstdCompressor(write_checksum=True).compress if kind == "Zstandard" else COMPRESSORS[kind]
    damaged = bytearray(pack(TEXT))
    damaged[int(len(damaged) * at)] ^= 0x55
    path = tmp_path / "source"
    path.write_bytes(pack(TEXT) + damaged)
    with (
        open_input(path) as stream,
        pytest.raises(InputError, match=r"source: the \w+ compression is (corrupt|truncated)"),
    ):
        stream.read()


@pytest.mark.parametrize("kind", COMPRESSED)
@pytest.mark.parametrize(
    "tail", [b"x", b"\n", b"garbage" * 9, b"garbage" * 99_999, b"\0" * 512 + b"x", b"\0" * 300_000 + b"x"]
)
def test_trailing_bytes_are_ignored_with_a_warning(
    kind: str, tail: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "source"
    path.write_bytes(COMPRESSORS[kind](TEXT) + tail)
    with open_input(path) as stream:
        assert stream.read() == TEXT
    assert f"source: {len(tail):,} bytes after the end of the {kind} data are ignored" in caplog.text
    counted: list[int] = []
    with path.open("rb") as file:
        assert open_input(file, on_trailing=counted.append).read() == TEXT
    assert counted == [len(tail)]


@pytest.mark.parametrize("kind", COMPRESSED)
@pytest.mark.parametrize("zeros", [1, 4, 511, 300_000])
def test_zero_bytes_are_padding(kind: str, zeros: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pack, path = COMPRESSORS[kind], tmp_path / "source"
    for members in ([TEXT], [TEXT[:999], TEXT[999:]]):
        path.write_bytes(b"".join(pack(member) + b"\0" * zeros for member in members))
        with open_input(path) as stream:
            assert stream.read() == TEXT
    assert caplog.text == ""


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_as_is(kind: str, tmp_path: Path) -> None:
    path, data = tmp_path / "source", COMPRESSORS[kind](TEXT)
    path.write_bytes(data)
    with open_input(path, as_is=True) as stream:
        assert stream.read() == data


def test_gzip_without_isal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "isal", None)
    path = tmp_path / "source"
    path.write_bytes(2 * gzip.compress(TEXT))
    with open_input(path) as stream:
        assert stream.read() == 2 * TEXT
    path.write_bytes(gzip.compress(TEXT)[:-3])
    with open_input(path) as stream, pytest.raises(InputError, match="truncated"):
        stream.read()


@pytest.mark.parametrize("kind", COMPRESSED)
def test_a_flipped_byte_is_an_error(kind: str, tmp_path: Path) -> None:
    pack = zstandard.ZstdCompressor(write_checksum=True).compress if kind == "Zstandard" else COMPRESSORS[kind]
    damaged = bytearray(pack(TEXT))
    damaged[len(damaged) // 2] ^= 0x55
    path = tmp_path / "source"
    path.write_bytes(damaged)
    with open_input(path) as stream:
        for _ in range(2):  # asking again does not make it the end
            with pytest.raises(InputError, match="source"):
                collections.deque(iter(lambda: stream.read(1 << 16), b""), maxlen=0)


@pytest.mark.parametrize(("path", "printed"), list(UNREADABLE.items()))
def test_what_cannot_be_opened(tmp_path: Path, path: str, printed: str) -> None:
    make_unreadable(tmp_path)
    with pytest.raises(InputError, match=f"{path[:20]}.*: {printed}"):
        open_input(tmp_path / path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    path = tmp_path / "secret.fa"
    path.write_bytes(TEXT)
    path.chmod(0)
    with pytest.raises(InputError, match="no permission"):
        open_input(path)


@pytest.mark.parametrize("kind", COMPRESSORS)
@pytest.mark.parametrize("text", [TEXT, b"", b"AC"], ids=["long", "empty", "short"])
def test_standard_input_may_be_a_slow_pipe(kind: str, text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    data = COMPRESSORS[kind](text)
    source, sink = os.pipe()

    def feed() -> None:
        with open(sink, "wb", buffering=0) as pipe:  # noqa: PTH123 - a descriptor
            for piece in (data[:1], data[1:3], data[3:20], data[20:]):
                pipe.write(piece)

    feeder = threading.Thread(target=feed)
    feeder.start()
    with open(source, "rb") as pipe:  # noqa: PTH123 - a descriptor
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(pipe))
        stream = open_input("-")
        assert stream.read() == text
        feeder.join()
        stream.close()
        assert not pipe.closed


def test_errors_of_standard_input_name_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(TEXT)[:99])))
    with pytest.raises(InputError, match="standard input"):
        open_input("-").read()
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="standard input"):
        open_input("-")
