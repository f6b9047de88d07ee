"""What `racing-vpt bench` times."""
