"""The playable parts of a checkpoint: agent, world model, and encoder with decoder (eye)."""

from __future__ import annotations

from typing import Any, cast

import gymnasium
import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from racing_vpt.agents.checkpoint import CheckpointAgent, Policy
from racing_vpt.dream import begun
from racing_vpt.envs.make import STOCK_ID
from racing_vpt.envs.offers import check_driver
from racing_vpt.games.atari import ATARI
from racing_vpt.games.controls import ControlScheme
from racing_vpt.games.game import Game
from racing_vpt.models.controller import Controller
from racing_vpt.models.mdn_rnn import MDNRNN
from racing_vpt.models.token_world import STARTS, TokenWorld
from racing_vpt.models.tokenizer import Tokenizer
from racing_vpt.models.vae import VAE
from racing_vpt.models.worlds import token_world_of, world_of
from racing_vpt.nn.imagination import World
from racing_vpt.nn.memory_world import CodeEye
from racing_vpt.nn.tokenizer_net import TokenizerNet
from racing_vpt.play.course import Dreamer, Driver, EnvCourse, FollowingAgent
from racing_vpt.play.imagination import Beginning, Begun, Eye, Reconstruction, WorldImagination
from racing_vpt.play.sharp_view import make_shown_env
from racing_vpt.play.world_drivers import ActorDreamer, Imaginer, WorldDriver
from racing_vpt.types import FrameSpec


class TokenEye:
    """A tokenizer without a world model, as an `Eye`.

    Args:
        net: the tokenizer.
        columns: tokens per row of a frame.
    """

    def __init__(self, net: TokenizerNet, columns: int) -> None:
        self.net, self.columns = net.eval(), columns

    def code(self, frames: Tensor) -> Tensor:
        """Tokens int64 [N, K] of frames uint8 [N, H, W, 3]."""
        return self.net.tokens(frames)

    def show(self, observations: Tensor) -> Tensor:
        """Pictures float32 [N, 3, H, W] in [0, 1] of tokens [N, K]."""
        return self.net.pictures(observations, self.columns)


def eye_of(module: LightningModule) -> Eye | None:
    """Encoder and decoder of a model; None if it has none."""
    if isinstance(module, Controller):
        return CodeEye(module.world.vae)
    if isinstance(module, MDNRNN | VAE):
        return CodeEye(module.vae if isinstance(module, MDNRNN) else module.net)
    if isinstance(module, Tokenizer):
        return TokenEye(module.net, module.net.grid(module.frames.height, module.frames.width)[1])
    return token_world_of(module)


def driver_of(module: LightningModule) -> Driver | None:
    """The model's agent for an environment; None if it does not drive."""
    if isinstance(module, Controller):
        return WorldDriver(module)
    return FollowingAgent(CheckpointAgent(cast(Policy, module))) if hasattr(module, "policy") else None


def dreamer_of(module: LightningModule) -> Dreamer | None:
    """The model's agent for its own world model; None if it has none."""
    if isinstance(module, Controller):
        return WorldDriver(module)
    return ActorDreamer(cast(Imaginer, module)) if hasattr(module, "agent") and token_world_of(module) else None


def env_course_of(
    module: LightningModule, name: str, env: str | None, reconstruction: bool, game: Game | None = None
) -> EnvCourse:
    """An environment with a model's agent, or with a person if the model has none.

    Args:
        module: module of a checkpoint.
        name: name of the checkpoint.
        env: environment id; None: that of the game.
        reconstruction: show the model's reconstruction beside each frame.
        game: `--game`; None: the game that the model was trained on.

    Raises:
        ValueError: the model neither drives nor reconstructs, or was trained on another game.
    """
    driver, eye, kind = driver_of(module), eye_of(module), type(module).__name__
    if reconstruction and eye is None:
        raise ValueError(
            f"{name} is a {kind}, which reconstructs nothing; --reconstruction needs a world model or a tokenizer, "
            "such as in a controller of World Models or an IRIS"
        )
    if driver is None and not reconstruction:
        more = "" if eye is None else "; see what it makes of your driving with --reconstruction"
        more += (
            "" if token_world_of(module) is None and not isinstance(module, MDNRNN) else ", or drive in --world_model"
        )
        raise ValueError(f"{name} is a {kind}, which does not drive{more}")
    env = env or (game and game.env) or game_of(module)
    made = make_shown_env(env)
    if eye is not None:
        check_game(module, name, made, env)
    frames = cast(FrameSpec, module.frames)
    return EnvCourse(made, env, driver, Reconstruction(eye, frames) if reconstruction and eye else None, game=game)


def game_of(module: LightningModule) -> str:
    """Environment id of a model's game."""
    return module.game.env or STOCK_ID  # type: ignore[union-attr, return-value]


def check_game(module: LightningModule, name: str, env: gymnasium.Env, id: str) -> None:
    """Raise ValueError if frame rate or controls show that a model was trained on another game."""
    rate, wanted = float(env.metadata.get("render_fps", 50)), cast(FrameSpec, module.frames).frames_per_second
    if rate != wanted:
        raise ValueError(
            f"{name} was trained on a game with {wanted:g} frames/s, but {id} has {rate:g}; give --env with "
            f"the game that it was trained on"
        )
    scheme, theirs = getattr(module, "scheme", None), env.game  # type: ignore[attr-defined]
    if not isinstance(scheme, ControlScheme):
        return
    check_driver(scheme.controls, scheme.name, env)
    if module.game.name != theirs.name and str(module.game.env).startswith(ATARI):  # type: ignore[union-attr]
        raise ValueError(
            f"{name} was trained on {game_of(module)}, but {id} is another game; give --env {game_of(module)}"
        )


def imagination_of(module: LightningModule, name: str, tau: float, game: Game | None = None) -> WorldImagination:
    """A model's world model; ValueError if there is none, or it was never trained.

    Args:
        module: module of a checkpoint.
        name: name of the checkpoint.
        tau: temperature.
        game: `--game`; None: the game that the model was trained on.
    """
    world = world_of(module, name)
    if isinstance(world, TokenWorld):
        beginning = token_beginning(world, name)
    else:
        beginning = code_beginning(world, cast(Controller | MDNRNN, module).beginnings, name)
    return WorldImagination(world, game or cast(Game, module.game), cast(FrameSpec, module.frames), beginning, tau)


def code_beginning(world: World[Any], starts: Tensor, name: str) -> Beginning:
    """Draws starts of dreams from codes [S, 2 * latent] of first frames, as `DreamEnv` does."""
    if not len(starts):
        raise ValueError(f"{name} has no first frames of episodes, from which dreams begin; train it on whole episodes")

    def begin(random: torch.Generator) -> Begun:
        z = begun(starts, 1, random)
        return Begun(z, world.observe(z[:, None], torch.zeros(1, 1, len(world.controls)), world.initial(1)), z[:0])

    return begin


def token_beginning(module: TokenWorld, name: str) -> Beginning:
    """Draws one of the clips stored in the world model; the dream continues from its last frame."""
    count = min(int(module.num_starts), STARTS)
    if not count:
        raise ValueError(f"{name} was never trained, so there are no frames from which a dream can begin")

    def begin(random: torch.Generator) -> Begun:
        row = torch.randint(count, (1,), generator=random)
        seen = module.start_tokens[int(row)].long()
        return Begun(seen[-1:], module.begin(row), seen[:-1])

    return begin
