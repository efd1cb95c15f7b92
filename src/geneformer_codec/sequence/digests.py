"""Digests of a record's sequence that other tools and databases use: MD5, and the refget digest of the GA4GH.

Both are of the residues, upper-cased, without bytes outside 33 to 126, as for M5 tags in SAM headers.
"""

from __future__ import annotations

import base64
import hashlib

import numpy as np

from geneformer_codec.sequence.fasta import line_ends

DIGEST_MIN_RESIDUES = 256
"""Records with fewer residues have no stored digest: it would be larger than they are, and is quick to compute."""
MD5_BYTES, SHA512T24U_BYTES = 16, 24
DIGEST_BYTES = MD5_BYTES + SHA512T24U_BYTES

_UPPER = bytes(octet - 32 if 97 <= octet <= 122 else octet for octet in range(256))
_UNPRINTABLE = bytes(octet for octet in range(256) if not 33 <= octet <= 126)


def refget_id(sha512t24u: bytes) -> str:
    """The GA4GH refget identifier, ``SQ.`` and base64url of the 24 bytes."""
    return "SQ." + base64.urlsafe_b64encode(sha512t24u).decode()


class RecordDigest:
    """MD5 and sha512t24u of a sequence given piece by piece.

    >>> digest = RecordDigest()
    >>> digest.update(b"acgt")
    >>> digest.md5(digest.stored()), digest.refget(digest.stored())
    ('f1f8f4bf413b16ad135722aa4591043e', 'SQ.aKF498dAxcJAqme6QYQ7EZ07-fiw8Kw2')
    """

    def __init__(self) -> None:
        self._md5, self._sha512 = hashlib.md5(usedforsecurity=False), hashlib.sha512()
        self.residues = 0
        """How many were given."""

    def update(self, residues: bytes) -> None:
        """Take the next residues as they are in the text; line ends do no harm."""
        cleaned = residues.translate(_UPPER, _UNPRINTABLE)
        self.residues += len(cleaned)
        self._md5.update(cleaned)
        self._sha512.update(cleaned)

    def stored(self) -> bytes:
        """The 40 bytes that an archive holds."""
        return self._md5.digest() + self._sha512.digest()[:SHA512T24U_BYTES]

    @staticmethod
    def md5(stored: bytes) -> str:
        """MD5 in hexadecimal, of those bytes."""
        return stored[:MD5_BYTES].hex()

    @staticmethod
    def refget(stored: bytes) -> str:
        """The refget identifier, of those bytes."""
        return refget_id(stored[MD5_BYTES:])


class PartDigests:
    """The digests of the records of a text that comes in parts, in which records may go on."""

    def __init__(self) -> None:
        self._open: RecordDigest | None = None
        """Of the record that goes on; None too for text before the first header, which is no record."""
        self._residues = 0
        """Of that record, or of the text before the first header."""

    def add(self, text: bytes, ends_record: bool) -> bytes:
        """Digests, 40 bytes each, of the records that end in the next part and have `DIGEST_MIN_RESIDUES` or more."""
        from geneformer_codec.sequence import kernels

        octets = np.frombuffer(text, np.uint8)
        starts, stops, residues = kernels.scan_records(octets, line_ends(octets))
        last = len(starts) - 1
        digests = []
        # Only records that are long enough, and the first and the last one, which may go on, are looked at one by one.
        wanted = np.flatnonzero(residues >= DIGEST_MIN_RESIDUES).tolist()
        for fragment in sorted({*wanted, *((0, last) if last >= 0 else ())}):
            if fragment or text.startswith(b">"):
                self._open, self._residues = RecordDigest(), 0
            self._residues += int(residues[fragment])
            if self._open is not None:
                self._open.update(text[starts[fragment] : stops[fragment]])
                if (fragment < last or ends_record) and self._residues >= DIGEST_MIN_RESIDUES:
                    digests.append(self._open.stored())
        if ends_record:
            self._open = None
        return b"".join(digests)
