"""The fast CarRacing equals the stock one, step for step and bit for bit."""

from collections.abc import Callable

import numpy as np
import pytest
from gymnasium.envs.box2d.car_racing import CarRacing
from gymnasium.wrappers import TimeLimit

from racing_vpt.envs.carracing.fast import CarRacingFast

Driver = Callable[[CarRacing, int, np.random.Generator], np.ndarray]


class UndrawnStock(CarRacing):
    """The stock environment without rendering, which takes 98% of the time."""

    def _render(self, mode: str) -> np.ndarray:
        return np.zeros((96, 96, 3), np.uint8)


def along_the_road(core: CarRacing, frame: int, random: np.random.Generator) -> np.ndarray:
    """Steers at a tile ahead, at a pace at which most laps succeed."""
    track = np.array(core.track)[:, 2:]
    nearest = np.argmin(np.linalg.norm(track - core.car.hull.position, axis=1))
    return towards(core, track[(nearest + 5) % len(track)] - core.car.hull.position)


def off_the_field(core: CarRacing, frame: int, random: np.random.Generator) -> np.ndarray:
    """Away from the middle."""
    return towards(core, np.array(core.car.hull.position), gas=0.05)


def towards(core: CarRacing, way: np.ndarray, gas: float = 1.0) -> np.ndarray:
    """Steers in a direction and keeps a pace, with a limit on the gas."""
    hull = core.car.hull
    angle = np.angle(np.exp(1j * (np.arctan2(way[1], way[0]) - hull.angle - np.pi / 2)))
    speed = np.hypot(*hull.linearVelocity)
    return np.array([np.clip(-2 * angle, -1, 1), np.clip(0.1 * (60 - speed), 0, gas), np.clip(speed / 60 - 1, 0, 1)])


def at_random(core: CarRacing, frame: int, random: np.random.Generator) -> np.ndarray:
    """Random controls, held for a while so that the car spins and slides; sometimes locked wheels; float32."""
    if frame % 12 == 0:
        at_random.action = random.uniform((-1, 0, 0), (1, 1, 1)).astype(np.float32)  # type: ignore[attr-defined]
    return at_random.action  # type: ignore[attr-defined]


def standing(core: CarRacing, frame: int, random: np.random.Generator) -> np.ndarray:
    return np.zeros(3)


def state(core: CarRacing) -> list[object]:
    """Everything that the physics and the rewards depend on."""
    hull = core.car.hull
    found = [*hull.position, hull.angle, *hull.linearVelocity, hull.angularVelocity, core.tile_visited_count]
    for wheel in core.car.wheels:
        found += [*wheel.position, wheel.angle, wheel.joint.angle, wheel.omega, wheel.phase, wheel.gas, wheel.brake]
        found.append(sorted(tile.idx for tile in wheel.tiles))
    found.append([(particle.poly, particle.color) for particle in core.car.particles])
    found.append([tile.color.tolist() for tile in core.road])
    return found


@pytest.mark.parametrize(
    ("driver", "seed", "ending"),
    [
        (along_the_road, 10_001, "lap"),
        (along_the_road, 10_003, "lap"),
        (off_the_field, 10_002, "field"),
        (at_random, 10_004, "limit"),
        (at_random, 10_005, "limit"),
        (standing, 10_006, "limit"),
    ],
)
def test_the_fast_environment_moves_and_pays_as_the_stock(driver: Driver, seed: int, ending: str) -> None:
    fast_core = CarRacingFast()
    fast_core.drawing = False
    fast_core.state = np.zeros((96, 96, 3), np.uint8)
    stock, fast = TimeLimit(UndrawnStock(), 1000), TimeLimit(fast_core, 1000)
    random = np.random.default_rng(seed)
    stock.reset(seed=seed)
    fast.reset(seed=seed)
    assert state(fast_core) == state(stock.unwrapped)
    ended = False
    frame = 0
    while not ended:
        action = driver(stock.unwrapped, frame, random)
        _, *expected = stock.step(action)
        _, *result = fast.step(action)
        assert result == expected, f"frame {frame}"
        if frame % 10 == 0:
            assert state(fast_core) == state(stock.unwrapped), f"frame {frame}"
        ended = expected[1] or expected[2]
        frame += 1
    assert state(fast_core) == state(stock.unwrapped)
    reward, _, truncated, info = expected
    assert ending == ("limit" if truncated else "lap" if info["lap_finished"] else "field")
    assert (reward == -100) == (ending == "field")


def test_discrete_actions_move_the_car_as_in_the_stock() -> None:
    stock, fast = UndrawnStock(continuous=False), CarRacingFast(continuous=False)
    stock.reset(seed=10_010)
    fast.reset(seed=10_010)
    for frame, action in enumerate(np.random.default_rng(0).integers(0, 5, 40).repeat(5)):
        assert fast.step(action)[1:] == stock.step(action)[1:], f"frame {frame}"
    assert state(fast) == state(stock)


def test_tracks_and_colours_of_later_episodes_are_those_of_the_stock() -> None:
    stock, fast = UndrawnStock(domain_randomize=True), CarRacingFast(domain_randomize=True)
    stock.reset(seed=10_011)
    fast.reset(seed=10_011)
    for randomize in (True, False, True):
        stock.reset(options={"randomize": randomize})
        fast.reset(options={"randomize": randomize})
        assert fast.track == stock.track
        for name in ("road_color", "bg_color", "grass_color"):
            np.testing.assert_array_equal(getattr(fast, name), getattr(stock, name))
