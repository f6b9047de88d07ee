"""What happens around training: rollouts, checkpoints, labels, pictures."""
