"""Models to be trained, one LightningModule a file."""
