"""Fit models to a species: experts here, networks by the package ``network``."""

EXPERTS = "experts"
"""The preset that trains no network."""
GENOMES, READS = "genomes", "reads"
PURPOSES = (GENOMES, READS)
"""What models are trained to code."""
