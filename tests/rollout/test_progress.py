"""Missed tiles: detected a little later, but not near the start or where another part of the track is close."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from racing_vpt.envs.make import FAST_ID, make_env
from racing_vpt.rollout.progress import BEHIND, GIVEN_UP, LapProgress

START = (0, 1, 39)  # tiles of forty that the car stands on


def on_track(tiles: int = 40) -> tuple[LapProgress, list[Any]]:
    road = [SimpleNamespace(road_visited=number in START) for number in range(tiles)]
    return LapProgress(SimpleNamespace(unwrapped=SimpleNamespace(road=road))), road  # type: ignore[arg-type]


def drive(progress: LapProgress, road: list[Any], tiles: range, without: tuple[int, ...] = ()) -> list[int]:
    """Touch a tile at each decision; returns the tiles at which others were found to be missed."""
    found = []
    for number in tiles:
        road[number].road_visited |= number not in without
        if progress.advance():
            found.append(number)
    return found


def test_a_whole_lap_misses_nothing() -> None:
    progress, road = on_track()
    assert not drive(progress, road, range(40))
    assert (progress.missed, progress.furthest) == (0, 38)


def test_a_tile_is_missed_once_when_the_car_is_past_it() -> None:
    progress, road = on_track()
    assert drive(progress, road, range(2, 30), without=(10, 20, 21)) == [10 + BEHIND, 20 + BEHIND, 21 + BEHIND]
    assert progress.missed == 3


def test_a_shortcut_costs_for_a_few_tiles_and_the_last_tile_under_the_start_is_no_progress() -> None:
    progress, road = on_track()
    drive(progress, road, range(2, 6))
    assert drive(progress, road, range(20, 28)) == list(range(20, 20 + BEHIND))  # as the last ones fall behind
    assert progress.furthest == 27
    road[4].road_visited = True  # where it was before
    assert not progress.advance()
    assert progress.furthest == 27


def test_an_episode_is_over_when_no_tile_is_left_ahead() -> None:
    progress, road = on_track()
    drive(progress, road, range(2, 39), without=(30,))
    assert not progress.over
    for _ in range(GIVEN_UP):
        progress.advance()
    assert progress.over
    other, road = on_track()
    drive(other, road, range(2, 20))
    for _ in range(GIVEN_UP):
        other.advance()
    assert not other.over  # it stands, but there is road ahead


def test_an_environment_without_tiles_misses_none() -> None:
    progress = LapProgress(SimpleNamespace(unwrapped=object()))  # type: ignore[arg-type]
    assert not progress.advance()
    assert not progress.over


def test_it_reads_the_environment() -> None:
    env = make_env(FAST_ID, frame_skip=4)
    env.reset(seed=1000)
    progress = LapProgress(env)
    assert progress.tiles >= 1
    for _ in range(12):
        env.step([0.0, 0.3, 0.0])
        progress.advance()
    assert progress.furthest >= 2
    env.close()
