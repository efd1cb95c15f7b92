"""The ``.gfz`` file: write, read, index, check. Independent of how bases are predicted."""
