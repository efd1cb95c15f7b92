"""Names come back, accession-like ones in little space; damage is a FormatError."""

import hashlib
import lzma
import random
import uuid
from collections.abc import Callable

import pytest
import reference_names
from hypothesis import given
from hypothesis import strategies as st

from geneformer_codec.errors import FormatError
from geneformer_codec.streams import names as module
from geneformer_codec.streams.names import pack_names, unpack_names
from geneformer_codec.streams.packing import ByteReader

MODEL = (1500, "c22a97a20e1bd41d")

KINDS = [module.PLAIN, module.TABLE, module.MODEL, module.UUIDS, module.PADDED_TABLE]

accessions = st.builds(
    lambda stem, numbers, tail: [b"%b%0*d%b" % (stem, tail % 9, number, b" x-%d" % tail) for number in numbers],
    st.sampled_from([b"NC_", b"gi|", b"x", b""]),
    st.lists(st.integers(0, 10**18 + 5), max_size=30),
    st.integers(0, 30),
)
uuids = st.builds(
    lambda seed, ends, version: [
        str(uuid.UUID(int=seed * 3**n % 2**128, version=version)).encode() + end for n, end in enumerate(ends)
    ],
    st.integers(0, 2**128 - 1),
    st.lists(
        st.sampled_from([b"", b" ch=1", b"_2", b" \x03", b"0" * 36, b"-" * 40, str(uuid.UUID(int=7)).encode()]),
        max_size=30,
    ),
    st.sampled_from([1, 4, 5]),
)
name_lists = st.one_of(
    accessions,
    uuids,
    st.lists(st.binary(max_size=15).map(lambda name: name.replace(b"\n", b"")), max_size=20),
    st.lists(st.text("a0 9-|", max_size=40).map(str.encode), max_size=30),
    st.lists(st.integers(0, 10**40).map(lambda number: b"%d" % number), max_size=20),
)


def lines(names: list[bytes]) -> bytes:
    return b"".join(name + b"\n" for name in names)


@given(name_lists)
def test_names_come_back(names: list[bytes]) -> None:
    text = lines(names)
    assert unpack_names(pack_names(text), len(names), len(text)) == text


BASES = bytes(random.Random(4).choices(b"ACGT", k=1_000_000))


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize(
    "names",
    [
        [BASES],
        [b"x", BASES],
        [BASES, b"x"],
        [BASES[at : at + 10_000] for at in range(0, 1_000_000, 10_000)],
        [b"read%d" % number for number in range(20_000)] + [BASES],
        [BASES] + [b"read%d" % number for number in range(20_000)],
        [b" ".join([b"gene 12"] * 100_000)],
        [b"\1\2" * 300_000],
    ],
    ids=["one", "after", "before", "many", "after usual ones", "before usual ones", "words", "bytes of templates"],
)
def test_text_on_a_header_line(monkeypatch: pytest.MonkeyPatch, names: list[bytes], quick: bool) -> None:
    """Kinds are tried on a part of it, however long the lines are."""
    tried, whole = [], module._pack_as
    text = lines(names)

    def pack_as(names: bytes, kind: int, quick: bool = False) -> bytes:
        tried.append(len(names))
        return whole(names, kind, quick)

    monkeypatch.setattr(module, "_pack_as", pack_as)
    packed = pack_names(text, quick)
    assert sum(size == len(text) for size in tried) <= 2
    assert sum(tried) < 2 * len(text) + (1 << 21)
    assert unpack_names(packed, len(names), len(text)) == text


@given(name_lists, st.sampled_from(KINDS))
def test_every_kind_comes_back(names: list[bytes], kind: int) -> None:
    text = lines(names)
    if not text or (kind in (module.TABLE, module.PADDED_TABLE) and (b"\1" in text or b"\2" in text)):
        return
    packed = module._pack_as(text, kind)
    assert not packed or unpack_names(packed, len(names), len(text)) == text


@given(name_lists, st.sampled_from(KINDS[1:]), st.data())
def test_damage(names: list[bytes], kind: int, data: st.DataObject) -> None:
    text = lines(names)
    if not text or b"\1" in text or b"\2" in text:
        return
    packed = bytearray(module._pack_as(text, kind))
    if not packed:
        return
    for _ in range(data.draw(st.integers(1, 3))):
        packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        assert len(unpack_names(bytes(packed), len(names), len(text))) <= len(text) + 1
    except FormatError:
        return


def test_a_copied_field_costs_next_to_nothing() -> None:
    odd = [
        b"cel-mir-%d-%dp MIMAT%07d mir-%d-%dp" % (n * 7919 % 1000, n % 3, n, n * 7919 % 1000, n % 3) for n in range(999)
    ]
    plain = [name.rsplit(b" ", 1)[0] for name in odd]
    assert len(pack_names(lines(odd))) < len(pack_names(lines(plain))) + 40


def test_real_names_are_never_larger_than_with_xz(real_fasta: str, real_data: Callable[[str], bytes]) -> None:
    headers = [line[1:] for line in real_data(real_fasta).replace(b"\r\n", b"\n").split(b"\n") if line[:1] == b">"]
    packed, quick = pack_names(lines(headers)), pack_names(lines(headers), quick=True)
    assert unpack_names(quick, len(headers), len(lines(headers))) == lines(headers)
    assert len(quick) < 1.2 * len(packed) + 64
    rival = len(lzma.compress(b"\n".join(headers), preset=9 | lzma.PRESET_EXTREME))
    assert len(packed) <= rival
    if real_fasta.startswith("odd_rna_tiny"):
        assert len(packed) < rival / 3
    if real_fasta.startswith("sarscov2"):
        assert len(packed) < 0.9 * rival


