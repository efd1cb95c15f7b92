"""Bases to bytes: the range coder, slices, and what codes them."""
