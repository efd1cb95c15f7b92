"""Text to streams and back: inputs, parts, FASTA, names, packed side streams; and simulated genomes."""
