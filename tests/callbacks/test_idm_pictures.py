"""An IDM's pictures in tensorboard."""

from __future__ import annotations

import torch

from racing_vpt.callbacks.idm_pictures import draw_strip, is_unused
from racing_vpt.games.read import load_game


def test_a_gear_that_is_never_changed_has_no_picture() -> None:
    heads = load_game("carracing").scheme().heads
    idle, used = {name: torch.zeros(5) for name in heads}, {name: torch.ones(5) for name in heads}
    assert [name for name, head in heads.items() if is_unused(head, idle)] == ["gear_change"]
    assert not [name for name, head in heads.items() if is_unused(head, used)]


def test_a_strip_is_higher_with_each_control_that_it_shows() -> None:
    frames, trust = torch.zeros(4, 32, 32, 3, dtype=torch.uint8), torch.ones(4)
    steering = {"steering": torch.linspace(-1, 1, 4)}
    gears = steering | {"gear_change": torch.zeros(4)}
    low, same = (draw_strip(frames, shown, shown, trust, columns=4) for shown in (steering, gears))
    assert low.shape == same.shape
    changed = steering | {"gear_change": torch.ones(4)}
    assert draw_strip(frames, changed, changed, trust, columns=4).shape[0] > low.shape[0]
