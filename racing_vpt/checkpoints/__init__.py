"""Weights on disk: run folders, the zoo, safetensors, OpenAI's pair of files. Nothing is unpickled."""
