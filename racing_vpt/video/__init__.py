"""Video: decoders, integrity checks, the decoding process, encoding."""
