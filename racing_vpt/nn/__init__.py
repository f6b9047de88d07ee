"""Parts of networks; they know nothing of games, data or training."""
