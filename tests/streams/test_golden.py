"""Streams written once and kept: a change of the format cannot slip in."""

import numpy as np
import pytest

from geneformer_codec.sequence.fasta import parse
from geneformer_codec.streams.interface import Coding, PartContent
from geneformer_codec.streams.names import unpack_names
from geneformer_codec.streams.packing import unpack
from geneformer_codec.streams.table import STREAMS as TABLE

TEXT = (
    b"ACGT\r\n>NC_1.1 x\r\nACGTNNacgunn-*ACGT\r\nACGTRYACGTACGTACGT\r\nA\r\n>NC_2.1 y\nACGTAC\n\n>p-1 1\nAC\nA\n\n"
    b"ACGT\n>NC_0003.1 z\nA"
)
BASES = bytes.fromhex("0001020300010203000102030001020300010203000102030001020300010203000001020300010001000001020300")
STREAMS = {
    "names": ("0000244e435f312e3120780a4e435f322e3120790a702d3120310a4e435f303030332e31207a0a"),
    "layout": (
        "030905000005042506070109050000050012000000090500000501010200010905000005010101010105010000010408"
        "040000040201000408040000040101010106020000020005"
    ),
    "case": ("05010000010a05010000010805010000010d050100000108"),
    "exceptions": ("000a060000060804000008000a060000060101000000000800064e4e2d2a525900"),
}
NAMES = b"".join(b"%s-%d M%07d|sp x-%d\n" % (b"ab"[k % 2 : k % 2 + 1], k * k, k, k * k) for k in range(40)) + b"lone\n"
PACKED_NAMES = [
    (
        "0004b90728b52ffd0000dd0700324f2215a0291d104ef50bca3a011b69ef24934c68c12f0a7906c1702818637dacb6a5"
        "ed4de4a6d3e746b3d5b542349b9166fec89ff9d0ccd7f2b5b490d2424e424e62d34557d12655933a8bce6a614b3bb633"
        "1dce74a6cf545229e985bc145d2cb28af4ebdf74b76cb971b6d9ca57ea52bfe42553b18a5ebdd3cb1e0263db3130e650"
        "001089c5040073080274a810588c439b01b095a4707086b07a43a727e3a547f94bb58e53a88bcc357e193b97ef0e0c53"
        "54d96caa540c6c37334929ddda6ec7b757b7d9e18642d3492d4511a6a45eb1e3cab525c3113190cc67bc2d6cbbb1d998"
        "9cf14042ecadfa8e25db6dc18e8145e17af30eba232d2c03"
    ),
    (
        "01070005207c200a0a1429000129e0002800080300006eb6f44ffc0000001701a101e000a0000c030000eeb6e42539aa"
        "8c7b030000002701b001e000af001c0300308b9623ca2f0f1bf42fcd0b308728bbacd7932e068b9910e7548bc000407b"
        "01017be0007a00340300007ffe80faff05d3b37b7cf6ffab8487efd4865e56085f71e54b2cd6ade0c51dea60f9e0370a"
        "8c7f0f4e80109b485e0f324f500000"
    ),
    (
        "01070005207c200a0a1429000129e0002800080300006eb6f44ffc0000001d01a101e000a00012030000eeb6e425399f"
        "cb29167368ba2c16889400004001e301e000e200350300308b9623ca2f0f0c6e2d88a70709d2a72ebf6673d0d3483593"
        "f986ffb9093e7973770a9f0f924705eb101ea0ce933d8fae54a9272000407b01017be0007a00340300007ffe80faff05"
        "d3b37b7cf6ffab8487efd4865e56085f71e54b2cd6ade0c51dea60f9e0370a8c7f0f4e80109b485e0f324f500000"
    ),
]
PACKED = [
    "0128e00027000a030020914be6882bea22c00000",
    "0228e00027000a000020917437d0353a44e00000",
    "0328425a6839314159265359a107f59d000004860028800400200020a500cd34e4c4d4e4f177245385090a107f59d0",
    "042828b52ffd00005d0000284143475441010090570b",
]


def test_streams_written_once_still_give_the_text() -> None:
    content = PartContent(len(TEXT), False, record_count=4, residue_count=55, base_count=len(BASES))
    for stream in TABLE:
        if stream.id in STREAMS:
            stream.decode(bytes.fromhex(STREAMS[stream.id]), content, Coding("balanced", 0))
    assert content.fasta.render(np.frombuffer(BASES, np.uint8)) == TEXT
    assert parse(TEXT)[1].tobytes() == BASES


@pytest.mark.parametrize("blob", PACKED_NAMES, ids=["plain", "table", "padded"])
def test_names_written_once(blob: str) -> None:
    assert unpack_names(bytes.fromhex(blob), 41, len(NAMES)) == NAMES


@pytest.mark.parametrize("blob", PACKED, ids=["lzma text", "lzma numbers", "bzip2", "Zstandard"])
def test_packed_bytes_written_once(blob: str) -> None:
    assert unpack(bytes.fromhex(blob), 40) == b"ACGTACGT" * 5
