"""A video file in, frames out: decoders, examination, the decoding process, encoding."""
