"""One module per stream of a block: what it holds, packed to bytes and back."""
