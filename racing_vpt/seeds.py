"""Ranges of seeds and their purposes."""

from __future__ import annotations

JUDGING_SEEDS = range(0, 100)  # driven once for each published checkpoint
VALIDATION_SEEDS = range(1000, 1100)  # for tuning, and for choosing a checkpoint
FIRST_VALIDATION_SEED = VALIDATION_SEEDS.start
FIRST_TRAINING_SEED = 10_000


def as_text(seeds: range) -> str:
    """A range as `parse_seeds` reads it, such as `0-99`: for defaults of options."""
    return f"{seeds.start}-{seeds.stop - 1}"


JUDGING = as_text(JUDGING_SEEDS)
VALIDATION = as_text(VALIDATION_SEEDS)
SHORT_VALIDATION = as_text(VALIDATION_SEEDS[:20])  # enough to see whether something works
SHORT_TRAINING = as_text(range(FIRST_TRAINING_SEED, FIRST_TRAINING_SEED + 50))


def check_training_seed(first_seed: int) -> None:
    """Raise ValueError for a training seed that is reserved for validation or published results."""
    if first_seed < FIRST_TRAINING_SEED:
        raise ValueError(f"training uses seeds from {FIRST_TRAINING_SEED} on, but first_seed {first_seed} was given")


def check_validation_seed(name: str, seed: int) -> None:
    """Raise ValueError for a validation seed that is reserved for published results; `name` is that of the option."""
    if seed < 0 or seed in JUDGING_SEEDS:
        last = JUDGING_SEEDS.stop - 1
        raise ValueError(
            f"{name} {seed}: validation uses seeds from {FIRST_VALIDATION_SEED} on; 0 to {last} only judge published "
            "checkpoints"
        )


def parse_seeds(text: str) -> list[int]:
    """The seeds of a range such as `0-99`, `5` or `1,4,7-9`, in the order given.

    Raises:
        ValueError: not such a range, a range that runs backwards, or a seed given twice.
    """
    seeds: list[int] = []
    for part in str(text).split(","):
        low, dash, high = part.strip().partition("-")
        if not low.isdecimal() or (dash and not high.isdecimal()):
            raise ValueError(
                f"seeds {text!r}: {part.strip()!r} is not a seed or range; expected for example 0-99, 5 or 1,4,7-9"
            )
        span = range(int(low), int(high or low) + 1)
        if not span:
            raise ValueError(f"seeds {text!r}: {part.strip()} runs backwards; expected the smaller seed first")
        if span[-1] >= 2**31:
            raise ValueError(f"seeds {text!r}: {span[-1]} is too large; seeds are below 2147483648")
        seeds.extend(span)
    if len(set(seeds)) != len(seeds):
        raise ValueError(f"seeds {text!r} name a seed twice")
    return seeds
