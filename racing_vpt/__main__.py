"""`python -m racing_vpt` is `racing-vpt`."""

from racing_vpt.cli.main import console

if __name__ == "__main__":
    console()
