"""Text of every kind, and real and simulated text that was mutated, through a part of an archive and back."""

import random

import pytest
from hypothesis import HealthCheck, given, settings

from geneformer_codec.archive.block import decode_block, encode_block
from geneformer_codec.archive.coders import Coders
from geneformer_codec.archive.manifest import Settings
from geneformer_codec.predict.two_bit import TwoBitCoder
from geneformer_codec.sequence.fastq import is_fastq
from geneformer_codec.sequence.parts import Part
from geneformer_codec.sequence.simulate import simulate

from .texts import anything

CODERS = Coders(TwoBitCoder.model_id, lambda _: TwoBitCoder())
GENOMES = b"".join(
    b">%b\n%b\n" % (name.encode(), text.replace(b"N", b"N\n")) for name, text in simulate(5, 1500, 0.1, seed=3)
)
READS = b"".join(
    b"@s%d/1\n%b\n+\n%b\n" % (n, b"ACGTN"[n % 5 :] * (n % 30), b"F:,#!"[n % 5 :] * (n % 30)) for n in range(400)
)


def check(*texts: bytes) -> None:
    part = Part(0, texts[0], b"", True, True, is_fastq(texts[0]) or len(texts) > 1, *texts[1:])
    block, data = encode_block(part, CODERS, Settings())
    assert decode_block(block, Settings(), data, CODERS, "it").texts == texts


def mutated(rng: random.Random, text: bytes) -> bytes:
    """Some lines of a text, with a few bytes or lines changed, left out or put elsewhere."""
    lines = text.split(b"\n")
    start = rng.randrange(len(lines)) // 4 * 4
    piece = bytearray(b"\n".join(lines[start : start + rng.randrange(1, 24)]) + b"\n" * rng.randrange(2))
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        place, size = rng.randrange(len(piece) + 1), rng.choice((0, 0, 1, 1, 2, 9, 80))
        other = rng.randrange(len(piece) + 1)
        new: list[bytes | bytearray] = [
            b"", piece[other : other + size], bytes((rng.randrange(256),)) * rng.choice((1, 1, 40)),
            rng.choice((b"\n", b"\r\n", b"\r", b"@", b">", b"+", b"\n\n", b"\n+\n", b"\n@x\n", b"N", b"a")),
        ]  # fmt: skip
        piece[place : place + size] = rng.choice(new)
    return bytes(piece)


@pytest.fixture(scope="module")
def sources(real_texts: list[bytes]) -> list[bytes]:
    return [*real_texts, GENOMES, GENOMES.replace(b"\n", b"\r\n"), READS, READS.replace(b"+", b"+s")]


def check_mutated(sources: list[bytes], seed: int, cases: int) -> None:
    rng = random.Random(seed)
    for case in range(cases):
        text, mate = (mutated(rng, rng.choice(sources)) for _ in range(2))
        try:
            check(text)
            if case % 4 == 0:
                check(text, mate)
        except Exception as error:
            raise AssertionError(f"seed {seed}, case {case}: {text!r} {mate!r}") from error


anyhow = settings(suppress_health_check=list(HealthCheck))


@anyhow
@given(anything)
def test_any_text(text: bytes) -> None:
    check(text)


@anyhow
@given(anything, anything)
def test_any_pair(text: bytes, mate: bytes) -> None:
    check(text, mate)


def test_mutated_text(sources: list[bytes]) -> None:
    check_mutated(sources, seed=1, cases=200)


@pytest.mark.nightly
@pytest.mark.timeout(20_000)
@settings(anyhow, max_examples=50_000)
@given(anything)
def test_any_text_all_night(text: bytes) -> None:
    check(text)


@pytest.mark.nightly
@pytest.mark.timeout(20_000)
def test_mutated_text_all_night(sources: list[bytes]) -> None:
    check_mutated(sources, seed=2, cases=50_000)
