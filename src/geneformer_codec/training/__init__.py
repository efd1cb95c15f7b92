"""Fit models to a species: experts here, networks by the package ``network``."""

EXPERTS = "experts"
"""The preset that trains no network."""
