"""The ``.gfz`` container: write, read, index, checksums. It knows nothing of how a block was predicted."""
