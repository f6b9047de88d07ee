"""Models, one LightningModule per file."""
