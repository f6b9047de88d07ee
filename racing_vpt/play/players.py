"""The players that the command line asks for."""

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
from racing_vpt.types import Agent
from racing_vpt.window.window import Keys, Window

FILM_SECONDS = 60.0  # of a film without a key script, at most
SCRIPTED = ("expert", "brownian", "random")  # agents that are no checkpoints
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlayedWorld:
    """What is played in.

    Args:
        env: environment; None: that of the game.
        world_model: a person drives in the world model.
        agent_in_world_model: the agent drives in the world model.
        reconstruction: show beside each frame what the model makes of it.
        tau: temperature of the world model.
        game: the game that is played; its file names the keys. None: the checkpoint's, or CarRacing.
    """

    env: str | None = None
    world_model: bool = False
    agent_in_world_model: bool = False
    reconstruction: bool = False
    tau: float = 1.0
    game: Game | None = None


def player_of(
    run: str, world: PlayedWorld, recordings: Path, options: PlayerOptions | None = None, seed: int = 1000
) -> Player:
    """The player of a checkpoint, of an agent that needs none, or of a person alone (`keyboard`).

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: it has not what the options ask for.
    """
    options = options or PlayerOptions()
    course: Course
    if run == PERSON or run.partition(":")[0] in SCRIPTED:
        if world.world_model or world.agent_in_world_model or world.reconstruction:
            raise ValueError(f"{run} is no checkpoint, so it has no world model; play one, such as zoo:iris-carracing")
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
    """Where the agent of a checkpoint drives, or a person does; errors as `player_of`."""
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
    """Drive episodes in a window, one after the other; `run_episodes` for somebody who watches.

    Args:
        env: made by `make_shown_env`.
        env_name: for people.
        agent: drives; None: a person does, at the keyboard.
        agent_name: for people.
        seeds: one an episode.
        open_writer: as in `run_episodes`.
        max_frames: as in `run_episodes`.
        on_step: as in `run_episodes`.
        game: whose keys count; None: the environment's.

    Yields:
        A result as each episode ends, until there are no more seeds or the person ends it.
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
    """No keys, until an episode, or the film that is shown, is over."""
    shown = 0
    while shown < FILM_SECONDS * screen.frames_per_second:
        yield Keys()
        shown += 1
        if getattr(screen, "episodes", 0) or getattr(screen, "ended", False):
            return


def being_saved(path: Path) -> str:
    """A remark where the run of this checkpoint is saving another one at this moment."""
    busy = path.suffix == ".ckpt" and any(path.parent.glob(f"{TEMPORARY}*.ckpt"))
    return "; a newer one is being written, and is not played" if busy else ""
