"""Qualities of reads, coded by mixed contexts; ``docs/format/qualities.md`` describes the coder to the bit."""

from __future__ import annotations

from geneformer_codec.streams.qualities.coder import decode_qualities, encode_qualities

__all__ = ["decode_qualities", "encode_qualities"]
