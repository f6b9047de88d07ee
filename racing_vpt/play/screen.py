"""What `racing-vpt play` shows, and the film of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from racing_vpt.agents.key_controls import Keys
from racing_vpt.checkpoints.load import build_module, read_checkpoint
from racing_vpt.files import TEMPORARY, published
from racing_vpt.frames import resize
from racing_vpt.play.models import dreamer_of, imagination_of, road_of
from racing_vpt.play.player import Player, Screen
from racing_vpt.play.scene import DreamScene, Scene
from racing_vpt.video.encode import VideoWriter

FILM_SECONDS = 60.0  # of a film without a key script, at most
log = logging.getLogger(__name__)


def player_of(
    run: str,
    env: str | None,
    seed: int,
    world_model: bool,
    agent_in_world_model: bool,
    reconstruction: bool,
    header: bool,
    save_mode: bool,
    tau: float,
    scale: int | None,
    recordings: Path | None,
) -> Player:
    """The player that the options of `play` ask for."""
    checkpoint = read_checkpoint(run)
    module = build_module(checkpoint, run)
    step = checkpoint.extra.get("global_step")
    log.info("playing %s%s%s", checkpoint.path, "" if step is None else f", step {step}", being_saved(checkpoint.path))
    if world_model or agent_in_world_model:
        imagination, dreamer = imagination_of(module, run, tau), dreamer_of(module)
        if dreamer is None and agent_in_world_model:
            raise ValueError(f"{run} is a {type(module).__name__} without an agent; drive in it with --world_model")
        scene: Scene = DreamScene(imagination, f"the dream of {checkpoint.fingerprint}, tau {tau:g}", dreamer)
    else:
        scene = road_of(module, run, env, reconstruction)
    by: Literal["keyboard", "agent"] = "keyboard" if world_model or not scene.has_agent else "agent"
    folder = recordings or media_of(run) / "recordings"
    return Player(scene, folder, run, by, seed, header, save_mode, scale)


def write_film(screen: Screen, script: list[Keys] | None, out: Path) -> None:
    """What a window would show, as an mp4 at the true rate, whole or not at all; ValueError where nobody drives."""
    if script is None and getattr(screen, "by_hand", False):
        raise ValueError("nobody drives in this film: give --keys 'up*20 left*5 ...', or let an agent drive")
    with published(out) as temporary:
        writer: VideoWriter | None = None
        for keys in tqdm(script or until_it_ends(screen), unit="frame", desc=out.name):
            picture = screen.step(keys)
            if writer is None:
                height, width = picture.shape[:2]
                writer = VideoWriter(temporary, screen.frames_per_second, height, width, crf=20, pixel_format="yuv420p")
            height, width = writer.shape[:2]
            writer.add(resize(picture, height, width, "letterbox"))
        assert writer is not None
        writer.close()


def until_it_ends(screen: Screen) -> Iterator[Keys]:
    """No keys, until an episode, or the film that is shown, is over."""
    shown = 0
    while shown < FILM_SECONDS * screen.frames_per_second:
        yield Keys()
        shown += 1
        if getattr(screen, "episodes", 0) or getattr(screen, "ended", False):
            return


def media_of(run: str) -> Path:
    """Where films and recordings of a checkpoint are: in its run folder, or, where it has none, in one of its own."""
    path = Path(run)
    if (path / "checkpoints").is_dir():
        return path / "media"
    if path.suffix == ".ckpt" and path.parent.name == "checkpoints":
        return path.parent.parent / "media"
    return Path("runs/play") / run.removeprefix("zoo:").strip("/").split("/")[-1] / "media"


def being_saved(path: Path) -> str:
    """A remark where the run of this checkpoint is saving another one at this moment."""
    busy = path.suffix == ".ckpt" and any(path.parent.glob(f"{TEMPORARY}*.ckpt"))
    return "; a newer one is being written, and is not played" if busy else ""
