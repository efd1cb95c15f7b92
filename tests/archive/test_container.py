"""The ZIP around the blocks: the one form, also where it needs ZIP64."""

import hashlib
import io
import struct
import zipfile
import zlib
from pathlib import Path

import pytest

from geneformer_codec.archive.container import MAX_ENTRY_BYTES, ContainerReader, ContainerWriter
from geneformer_codec.errors import FormatError, OutputError


def written(entries: dict[str, bytes], manifest: bytes = b"{}") -> io.BytesIO:
    out = io.BytesIO()
    with ContainerWriter(out) as writer:
        for name, data in entries.items():
            writer.add(name, data)
        writer.finish(manifest)
    return out


def test_every_byte_is_as_specified() -> None:
    """The whole file, field by field as in ``docs/format/container.md``; a change here is a change of the format."""
    local = directory = b""
    entries = {
        b"mimetype": b"application/vnd.geneformer-rules.gfz+zip",
        b"blocks/00000000": b"ACGT",
        b"manifest.json": b"{}",
    }
    for name, data in entries.items():
        crc, size, method = zlib.crc32(data), len(data), 0
        if name == b"manifest.json":
            deflate, method = zlib.compressobj(9, wbits=-15), 8
            data = deflate.compress(data) + deflate.flush()
        common = struct.pack("<HHH", 20, 0, method) + bytes.fromhex("0000 2100")
        common += struct.pack("<IIIHH", crc, len(data), size, len(name), 0)
        directory += bytes.fromhex("504b0102 1403") + common
        directory += bytes.fromhex("0000 0000 0000 0000a481") + struct.pack("<I", len(local)) + name
        local += bytes.fromhex("504b0304") + common + name + data
    end = bytes.fromhex("504b0506 0000 0000 0300 0300")
    end += struct.pack("<IIH", len(directory), len(local), 84)
    end += b"gfz manifest sha256 " + hashlib.sha256(data).hexdigest().encode()
    assert written({"blocks/00000000": b"ACGT"}).getvalue() == local + directory + end


def test_many_entries() -> None:
    """Above 65,535 entries a ZIP needs an end record of its own kind."""
    entries = {f"blocks/{number:08d}": b"%d" % number for number in range(66_000)}
    out = written(entries)
    reader = ContainerReader(out, "a.gfz")
    assert reader.names() == list(entries)
    assert reader.read("blocks/00065999") == b"65999"
    assert out.getvalue()[-200:].count(b"PK\x06\x06") == 1


@pytest.mark.nightly
def test_large_files(tmp_path: Path) -> None:
    """Offsets above 2 and 4 GiB."""
    data = bytes(MAX_ENTRY_BYTES // 2)
    with (tmp_path / "a.gfz").open("w+b") as file:
        with ContainerWriter(file) as writer:
            for number in range(5):
                writer.add(f"blocks/{number:08d}", data)
            writer.finish(b"{}")
        reader = ContainerReader(file, "a.gfz")
        assert reader.manifest(100) == b"{}"
        assert len(reader.read("blocks/00000004")) == len(data)
        assert reader.file_bytes > 1 << 32


def test_entries_that_are_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geneformer_codec.archive.container.MAX_ENTRY_BYTES", 1000)
    with pytest.raises(OutputError, match="has at most 1,000"):
        written({"blocks/00000000": bytes(1001)})


def test_nothing_is_an_archive_before_it_is_finished() -> None:
    out = io.BytesIO()
    with ContainerWriter(out) as writer:
        writer.add("blocks/00000000", b"ACGT")
    with pytest.raises(FormatError, match="truncated"):
        ContainerReader(out, "a.gfz")


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "blocks/../x", "blocks/0 1", "BLOCKS/1", "ü"])
def test_names_that_are_not_ours(name: str) -> None:
    with pytest.raises(FormatError, match=r"a\.gfz: .*not as gfz writes it"):
        ContainerReader(written({name: b"x"}), "a.gfz")


def test_doubled_names() -> None:
    out = io.BytesIO()
    with ContainerWriter(out) as writer:
        writer.add("blocks/00000000", b"A")
        with pytest.warns(UserWarning, match="Duplicate name"):
            writer.add("blocks/00000000", b"B")
        writer.finish(b"{}")
    with pytest.raises(FormatError, match="two of one name"):
        ContainerReader(out, "a.gfz")


def test_missing_entry_and_other_manifest() -> None:
    out = written({"blocks/00000000": b"A"})
    with pytest.raises(FormatError, match="no entry 'blocks/00000001'"):
        ContainerReader(out, "a.gfz").read("blocks/00000001")
    with pytest.raises(FormatError, match="a manifest of 2 bytes"):
        ContainerReader(out, "a.gfz").manifest(1)
    data = out.getvalue()
    with pytest.raises(FormatError, match="does not match its SHA-256"):
        ContainerReader(io.BytesIO(data[:-1] + b"0"), "a.gfz").manifest(100)


@pytest.mark.parametrize(("at", "value"), [(8, 0), (22, 3), (22, 1)], ids=["stored", "one byte more", "one less"])
def test_a_manifest_that_is_not_as_its_headers_state(at: int, value: int) -> None:
    data = bytearray(written({}).getvalue())
    data[data.index(b"PK\x03\x04", 40) + at] = value
    data[data.rindex(b"PK\x01\x02") + at + 2] = value
    with pytest.raises(FormatError, match=r"a\.gfz: "):
        ContainerReader(io.BytesIO(data), "a.gfz").manifest(100)


def test_encrypted_or_compressed_entries() -> None:
    for flags, method in ((1, 0), (0, 8), (8, 0)):
        data = bytearray(written({"blocks/00000000": b"ACGT"}).getvalue())
        for header, place in ((data.index(b"PK\x03\x04", 40), 6), (data.index(b"PK\x01\x02") + 54, 8)):
            data[header + place], data[header + place + 2] = flags, method
        with zipfile.ZipFile(io.BytesIO(data)) as other:
            assert other.infolist()[1].compress_type == method
        with pytest.raises(FormatError, match=r"a\.gfz: "):
            ContainerReader(io.BytesIO(data), "a.gfz")
