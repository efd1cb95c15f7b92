"""Sources of any format as text: decompression, conversion, and their description."""
