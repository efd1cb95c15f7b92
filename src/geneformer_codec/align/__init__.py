"""Reads against a panel: contigs made of reads, where reads lie on them, and reads coded as places and differences."""
