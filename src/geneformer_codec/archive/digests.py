"""Digests of a record's sequence that other tools and databases use: MD5, and the refget digest of the GA4GH."""

import hashlib

from geneformer_codec.sequence.parts import MD5_BYTES, SHA512T24U_BYTES, clean_sequence, md5_hex, refget_id


class RecordDigest:
    """MD5 and sha512t24u of a sequence given piece by piece: upper-cased, bytes outside 33..126 left out.

    >>> digest = RecordDigest()
    >>> digest.update(b"acgt")
    >>> digest.names(digest.stored())
    ('f1f8f4bf413b16ad135722aa4591043e', 'SQ.aKF498dAxcJAqme6QYQ7EZ07-fiw8Kw2')
    """

    def __init__(self) -> None:
        self._md5, self._sha512 = hashlib.md5(usedforsecurity=False), hashlib.sha512()

    def update(self, residues: bytes) -> None:
        """Take the next residues as they stand in the text, without line ends."""
        cleaned = clean_sequence(residues)
        self._md5.update(cleaned)
        self._sha512.update(cleaned)

    def stored(self) -> bytes:
        """The 40 bytes that an archive holds."""
        return self._md5.digest() + self._sha512.digest()[:SHA512T24U_BYTES]

    @staticmethod
    def names(stored: bytes) -> tuple[str, str]:
        """MD5 in hexadecimal and the refget name, of 40 bytes."""
        return md5_hex(stored[:MD5_BYTES]), refget_id(stored[MD5_BYTES:])
