from __future__ import annotations

import pytest

from racing_vpt.seeds import check_training_seed, check_validation_seed, parse_seeds


@pytest.mark.parametrize(
    ("text", "seeds"), [("5", [5]), ("0-3", [0, 1, 2, 3]), ("1,4,7-9", [1, 4, 7, 8, 9]), ("9, 3", [9, 3])]
)
def test_seeds_are_ranges_and_lists(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "9-3", "-4", "1-", "1,,2", "1,1", "0-4,3", "1.5", "99999999999"])
def test_other_text_than_ranges_of_seeds_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="seeds"):
        parse_seeds(text)


def test_seeds_below_the_training_range_are_refused_for_training() -> None:
    check_training_seed(10_000)
    with pytest.raises(ValueError, match="from 10000 on, but first_seed 9999"):
        check_training_seed(9999)


def test_judging_seeds_are_refused_for_validation() -> None:
    check_validation_seed("seed", 1000)
    with pytest.raises(ValueError, match="judge_seed 99: validation uses seeds from 1000 on; 0 to 99 only judge"):
        check_validation_seed("judge_seed", 99)
