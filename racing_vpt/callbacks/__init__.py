"""Lightning callbacks: driving during training, checkpoints, labels, pictures."""
