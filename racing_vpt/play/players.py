"""Builds the player for the options of the command line."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import cast

import gymnasium

from racing_vpt.agents.load import load_agent
from racing_vpt.checkpoints.load import build_module, read_checkpoint
from racing_vpt.files import TEMPORARY
from racing_vpt.games.game import Game, check_same_game
from racing_vpt.games.read import load_game
from racing_vpt.play.course import Course, DreamCourse, EnvCourse, FollowingAgent
from racing_vpt.play.models import dreamer_of, env_course_of, imagination_of
from racing_vpt.play.player import Player, PlayerOptions
from racing_vpt.play.screen import Screen
from racing_vpt.play.sharp_view import make_shown_env
from racing_vpt.play.take import PERSON
from racing_vpt.rollout.episodes import EpisodeResult, EpisodeWriter
from racing_vpt.seeds import FIRST_VALIDATION_SEED
from racing_vpt.types import Agent
from racing_vpt.window.window import Keys, Window

FILM_SECONDS = 60.0  # maximum length of a film without a key script
SCRIPTED = ("expert", "road-expert", "enduro-expert", "brownian", "random")  # agents other than checkpoints
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlayedWorld:
    """Where to play: an environment or a world model.

    Args:
        env: environment id; None: that of the game.
        world_model: a person drives in the world model.
        agent_in_world_model: the agent drives in the world model.
        reconstruction: show the model's reconstruction beside each frame.
        tau: temperature of the world model.
        game: game to play, whose file names the keys. None: the checkpoint's, or CarRacing.
    """

    env: str | None = None
    world_model: bool = False
    agent_in_world_model: bool = False
    reconstruction: bool = False
    tau: float = 1.0
    game: Game | None = None


def player_of(
    run: str,
    world: PlayedWorld,
    recordings: Path,
    options: PlayerOptions | None = None,
    seed: int = FIRST_VALIDATION_SEED,
) -> Player:
    """The player for a checkpoint, a scripted agent, or a person alone (`keyboard`).

    Raises:
        FileNotFoundError: the checkpoint does not exist.
        ValueError: the checkpoint lacks what the options need.
    """
    options = options or PlayerOptions()
    course: Course
    if run == PERSON or run.partition(":")[0] in SCRIPTED:
        if world.world_model or world.agent_in_world_model or world.reconstruction:
            raise ValueError(f"{run} is no checkpoint, so it has no world model; play one such as zoo:iris-carracing")
        env = world.env or (world.game or load_game("carracing")).place(training=False)
        driver = None if run == PERSON else FollowingAgent(load_agent(run, seed=seed))
        course = EnvCourse(make_shown_env(env), env, driver, game=world.game)
        by_hand = driver is None
    else:
        course = course_of(run, world)
        by_hand = world.world_model or not course.has_agent
    options = PlayerOptions(by_hand, options.hands_over, options.header, options.save_mode, options.scale)
    return Player(course, run, recordings, options, count(seed))


def course_of(run: str, world: PlayedWorld) -> Course:
    """Environment or world model for a checkpoint; raises as `player_of`."""
    checkpoint = read_checkpoint(run)
    module = build_module(checkpoint, run)
    if world.game is not None:
        check_same_game(cast(Game, module.game), world.game, run)
    step = checkpoint.extra.get("global_step")
    log.info("playing %s%s%s", checkpoint.path, "" if step is None else f", step {step}", being_saved(checkpoint.path))
    if not (world.world_model or world.agent_in_world_model):
        return env_course_of(module, run, world.env, world.reconstruction, world.game)
    imagination, dreamer = imagination_of(module, run, world.tau, world.game), dreamer_of(module)
    if dreamer is None and world.agent_in_world_model:
        raise ValueError(f"{run} is a {type(module).__name__} without an agent; drive in it with --world_model")
    return DreamCourse(imagination, run, dreamer)


def watch_episodes(
    env: gymnasium.Env,
    env_name: str,
    agent: Agent | None,
    agent_name: str,
    seeds: Iterable[int],
    open_writer: Callable[[int], EpisodeWriter | None] | None = None,
    max_frames: int | None = None,
    on_step: Callable[[int, int], None] | None = None,
    game: Game | None = None,
) -> Iterator[EpisodeResult]:
    """`run_episodes` in a window, one episode after another.

    Args:
        env: environment from `make_shown_env`.
        env_name: displayed name of the environment.
        agent: the driver; None: a person at the keyboard.
        agent_name: displayed name of the driver.
        seeds: seeds of the episodes.
        open_writer: as in `run_episodes`.
        max_frames: as in `run_episodes`.
        on_step: as in `run_episodes`.
        game: game whose keys are used; None: the environment's.

    Yields:
        The result of each episode as it ends, until there are no more seeds or the window is closed.
    """
    driver = None if agent is None else FollowingAgent(agent)
    course = EnvCourse(env, env_name, driver, open_writer=open_writer, max_frames=max_frames, game=game)
    options = PlayerOptions(by_hand=agent is None, hands_over=False)
    player, keys = Player(course, agent_name, None, options, iter(seeds)), Keys()
    ended = 0
    with closing(player), closing(Window(f"racing-vpt drive: {agent_name}")) as window:
        while not player.over:
            keys = window.show(player.step(keys), player.frames_per_second, player.help)
            if on_step:
                on_step(player.seed, course.age)
            if player.episodes > ended:
                ended = player.episodes
                yield course.result()


def until_it_ends(screen: Screen) -> Iterator[Keys]:
    """No keys, until the episode or film is over."""
    shown = 0
    while shown < FILM_SECONDS * screen.frames_per_second:
        yield Keys()
        shown += 1
        if getattr(screen, "episodes", 0) or getattr(screen, "ended", False):
            return


def being_saved(path: Path) -> str:
    """A note if the checkpoint's run is saving another one right now."""
    busy = path.suffix == ".ckpt" and any(path.parent.glob(f"{TEMPORARY}*.ckpt"))
    return "; a newer one is being written, and is not played" if busy else ""
