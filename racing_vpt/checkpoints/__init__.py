"""Checkpoints: run folders, the zoo, safetensors, OpenAI's pair of files. Only tensors and plain data are unpickled."""