def test_many_names_that_count_take_next_to_nothing() -> None:
    text = b"".join(b"SRR3927310.%d %d/1\n" % (number, number) for number in range(50_000))
    packed = pack_names(text)
    assert unpack_names(packed, 50_000, len(text)) == text
    assert len(packed) < 300


def simulated(count: int) -> bytes:
    """Names of several makers, from nothing but a linear congruential generator."""
    state, made = 1, b""
    for number in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        made += (
            b"A00742:412:HN2W7DSX3:1:%d:%d:%d 1:N:0:CGGATGAT\n"
            % (1101 + number // 40, state >> 49, 1000 + number * 16),
            b"%08x-%04x-4%03x\n" % (state >> 32, state >> 20 & 0xFFFF, state & 0xFFF),
            b"cel-let-%d-5p MIMAT%07d Caenorhabditis elegans let-%d-5p\n" % (state >> 58, number, state >> 58),
            b"m64004_210929_143746/%d/ccs\n" % (number * number * 7919),
            b"\n -\t%s\n" % (b"9" * (number % 50)),
        )[number * 5 // count]
    return made


def nanopore(count: int, ends: list[bytes]) -> bytes:
    some = random.Random(1)
    return b"".join(
        b"%s%s\n" % (str(uuid.UUID(int=some.getrandbits(128), version=4)).encode(), ends[number % len(ends)])
        for number in range(count)
    )


@pytest.mark.parametrize("quick", [False, True])
def test_uuids_take_their_random_bits(quick: bool) -> None:
    alone, followed = nanopore(1500, [b""]), nanopore(1500, [b" ch=7 pass", b" ch=9 fail"])
    packed = pack_names(alone, quick)
    assert len(packed) < 122 / 8 * 1500 + 50
    assert reference_names.uuids(packed[1:], 1500)[0] == alone.split()
    assert len(pack_names(followed, quick)) < len(packed) + 100
    assert unpack_names(pack_names(followed, quick), 1500, len(followed)) == followed


def test_uuids_that_repeat_are_not_stored_again() -> None:
    twice = b"".join(b"%s/%d\n" % (name, half) for name in nanopore(1500, [b""]).split() for half in (1, 2))
    assert len(pack_names(twice)) < 1.15 * 122 / 8 * 1500


def test_a_uuid_that_comes_again_in_its_name_costs_little() -> None:
    alone = nanopore(1500, [b""])
    parents = [b"%s x parent=%s again=%s y\n" % (name, name, name) for name in alone.split()]
    parents[700] = parents[700].replace(b"parent=" + alone.split()[700], b"parent=" + alone.split()[3])
    twice = b"".join(parents)
    packed = pack_names(twice)
    assert len(packed) < 122 / 8 * 1500 + 250
    assert unpack_names(packed, 1500, len(twice)) == twice
    with pytest.raises(FormatError):
        unpack_names(packed, 1500, len(twice) - 2)


def test_one_name_without_a_uuid_does_not_cost_the_others_much() -> None:
    odd = nanopore(1500, [b""]) + b"read 1\n"
    assert len(pack_names(odd, quick=True)) < 1.05 * 122 / 8 * 1500


def test_uuids_of_old() -> None:
    """What was written once is read for ever."""
    packed = bytes.fromhex(
        "03f7cefff9bbfd0eff13f9bf9ffdf36ebfcd613e30d8f14adf91b7584a2265b1f51c7eb8c14c8f213131c3136238d083"
        "2d89946b25e23ed24ec000000920780a20780a20780a"
    )
    assert unpack_names(packed, 3, 120) == nanopore(3, [b" x"])


@pytest.mark.parametrize("count", [0, 2, 4, 1 << 40])
def test_uuids_need_their_names(count: int) -> None:
    packed = module._pack_as(nanopore(3, [b""]), module.UUIDS)
    with pytest.raises(FormatError):
        unpack_names(packed, count, 200)


def test_the_description_of_the_model_suffices() -> None:
    text = simulated(60)
    reader = ByteReader(module._pack_as(text, module.MODEL)[1:], "names")
    assert reader.varint() == len(text)
    assert reference_names.decode(reader.rest(), len(text)) == text


def test_the_model_is_what_it_was() -> None:
    """Nothing of how names are predicted may change, or what was written once cannot be read."""
    packed = module._pack_as(simulated(400), module.MODEL)
    assert (len(packed), hashlib.sha256(packed).hexdigest()[:16]) == MODEL


def test_few_accessions_take_few_bytes() -> None:
    some = random.Random(3)
    names = b"".join(b"NC_0%05d.1\n" % some.randrange(30_000) for _ in range(200))
    packed = pack_names(names)
    assert packed[0] == module.MODEL
    assert len(packed) < 0.9 * len(lzma.compress(names, preset=9 | lzma.PRESET_EXTREME))
    assert unpack_names(packed, 200, len(names)) == names


def test_counts_must_match() -> None:
    packed = pack_names(b"a1\na2\n")
    for count in (1, 3):
        with pytest.raises(FormatError):
            unpack_names(packed, count, 100)
