"""One module a stream of a block: what it holds, packed to bytes and back."""
