"""Sources of any format as text: decompression, conversion, and what is known of them."""
