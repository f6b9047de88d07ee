"""racing-vpt: learn to drive in racing games by watching video."""

__version__ = "0.1.0"
