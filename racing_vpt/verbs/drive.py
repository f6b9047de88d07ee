"""`racing-vpt drive`: let an agent drive, and score it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from racing_vpt.rollout.scores import Report, outcome, report_of, table
from racing_vpt.seeds import JUDGING

if TYPE_CHECKING:
    from racing_vpt.games.game import Game
    from racing_vpt.rollout.episodes import EpisodeResult


@dataclass(frozen=True)
class Trial:
    """Settings of a trial, sent to the driving processes."""

    checkpoint: str
    env: str
    device: str
    greedy: bool
    batch: int
    max_frames: int | None
    film: Path | None = None
    film_scale: int | None = None
    film_seed: int | None = None
    render: bool = False
    count: Path | None = None  # file for the frames driven so far
    seeds: tuple[int, ...] = ()
    game: Game | None = None  # `--game`, whose keys count


def drive(
    checkpoint: str,
    env: str | None = None,
    seeds: str = JUDGING,
    video: Path | None = None,
    json: Path | None = None,
    render: Literal["human"] | None = None,
    film_seed: int | None = None,
    film_scale: int | None = None,
    workers: int | None = None,
    batch: int = 8,
    device: str = "cpu",
    sample: bool = False,
    max_frames: int | None = None,
    game: str | None = None,
    rom: Path | None = None,
) -> Report | None:
    """Let a checkpoint or another agent drive each seed once, and print its scores.

    Args:
        checkpoint: who drives: zoo:NAME, a run folder or file, or expert, expert:STYLE, brownian, random, keyboard.
        env: environment; that of the game if not given. Scores that are compared come from the stock CarRacing-v3;
            racing_vpt/CarRacingFast-v3 is the same, drawn faster; minerl:HumanSurvival is Minecraft, for which a policy
            wants --sample; racing_vpt/Meadow-v0 has its controls; ALE/Enduro-v5 is Atari's; others of gymnasium offer
            theirs themselves.
        seeds: tracks or worlds, such as 0-99 or 5,7-9. Choose models on 1000-1099; 0-99 are for the final figure.
        video: mp4 file for a film of one episode; of a world model, what it sees and expects beside the frame.
        json: file for the scores, written after every episode, so that a stopped run keeps its results.
        render: `human` shows one episode after the other in a window; h there shows the keys.
        film_seed: seed to film. Default: the first.
        film_scale: enlargement of the film's picture. Default: to about 384 rows.
        workers: processes. Default: one per core.
        batch: environments per process, driven by one call of the network.
        device: device of a checkpoint's network: cpu or cuda.
        sample: draw controls from the policy's distribution instead of taking the likeliest.
        max_frames: longest episode in frames. Default: the environment's (CarRacing: 1000).
        game: name or YAML file of the game; a checkpoint has its own, which must be this one.
        rom: image of a NES game's cartridge, for --game nes or a file of your own.

    Returns:
        Content of the JSON file; None if no episode was finished.
    """
    import time
    from functools import partial

    from racing_vpt.agents.load import game_of, load_agent
    from racing_vpt.cli.episode_progress import EpisodeProgress, longest_episode
    from racing_vpt.envs.make import has_display, make_env
    from racing_vpt.files import write_json
    from racing_vpt.free_cores import num_cores
    from racing_vpt.games.game import check_same_game
    from racing_vpt.games.read import load_game
    from racing_vpt.outputs import check_own_film, check_own_report, sole_writer_of
    from racing_vpt.processes import in_parallel
    from racing_vpt.seeds import parse_seeds

    numbers = parse_seeds(seeds)
    film_seed = numbers[0] if film_seed is None else film_seed
    if film_seed not in numbers:
        raise ValueError(f"--film_seed {film_seed} is not among the seeds {seeds}")
    if batch < 1 or (film_scale is not None and film_scale < 1):
        raise ValueError(f"--batch and --film_scale count from 1; {batch} and {film_scale} were given")
    check_own_film(video)
    check_own_report(json)
    shown = render == "human" or checkpoint == "keyboard"
    asked = None if game is None else load_game(game)
    held = None if checkpoint == "keyboard" else game_of(load_agent(checkpoint, device))
    if held is not None and asked is not None:
        check_same_game(held, asked, checkpoint)
    env = env or (asked or held or load_game("carracing")).place(training=False, rom=rom)
    make_env(env).close()  # a wrong name is an error here and not in a worker
    if shown and not has_display():
        raise ValueError(
            "a window needs a display (DISPLAY and WAYLAND_DISPLAY are unset); write a film instead: --video FILE.mp4"
        )
    workers = 1 if shown else workers or num_cores()
    batch = 1 if shown else max(1, min(batch, -(-len(numbers) // workers)))
    trial = Trial(
        checkpoint, env, device, not sample, batch, max_frames, video, film_scale, film_seed, shown, game=asked
    )
    order = film_first(numbers, film_seed)
    results: list[EpisodeResult] = []
    report: Report | None = None
    started = time.monotonic()
    try:
        with (
            sole_writer_of(video, json),
            EpisodeProgress(checkpoint, order, longest_episode(env, max_frames)) as progress,
        ):
            trial = replace(trial, count=progress.file, seeds=tuple(order))
            for result in in_parallel(partial(run_trial, trial), order, workers):
                results.append(result)
                report = report_of(checkpoint, env, numbers, results, time.monotonic() - started)
                line = f"seed {result.seed:6}  score {result.score:7.1f}  frames {result.frames:5}  {outcome(result)}"
                progress.episode(line, result.frames, f"mean {report.mean:.1f}")
                if json:
                    write_json(json, asdict(report))
    finally:
        if report:
            print(table(results, report))
            print_files(video, json)
    if report is None:
        print("ended before an episode was over: there is no score")
    return report


def print_files(video: Path | None, json: Path | None) -> None:
    """Say where the film and the scores are."""
    files = [f"{what} {path}" for what, path in (("film", video), ("scores", json)) if path and path.exists()]
    if files:
        print("written: " + ", ".join(files))


def film_first(seeds: Sequence[int], film_seed: int) -> list[int]:
    """The seeds, with the filmed one first."""
    return [film_seed, *(seed for seed in seeds if seed != film_seed)]


def run_trial(trial: Trial, seeds: Iterable[int]) -> Iterator[tuple[int, EpisodeResult]]:
    """Drive the episodes of these seeds; each seed with its result."""
    from functools import partial

    from racing_vpt.agents.load import load_agent
    from racing_vpt.envs.make import make_env
    from racing_vpt.play.film import EpisodeFilm
    from racing_vpt.play.sharp_view import make_shown_env, sharp_view
    from racing_vpt.rollout.episodes import run_episodes
    from racing_vpt.rollout.frame_count import FrameCount

    def open_film(seed: int) -> EpisodeFilm | None:
        if trial.film is None or seed != trial.film_seed:
            return None
        rate = float(envs[0].metadata.get("render_fps", 50))
        title = f"{Path(trial.checkpoint).name}, seed {seed}"
        from racing_vpt.play.world_view import world_view_of

        beside = world_view_of(agent) if agent else None
        view = partial(sharp_view, envs[0])  # the seed that is filmed comes first
        return EpisodeFilm(trial.film, title, rate, trial.film_scale, beside, view)

    person = trial.checkpoint == "keyboard"
    agent = None if person else load_agent(trial.checkpoint, trial.device, greedy=trial.greedy)
    envs = [make_shown_env(trial.env) if trial.render else make_env(trial.env) for _ in range(trial.batch)]
    on_step = FrameCount(trial.count, trial.seeds).note if trial.count else None
    try:
        if agent is None or trial.render:
            from racing_vpt.play.players import watch_episodes  # here, because it imports torch and Lightning

            name, limit = trial.checkpoint, trial.max_frames
            results = watch_episodes(envs[0], trial.env, agent, name, seeds, open_film, limit, on_step, trial.game)
        else:
            limit = trial.max_frames
            results = run_episodes(envs, agent, seeds, open_writer=open_film, max_frames=limit, on_step=on_step)
        yield from ((result.seed, result) for result in results)
    finally:
        for env in envs:
            env.close()
