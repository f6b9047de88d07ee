"""`racing-vpt play`: watch an agent, take the wheel from it, and drive in what its world model dreams."""

from __future__ import annotations

from pathlib import Path


def play(
    run: str,
    *,
    env: str | None = None,
    seed: int = 1000,
    world_model: bool = False,
    agent_in_world_model: bool = False,
    episodes: bool = False,
    reconstruction: bool = False,
    header: bool = False,
    save_mode: bool = False,
    tau: float = 1.0,
    scale: int | None = None,
    recordings: Path | None = None,
    out: Path | None = None,
    keys: str | None = None,
) -> Path | None:
    """Watch the agent of a run drive, in a window. Keys: m hands over to you and back (arrows or WASD drive, space
    brakes, or fires in Atari's games), a comma starts and stops a recording, escape ends.

    Whoever drives, the agent goes on watching, and its memory goes on. Recordings go to RUN/media/recordings as
    KIND-NNNN.mp4 and .npz (frames, controls, rewards, who drove in what world) at the rate of what was driven in.

    Args:
        run: a run folder, a file, or zoo:NAME.
        env: environment in which the agent drives; CarRacing-v3 if not given, or the Atari game that it was made for.
        seed: of the first episode or dream; the next one has the next.
        world_model: drive in the world model, by keyboard.
        agent_in_world_model: watch the agent drive in the world model.
        episodes: leaf through what is in RUN/media: episodes, recordings, films of validation drives. Up and down turn
            to another one, left and right step a frame, space stops and goes on.
        reconstruction: beside each frame, show it as the model sees it, and as the model codes it. Where there is no
            agent, as with a tokenizer or a world model alone, you drive.
        header: show the checkpoint, the world, the step and the rate above the picture.
        save_mode: ask after each episode whether its trajectory is to be kept (y, n).
        tau: temperature of dreams; at 0 nothing is drawn.
        scale: how many times frames are enlarged; to about 384 rows, or 288 with --reconstruction, if not given.
        recordings: folder for the recordings. Without it, of what is no run folder: runs/play/NAME/media/recordings.
        out: mp4 to write instead of opening a window, for which no display is needed.
        keys: what is pressed for it, such as "up*20 left*5 up+left*10 , m": 20 frames of the up key, and so on;
            none*50 leaves the keyboard alone. If not given, the agent drives one episode, or a minute of it.

    Returns:
        The mp4, or None where a window was shown.
    """
    from contextlib import closing

    from racing_vpt.envs.make import has_display
    from racing_vpt.play.key_script import parse_keys
    from racing_vpt.play.player import Screen
    from racing_vpt.play.screen import media_of, player_of, write_film

    modes = {"--world_model": world_model, "--agent_in_world_model": agent_in_world_model, "--episodes": episodes}
    given = [name for name, on in modes.items() if on]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} were given, but only one of them can be played at a time")
    if reconstruction and given:
        raise ValueError(f"--reconstruction shows true frames beside the model's, but {given[0]} has no true frames")
    if scale is not None and scale < 1:
        raise ValueError(f"--scale counts from 1, but {scale} was given")
    if keys is not None and out is None:
        raise ValueError("--keys is a script for a film: give --out FILM.mp4 with it, or leave it out for a window")
    if out is None and not has_display():
        raise ValueError(
            "a window needs a display, and none was found (DISPLAY and WAYLAND_DISPLAY are unset); write a film "
            "instead: --out FILM.mp4 --keys 'up*20 left*5'"
        )
    script = None if keys is None else parse_keys(keys)
    if episodes:
        from racing_vpt.play.browser import Browser, films_of

        media = media_of(run)
        screen: Screen = Browser(films_of(media), media, header)
    else:
        screen = player_of(
            run, env, seed, world_model, agent_in_world_model, reconstruction, header, save_mode, tau, scale, recordings
        )
    with closing(screen):
        if out is None:
            from racing_vpt.play.window import show

            show(screen)
        else:
            write_film(screen, script, out)
    for path in getattr(screen, "kept", []):
        print(f"kept: {path}, {path.with_suffix('.mp4')}")
    if out is not None:
        print(f"film: {out}")
    return out
