"""The replay buffer compared with a slow, simple one, over random episodes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from racing_vpt.replay.buffer import ReplayBuffer, bytes_needed
from racing_vpt.replay.sum_tree import SumTree
from racing_vpt.types import LaneStep, Transitions

GAMMA = 0.9


def frame_of(lane: int, time: int) -> np.ndarray:
    """A frame uint8 [2, 2] that encodes lane and time."""
    return np.array([[lane, time >> 8], [time & 255, 7]], np.uint8)


@dataclass
class Moment:
    """One step of one lane."""

    lane: int
    time: int
    action: int
    reward: float
    terminated: bool = False
    truncated: bool = False
    first: bool = False
    valid: bool = True


class Lane:
    """An environment with episodes of random length and end, and with every way of resetting."""

    def __init__(self, number: int, draw: np.random.Generator) -> None:
        self.number, self.draw, self.history = number, draw, list[Moment]()
        self.state = "begin"

    def step(self) -> Moment:
        draw, time = self.draw, len(self.history)
        moment = Moment(self.number, time, int(draw.integers(5)), float(np.float32(draw.normal())))
        if self.state == "reset":  # the frame is the episode's last; the action is ignored
            moment = replace(moment, valid=False, reward=0.0)
            self.state = "begin"
        else:
            moment.first = self.state == "begin"
            self.state = "drive"
            if draw.random() < 0.2:
                kind = draw.choice(["terminated", "truncated", "both", "broken", "terminated at once", "cut at once"])
                moment.terminated = kind in ("terminated", "both", "terminated at once")
                moment.truncated = kind in ("truncated", "both", "cut at once")
                self.state = "reset" if kind in ("terminated", "truncated", "both") else "begin"
            elif draw.random() < 0.03:
                moment.valid = False
        self.history.append(moment)
        return moment

    def die(self) -> None:
        """Drop the current episode."""
        if self.history and self.state == "drive":
            for moment in self.history[self.start(len(self.history) - 1) :]:
                moment.valid = False
            self.state = "begin"

    def start(self, time: int) -> int:
        return max(at for at in range(time + 1) if at == 0 or self.history[at].first)

    def stack(self, time: int, size: int) -> list[int]:
        return [max(time - back, self.start(time)) for back in reversed(range(size))]

    def transition(self, time: int, size: int, n_step: int, oldest: int) -> tuple[float, float, int] | None:
        """Reward, discount and time of the next frame; None if there is no transition."""
        if min(self.stack(time, size)) < oldest:
            return None
        total, now, count = 0.0, time, len(self.history)
        while now - time < n_step:
            moment = self.history[now]
            if now + 1 == count:
                return None  # what follows is not known yet
            if not moment.valid or (self.history[now + 1].first and not moment.terminated):
                break
            total += GAMMA ** (now - time) * moment.reward
            now += 1
            if moment.terminated:
                return total, 0.0, now
            if moment.truncated:
                break
        return (total, GAMMA ** (now - time), now) if now > time else None


def test_a_teachers_choice_is_part_of_the_transition() -> None:
    buffer = ReplayBuffer(40, 2, (2, 2), stack=2, n_step=1, discount=GAMMA)
    flags = {name: np.zeros(2, bool) for name in ("terminated", "truncated", "first")}
    for time in range(12):
        frames, said = np.full((2, 2, 2), time, np.uint8), np.array([time % 3, time % 5])
        actions = np.array([2, 4])
        buffer.add(LaneStep(frames, actions, np.ones(2, np.float32), **flags, valid=np.ones(2, bool),
                        shown=None if time == 6 else said))  # fmt: skip
    batch = buffer.sample(200)
    times = batch.observation[:, -1, 0, 0].numpy()
    lanes = np.where(batch.action.numpy() == 2, 3, 5)
    assert np.array_equal(batch.shown.numpy(), np.where(times == 6, -1, times % lanes))
    with pytest.raises(ValueError, match="shown of a step"):
        buffer.add(LaneStep(frames, actions, np.ones(2, np.float32), **flags, valid=np.ones(2, bool), shown=said[:1]))


def step_of(moments: list[Moment]) -> LaneStep:
    return LaneStep(
        frames=np.stack([frame_of(moment.lane, moment.time) for moment in moments]),
        actions=np.array([moment.action for moment in moments]),
        rewards=np.array([moment.reward for moment in moments], np.float32),
        terminated=np.array([moment.terminated for moment in moments]),
        truncated=np.array([moment.truncated for moment in moments]),
        first=np.array([moment.first for moment in moments]),
        valid=np.array([moment.valid for moment in moments]),
    )


def drive(
    seed: int, steps: int, lanes: int, rows: int, stack: int, n_step: int, alpha: float | None = None
) -> tuple[ReplayBuffer, list[Lane]]:
    """A buffer and what was added to it."""
    draw = np.random.default_rng(seed)
    played = [Lane(number, draw) for number in range(lanes)]
    buffer = ReplayBuffer(
        rows * lanes, lanes, (2, 2), stack=stack, n_step=n_step, discount=GAMMA, alpha=alpha, seed=seed
    )
    for _ in range(steps):
        buffer.add(step_of([lane.step() for lane in played]))
        dead = draw.random(lanes) < 0.01
        buffer.forget_episodes(dead & np.array([lane.state == "drive" for lane in played]))
        for lane, died in zip(played, dead, strict=True):
            if died:
                lane.die()
    return buffer, played


def expected(played: list[Lane], rows: int, stack: int, n_step: int) -> dict[tuple[int, int], tuple[float, float, int]]:
    """Transitions that can be drawn, by lane and time."""
    found = {}
    for lane in played:
        oldest = max(0, len(lane.history) - rows)
        for time in range(oldest, len(lane.history)):
            transition = lane.transition(time, stack, n_step, oldest)
            if transition is not None:
                found[lane.number, time] = transition
    return found


def check(batch: Transitions, played: list[Lane], truth: dict, stack: int) -> set[tuple[int, int]]:
    """Compare each sampled row; returns lane and time of each."""
    for index, row in {index: row for row, index in enumerate(batch.index.tolist())}.items():
        time, number = divmod(index, len(played))
        lane = played[number]
        assert (number, time) in truth
        reward, discount, after = truth[number, time]
        assert batch.action[row] == lane.history[time].action
        assert batch.reward[row].item() == pytest.approx(reward, abs=1e-5)
        assert batch.discount[row].item() == pytest.approx(discount, abs=1e-6)
        seen = np.stack([frame_of(number, at) for at in lane.stack(time, stack)])
        assert np.array_equal(batch.observation[row].numpy(), seen)
        if discount:
            seen = np.stack([frame_of(number, at) for at in lane.stack(after, stack)])
            assert np.array_equal(batch.next_observation[row].numpy(), seen)
    return {(index % len(played), index // len(played)) for index in batch.index.tolist()}


@pytest.mark.parametrize("alpha", [None, 0.5])
@pytest.mark.parametrize("seed", range(10))
def test_it_equals_a_slow_buffer(seed: int, alpha: float | None) -> None:
    draw = np.random.default_rng([seed, 99])
    lanes, stack, n_step = (int(draw.integers(1, 5)) for _ in range(3))
    rows, steps = int(draw.integers(stack + n_step + 1, 40)), int(draw.integers(10, 150))
    buffer, played = drive(seed, steps, lanes, rows, stack, n_step, alpha)
    truth = expected(played, rows, stack, n_step)
    assert len(buffer) == len(truth)
    if truth:
        drawn = check(buffer.sample(20 * len(truth)), played, truth, stack)
        assert drawn == set(truth)


def test_the_random_episodes_have_every_kind_of_end() -> None:
    _, played = drive(0, 400, 3, 400, 3, 3)
    truth = expected(played, 400, 3, 3)
    sums = Counter((discount == 0, after - time) for (_, time), (_, discount, after) in truth.items())
    assert {(ends, count) for ends in (True, False) for count in (1, 2, 3)} == set(sums)
    moments = [moment for lane in played for moment in lane.history]
    assert sum(moment.truncated for moment in moments) > 20
    assert sum(not moment.valid for moment in moments) > 20


def test_truncation_bootstraps_from_the_last_frame_and_the_ignored_transition_is_not_drawn() -> None:
    buffer = ReplayBuffer(40, 1, (2, 2), stack=2, n_step=3, discount=0.5)
    for time in range(12):
        moment = Moment(0, time, 0, 1.0, first=time in (0, 6), truncated=time == 4, valid=time != 5)
        buffer.add(step_of([moment]))
    batch = buffer.sample(400)
    rows = {index: row for row, index in enumerate(batch.index.tolist())}
    assert sorted(rows) == [0, 1, 2, 3, 4, 6, 7, 8]
    assert batch.reward[rows[4]] == 1
    assert batch.discount[rows[4]] == 0.5
    assert batch.next_observation[rows[4]][:, 1, 0].tolist() == [4, 5]  # frame 5 is the last of the episode
    assert batch.reward[rows[3]] == 1.5
    assert batch.observation[rows[6]][:, 1, 0].tolist() == [6, 6]  # the first frame stands for those before it


def test_segments_are_what_a_lane_did() -> None:
    buffer, played = drive(3, 70, 3, 24, 3, 2)
    segments = buffer.sample_segments(300, 9)
    starts = Counter()
    for row in range(300):
        times = segments.frames[row, :, 0, 1].int() * 256 + segments.frames[row, :, 1, 0]
        lane = played[int(segments.frames[row, 0, 0, 0])]
        assert torch.equal(times, torch.arange(int(times[0]), int(times[0]) + 9))
        moments = [lane.history[at] for at in times.tolist()]
        for name, column in (("action", "actions"), ("reward", "rewards"), *((x, x) for x in
                             ("first", "terminated", "truncated", "valid"))):  # fmt: skip
            told = [getattr(moment, name) for moment in moments]
            assert getattr(segments, column)[row].tolist() == pytest.approx(told), name
        starts[lane.number, int(times[0])] += 1
    assert {time for _, time in starts} == set(range(70 - 24, 70 - 9 + 1))
    with pytest.raises(ValueError, match="segments of 25 steps"):
        buffer.sample_segments(1, 25)


def test_continuous_actions_and_colours_are_kept() -> None:
    buffer = ReplayBuffer(30, 2, (4, 5, 3), (3,), stack=2, n_step=1)
    for time in range(9):
        flags = [np.full(2, flag) for flag in (False, False, time == 0, True)]
        buffer.add(LaneStep(np.full((2, 4, 5, 3), time, np.uint8), np.full((2, 3), time / 8), np.ones(2), *flags))
    batch = buffer.sample(16)
    assert batch.observation.shape == (16, 2, 4, 5, 3)
    assert batch.action.dtype == torch.float32
    assert torch.equal(batch.action[:, 1], batch.observation[:, 1, 0, 0, 0] / 8)
    assert buffer.sample_segments(2, 4).actions.shape == (2, 4, 3)


def test_draws_are_a_function_of_seed_and_step() -> None:
    one, _ = drive(1, 60, 2, 30, 2, 2, 0.6)
    other, _ = drive(1, 60, 2, 30, 2, 2, 0.6)
    first, second = one.sample(8), one.sample(8)
    assert not torch.equal(first.index, second.index)
    assert torch.equal(other.sample(8, step=1).index, second.index)
    assert torch.equal(other.sample(8).index, first.index)


def test_priorities_decide_how_often_a_transition_is_drawn() -> None:
    buffer, _ = drive(5, 60, 2, 60, 1, 1, 0.7)
    index = torch.unique(buffer.sample(4000).index)
    error = torch.rand(len(index), generator=torch.manual_seed(0)) * 4
    buffer.update_priorities(index, -error)  # the sign does not matter
    chances = ((error.double() + 1e-3) ** 0.7).numpy()
    chances /= chances.sum()
    rounds, size = 400, 32
    batches = [buffer.sample(size, beta=0.5) for _ in range(rounds)]
    drawn = Counter(int(each) for batch in batches for each in batch.index)
    counts = np.array([drawn[int(each)] for each in index])
    awaited = rounds * size * chances
    assert ((counts - awaited) ** 2 / awaited).sum() < 1.5 * len(index)  # chi-square; stratified draws lie below it
    for batch in batches[:5]:
        at = torch.searchsorted(index, batch.index).numpy()
        weight = (len(index) * chances[at]) ** -0.5
        np.testing.assert_allclose(batch.weight.numpy(), weight / weight.max(), rtol=1e-5)


def test_new_transitions_have_the_highest_priority_so_far() -> None:
    buffer = ReplayBuffer(60, 1, (2, 2), stack=1, n_step=1, alpha=1.0)
    for time in range(20):
        buffer.add(step_of([Moment(0, time, 0, 0.0)]))
    buffer.update_priorities(np.arange(19), np.full(19, 1e-6))
    buffer.update_priorities(np.array([3]), np.array([50.0]))
    for time in range(20, 22):
        buffer.add(step_of([Moment(0, time, 0, 0.0)]))
    drawn = Counter(buffer.sample(3000).index.tolist())
    for index in (3, 19, 20):
        assert 900 < drawn[index] < 1100


def test_an_error_of_an_overwritten_transition_changes_nothing() -> None:
    buffer = ReplayBuffer(12, 1, (2, 2), stack=2, n_step=2, alpha=1.0)
    for time in range(40):
        buffer.add(step_of([Moment(0, time, 0, 0.0)]))
    before = buffer.sample(500, step=0).index
    buffer.update_priorities(torch.arange(20), torch.full((20,), 1e6))
    assert torch.equal(buffer.sample(500, step=0).index, before)
    buffer.update_priorities(torch.arange(30, 33), torch.full((3,), 1e6))
    assert not torch.equal(buffer.sample(500, step=0).index, before)
    with pytest.raises(ValueError, match="nan"):
        buffer.update_priorities(np.array([35]), np.array([np.nan]))


@pytest.mark.parametrize("size", [1, 127, 128, 129, 128 * 128 + 5])
def test_a_tree_of_sums_finds_what_a_cumulative_sum_finds(size: int) -> None:
    draw = np.random.default_rng(size)
    tree, plain = SumTree(size), np.zeros(size)
    for _ in range(30):
        slots = draw.integers(0, size, 20)
        plain[slots] = values = draw.integers(0, 9, 20).astype(float)
        tree.set(slots, values)
        for slot in slots:  # where one is named twice
            assert tree.leaves[slot] == plain[slot]
        assert tree.total == plain.sum()
        if plain.sum():
            points = (np.arange(64) + np.random.default_rng(1).random(64)) * (plain.sum() / 64)
            found = np.searchsorted(plain.cumsum(), points, side="right")
            assert np.array_equal(tree.draw(64, np.random.default_rng(1)), found)
    again = SumTree(size)
    again.fill(plain)
    assert np.array_equal(again.draw(50, np.random.default_rng(2)), tree.draw(50, np.random.default_rng(2)))


def test_slots_of_no_priority_are_never_drawn() -> None:
    tree, draw = SumTree(5000), np.random.default_rng(0)
    slots = draw.choice(5000, 40, replace=False)
    tree.set(slots, draw.random(40) * 1e-9)
    assert set(tree.draw(20_000, draw).tolist()) <= set(slots.tolist())


def test_a_million_frames_fit_into_eight_gigabytes() -> None:
    assert 7.056e9 < bytes_needed(1_000_000, (84, 84), (), prioritised=True) < 8e9


def test_a_buffer_that_memory_cannot_hold_is_refused_before_it_is_made() -> None:
    with pytest.raises(ValueError, match=r"10,000,000,000 frames of 84x84 needs .* GiB are free; .*data\.capacity"):
        ReplayBuffer(10**10, 4, (84, 84))


def test_impossible_options_are_refused() -> None:
    with pytest.raises(ValueError, match="64 at least"):
        ReplayBuffer(20, 8, (2, 2), stack=4, n_step=3)
    with pytest.raises(ValueError, match="alpha"):
        ReplayBuffer(200, 1, (2, 2), alpha=1.5)
    buffer = ReplayBuffer(40, 1, (2, 2))
    with pytest.raises(ValueError, match="no transitions to learn from yet"):
        buffer.sample(4)
    step = step_of([Moment(0, 0, 0, 0.0)])
    with pytest.raises(ValueError, match=r"frames of a step is uint8 \[1, 3, 3\].* uint8 \[1, 2, 2\]"):
        buffer.add(replace(step, frames=np.zeros((1, 3, 3), np.uint8)))
    with pytest.raises(ValueError, match="actions of a step is float64"):
        buffer.add(replace(step, actions=np.zeros(1)))
    with pytest.raises(ValueError, match="must be finite"):
        buffer.add(replace(step, rewards=np.array([np.inf], np.float32)))
