"""`racing-vpt play`: watch an agent, take the wheel from it, and drive in what its world model dreams."""

from __future__ import annotations

from pathlib import Path

from racing_vpt.seeds import FIRST_VALIDATION_SEED


def play(
    run: str,
    *,
    env: str | None = None,
    seed: int = FIRST_VALIDATION_SEED,
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
    game: str | None = None,
    rom: Path | None = None,
) -> Path | None:
    """Watch an agent drive in a window, and take the wheel from it: `racing-vpt play zoo:vpt-carracing`.

    `h` shows the keys: m hands over to you and back, the keys of the game's file drive (arrows or WASD), a comma starts
    and stops a recording, space pauses, Escape ends. In its own world model: `racing-vpt play zoo:iris-carracing
    --agent_in_world_model`.

    While you drive, the agent goes on watching, so that it can take over at any moment. Recordings are named
    RUN/media/recordings/KIND-NNNN.mp4; pack trains on them as on any others, also on those of a dream, which their
    meta files mark.

    Args:
        run: who drives: zoo:NAME, a run folder or file; expert, road-expert, enduro-expert, brownian or random; or
            keyboard, for you alone.
        env: environment in which the agent drives. Default: that of the game.
        seed: of the first episode or dream; the next one has the next.
        world_model: drive in the world model yourself.
        agent_in_world_model: watch the agent drive in the world model.
        episodes: browse what is in RUN/media: episodes, recordings, films of validation drives. Up and down choose one,
            left and right step a frame, space stops and continues.
        reconstruction: beside each frame, show it as the model sees it, and as the model codes it. Where there is no
            agent, as with a tokenizer or a world model alone, you drive.
        header: show more: episode, step and the rate of what is driven in.
        save_mode: ask after each episode whether it is to be kept (y, n).
        tau: temperature of the world model; at 0 nothing is drawn.
        scale: enlargement of the frames. Default: the environment's own large picture where it has one; else as large
            as fits 480 rows, or 384 with --reconstruction.
        recordings: folder for the recordings. Without it, of what is no run folder: runs/play/NAME/media/recordings.
        out: mp4 to write instead of opening a window, for which no display is needed.
        keys: what is pressed for it, such as "up*20 left*5 up+left*10 , m": 20 frames of the up key, and so on;
            none*50 leaves the keyboard alone. Default: the agent drives one episode, or a minute of it.
        game: name or YAML file of the game, which names the keys and the environment; a checkpoint has its own, which
            must be this one. Default: the checkpoint's, or carracing.
        rom: image of a NES game's cartridge, for --game nes or a file of your own.

    Returns:
        The mp4, or None where a window was shown.
    """
    from contextlib import closing

    from racing_vpt.envs.make import has_display
    from racing_vpt.games.read import load_game
    from racing_vpt.outputs import check_own_film, sole_writer_of
    from racing_vpt.play.browser import Browser
    from racing_vpt.play.film import write_film
    from racing_vpt.play.kept_episodes import media_of
    from racing_vpt.play.key_script import parse_keys
    from racing_vpt.play.player import Player, PlayerOptions
    from racing_vpt.play.players import PlayedWorld, player_of, until_it_ends
    from racing_vpt.play.screen import show

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
    check_own_film(out)
    asked = None if game is None else load_game(game)
    if rom is not None:
        env = env or (asked or load_game("nes")).place(training=False, rom=rom)
    media = media_of(run)
    if episodes:
        from racing_vpt.play.kept_episodes import episodes_of

        screen: Player | Browser = Browser(episodes_of(media), media, header)
    else:
        world = PlayedWorld(env, world_model, agent_in_world_model, reconstruction, tau, asked)
        options = PlayerOptions(header=header, save_mode=save_mode, scale=scale)
        screen = player_of(run, world, recordings or media / "recordings", options, seed)
    with closing(screen), sole_writer_of(out):
        script = None if keys is None else parse_keys(keys, screen.script_keys)
        if out is None and not has_display():  # only now: a mistyped run is no matter of the display
            raise ValueError(
                "a window needs a display, and none was found (DISPLAY and WAYLAND_DISPLAY are unset); write a film "
                "instead: --out FILM.mp4"
            )
        if out is None:
            show(screen, f"racing-vpt play: {run}")
        elif script is None and getattr(screen, "by_hand", False):
            raise ValueError("nobody drives in this film: give --keys 'up*20 left*5 ...', or let an agent drive")
        else:
            pressed = until_it_ends(screen) if script is None else script
            write_film((screen.step(used) for used in pressed), screen.frames_per_second, out)
    kept = getattr(screen, "kept", [])
    for path in kept:
        print(f"recording: {path}")
    if kept:
        print(f"look at it with: racing-vpt view {kept[-1]}")
    if out is not None:
        print(f"film: {out}")
    return out
