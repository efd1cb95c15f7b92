"""Bases to bytes: the range coder, lanes, and what codes them."""
