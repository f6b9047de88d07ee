"""Stacks of frames: their content, and that they never reach beyond an episode's start."""

import pytest
import torch

from racing_vpt.nn.stack import FrameStack


def numbered(*episodes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """One lane of pictures uint8 (1, T, 1, 1, 1), each its own number, and where these episodes start."""
    total = sum(episodes)
    first = torch.zeros(1, total, dtype=torch.bool)
    first[0, [sum(episodes[:i]) for i in range(len(episodes))]] = True
    return torch.arange(total, dtype=torch.uint8).reshape(1, total, 1, 1, 1), first


def test_a_stack_holds_the_frames_asked_for_and_repeats_an_episodes_first() -> None:
    stack = FrameStack((0, 1, 3))
    frames, first = numbered(4, 3)
    stacks, _ = stack(frames, first, stack.initial_state(1, (1, 1, 1), "cpu"))
    assert stacks[0, :, 0, 0].tolist() == [
        [0, 0, 0], [1, 0, 0], [2, 1, 0], [3, 2, 0], [4, 4, 4], [5, 4, 4], [6, 5, 4],
    ]  # fmt: skip


def test_a_clip_from_the_middle_of_an_episode_starts_like_an_episode() -> None:
    stack = FrameStack((0, 2))
    frames, _ = numbered(4)
    stacks, _ = stack(frames, torch.zeros(1, 4, dtype=torch.bool), stack.initial_state(1, (1, 1, 1), "cpu"))
    assert stacks[0, :, 0, 0].tolist() == [[0, 0], [1, 0], [2, 0], [3, 1]]


@pytest.mark.parametrize("chunk", [1, 2, 3, 5])
def test_stacks_do_not_depend_on_how_frames_are_cut_into_chunks(chunk: int) -> None:
    stack = FrameStack((0, 1, 4))
    frames, first = numbered(6, 2, 7)
    whole, _ = stack(frames, first, stack.initial_state(1, (1, 1, 1), "cpu"))
    parts, state = [], stack.initial_state(1, (1, 1, 1), "cpu")
    for start in range(0, frames.shape[1], chunk):
        part, state = stack(frames[:, start : start + chunk], first[:, start : start + chunk], state)
        parts.append(part)
    assert torch.equal(torch.cat(parts, dim=1), whole)


def test_a_look_back_without_the_frame_itself_is_refused() -> None:
    with pytest.raises(ValueError, match=r"look_back is \[1, 2\]"):
        FrameStack((1, 2))
