from __future__ import annotations

import pytest

from racing_vpt.seeds import parse_seeds


@pytest.mark.parametrize(
    ("text", "seeds"), [("5", [5]), ("0-3", [0, 1, 2, 3]), ("1,4,7-9", [1, 4, 7, 8, 9]), ("9, 3", [9, 3])]
)
def test_seeds_are_ranges_and_lists(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "9-3", "-4", "1-", "1,,2", "1,1", "0-4,3", "1.5", "99999999999"])
def test_what_is_no_range_of_seeds_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="seeds"):
        parse_seeds(text)
