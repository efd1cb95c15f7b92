"""Limits of the memory that reading may take, checked before anything is decompressed.

Within the ranges that formats allow, a file of a kilobyte could require many gigabytes. So the memory for reading is
estimated from the sizes that a file states, and compared with a limit: the caller's, or one that follows from the size
of the file. ``docs/format/container.md`` has the rule.
"""

import contextlib
import re
from collections.abc import Iterator
from contextvars import ContextVar

from geneformer_codec.errors import FormatError, option

FLOOR = 5 << 29
"""What any file may take: two and a half GiB, enough for one part of 2**28 bases at any level."""
RATIO = 1024
"""How many bytes of memory a byte of a file may take. DEFLATE does not expand more either."""
TEXT_FLOOR = 1 << 25
"""Bytes of text that any archive may decode to: as many as two default parts have."""
TEXT_RATIO = 1 << 16
"""How many bytes of text a byte of an archive may decode to, which bounds the time; one repeated base has 40,000."""
UNLIMITED = 1 << 62
"""The memory that may be taken to read what was made by the same work."""
PROCESS = 160 << 20
"""The interpreter, its libraries and compiled code."""

_ADVICE = "A file that needs far more memory than its size can be an attack; if you trust it, allow it"


class MemoryLimitError(FormatError):
    """Reading takes more memory than is allowed."""


def default_limit(stored_bytes: int) -> int:
    """The default limit, given the size of what is read."""
    return max(FLOOR, RATIO * stored_bytes)


def check_need(label: str, needed: int, limit: int) -> None:
    """``MemoryLimitError`` if more is needed than may be taken."""
    if needed > limit:
        raise MemoryLimitError(
            f"{label}: reading it takes about {_mib(needed)} of memory, and {_mib(limit)} are allowed. {_ADVICE}: "
            f"{option('max_memory', needed)}"
        )


def check_text(label: str, text_bytes: int, stored_bytes: int, max_memory: int | None) -> None:
    """``MemoryLimitError`` if a file of ``stored_bytes`` states more text than is in proportion, or was allowed."""
    if text_bytes > max(TEXT_FLOOR, TEXT_RATIO * stored_bytes, max_memory or 0):
        raise MemoryLimitError(
            f"{label}: has {stored_bytes:,} bytes and decodes to {text_bytes:,}, which would take long. {_ADVICE}: "
            f"{option('max_memory', text_bytes)}"
        )


def memory_size(text: str) -> int:
    """Bytes of a size such as 512M; ``ValueError`` if it is none.

    >>> memory_size("4G"), memory_size("1.5k"), memory_size("1000")
    (4294967296, 1536, 1000)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    size = int(float(found[1]) * 1024 ** " KMGT".index(found[2].upper() or " ")) if found else 0
    if not size:
        raise ValueError(f"{text!r} is no size; give one such as 512M or 4G")
    return size


_LEFT: ContextVar[list[int] | None] = ContextVar("_LEFT", default=None)


@contextlib.contextmanager
def streams_within(size: int) -> Iterator[None]:
    """Let streams that are unpacked in here, by this thread, take so many bytes of memory."""
    token = _LEFT.set([size])
    try:
        yield
    finally:
        _LEFT.reset(token)


def reserve(peak: int, kept: int) -> None:
    """Call before a stream is unpacked, which takes ``peak`` bytes of memory; ``kept`` of them stay in use."""
    left = _LEFT.get()
    if left is None:
        return
    if peak > left[0]:
        raise MemoryLimitError(
            f"a stream expands to {_mib(peak)}, and {_mib(max(left[0], 0))} of memory are left of what is allowed. "
            f"If you trust the file, allow more with {option('max_memory')}"
        )
    left[0] -= kept


def _mib(size: int) -> str:
    return f"{-(-size >> 20):,} MiB"
