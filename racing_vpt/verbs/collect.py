"""`racing-vpt collect`: record agents that drive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from racing_vpt.agents.perturbation import Perturbation
from racing_vpt.data.renditions import Rendition
from racing_vpt.rollout.plan import Driver, Plan
from racing_vpt.seeds import FIRST_TRAINING_SEED, JUDGING, SHORT_TRAINING, VALIDATION

if TYPE_CHECKING:
    from racing_vpt.rollout.episodes import EpisodeResult, EpisodeWriter
    from racing_vpt.types import Agent


def collect(
    out: Path,
    seeds: str = SHORT_TRAINING,
    agents: list[Driver] | None = None,
    env: str | None = None,
    perturb: Perturbation | None = None,
    video_only: bool = False,
    truth: Path | None = None,
    pictures: bool = False,
    renditions: list[Rendition] | None = None,
    max_frames: int | None = None,
    workers: int | None = None,
    allow_judging_seeds: bool = False,
    game: str = "carracing",
    rom: Path | None = None,
    license: str | None = None,
    author: str | None = None,
) -> list[EpisodeResult]:
    """Record agents that drive: one episode per seed, as video, controls and meta file.

    A collection that was stopped is continued by the same command; an unfinished episode is recorded again.

    Args:
        out: folder for the recordings.
        seeds: tracks, such as 10000-10049 or 5,7-9. Seeds below 10000 are reserved for validation and judging.
        agents: agents and their shares of the episodes. Default: the driver in the game's file; CarRacing: the calm
            expert.
        env: environment. Default: the game's; CarRacing's is the fast one, with physics and rewards of CarRacing-v3.
        perturb: short perturbations of the executed controls, so that recoveries are recorded. Default: none.
        video_only: keep the controls out of `out`: video for the inverse dynamics model to label.
        truth: folder for the controls of --video_only, for scoring. Default: OUT-truth.
        pictures: write folders of PNG frames instead of mp4 files.
        renditions: write each episode as ordinary tools would, one recording per encoding, instead of as our own
            near-lossless mp4; as the recipes of `racing-vpt renditions`, but encoded once only.
        max_frames: longest episode in frames. Default: the environment's (CarRacing: 1000).
        workers: processes. Default: one per core.
        allow_judging_seeds: allow seeds below 10000.
        game: name or YAML file of the game, which names its environment.
        rom: image of a NES game's cartridge, for --game nes or a file of your own.
        license: licence of the recordings, such as CC-BY-4.0, which goes along wherever they go.
        author: who made them, as you want to be named.

    Returns:
        Results of the episodes recorded now.

    Raises:
        ValueError: seeds are reserved, options contradict each other, or `out` holds recordings of other settings.
    """
    from contextlib import nullcontext
    from functools import partial

    from racing_vpt.cli.episode_progress import EpisodeProgress, longest_episode
    from racing_vpt.data.origin import origin_of
    from racing_vpt.free_cores import num_cores
    from racing_vpt.games.read import load_game
    from racing_vpt.outputs import sole_writer
    from racing_vpt.processes import in_parallel
    from racing_vpt.seeds import parse_seeds

    numbers = parse_seeds(seeds)
    if min(numbers) < FIRST_TRAINING_SEED and not allow_judging_seeds:
        raise ValueError(
            f"seeds {seeds}: scores are judged on {JUDGING} and models chosen on {VALIDATION}, so data for training "
            f"starts at seed {FIRST_TRAINING_SEED}; to record {min(numbers)} all the same, add --allow_judging_seeds"
        )
    if truth is not None and not video_only:
        raise ValueError("--truth says where the controls go with --video_only, which was not given")
    if video_only and truth is None:
        truth = out.with_name(out.name + "-truth")
    if truth is not None and truth.resolve().is_relative_to(out.resolve()):
        raise ValueError(f"truth {truth} lies in {out}, beside the videos that must not know it; choose another folder")
    played = load_game(game)
    env = env or played.place(rom=rom)
    drivers = tuple(agents or [Driver(played.driver) if played.driver else Driver()])
    if min(driver.share for driver in drivers) < 0 or sum(driver.share for driver in drivers) <= 0:
        raise ValueError(f"shares must not be negative, nor all 0; given: {[driver.share for driver in drivers]}")
    encodings = tuple(renditions or ())
    names = [rendition.name for rendition in encodings]
    if (pictures and names) or len(set(names)) < len(names):
        raise ValueError(f"renditions need names of their own, and no --pictures with them; given: {names}")
    origin = origin_of("collect", license, author)
    plan = Plan(out, env, drivers, perturb, truth, video_only, pictures, max_frames, encodings, origin=origin)
    for seed in {plan.driver_of(number).agent: number for number in numbers}.values():
        plan.load_driver(seed)  # a wrong name is an error here, not in a worker
    frames_per_second = check_env(env, any(plan.perturbation_of(seed) for seed in numbers))
    results: list[EpisodeResult] = []
    with sole_writer(out), nullcontext() if truth is None else sole_writer(truth):
        todo = [seed for seed in numbers if not is_recorded(plan, seed)]
        workers = 1 if any(driver.agent == "keyboard" for driver in drivers) else workers  # there is one person
        with EpisodeProgress(str(out), todo, longest_episode(env, max_frames)) as progress:
            plan = replace(plan, count=progress.file, seeds=tuple(todo))
            for result in in_parallel(partial(record, plan), todo, workers or num_cores()):
                results.append(result)
                progress.episode("", result.frames, "")
    print(summary(plan, results, len(numbers) - len(results), frames_per_second))
    ours = "zoo:idm-carracing-video" if encodings else "zoo:idm-carracing"
    idm = ours if played.name == "carracing" else "runs/idm/NAME"
    label = f"racing-vpt predict --config label --ckpt_path {idm} --data.videos {out} --out LABELS"
    print(f"next: {label if video_only else f'racing-vpt pack --recordings {out} --out SHARDS'}")
    return sorted(results, key=lambda result: result.seed)


def check_env(env: str, perturbed: bool) -> float:
    """Frames per second of an environment; ValueError if it does not exist or its controls cannot be perturbed."""
    from racing_vpt.envs.make import make_env

    made = make_env(env)
    made.close()
    played = made.game.name  # type: ignore[attr-defined]
    if perturbed and played != "carracing":
        raise ValueError(f"a perturbation disturbs a car, but {env} has the controls of {played}; leave perturb out")
    return float(made.metadata["render_fps"])


def is_recorded(plan: Plan, seed: int) -> bool:
    """Whether its recordings exist; ValueError if they were made with other settings."""
    from racing_vpt.files import read_json

    wanted = {"environment": plan.env, "actions": not plan.video_only, "settings": plan.settings_of(seed)}
    asked: list[dict | None] = [{**rendition.settings, "seed": seed} for rendition in plan.renditions]
    for name, rendition in zip(plan.recordings_of(seed), asked or [None], strict=True):
        meta_file = plan.out / f"{name}.meta.json"
        if not meta_file.is_file():  # those of one episode are published together
            return False
        meta, wanted = read_json(meta_file), {**wanted, "rendition": rendition}
        there = {key: meta.get(key) for key in wanted}
        if there != wanted:
            raise ValueError(f"{meta_file} was recorded with {there}, not {wanted}; remove it or choose another --out")
    return True


def record(plan: Plan, seeds: Iterable[int]) -> Iterator[tuple[int, EpisodeResult]]:
    """Record the episodes of these seeds; each seed with its result."""
    from functools import partial

    from racing_vpt.envs.make import make_env
    from racing_vpt.rollout.episodes import run_episodes
    from racing_vpt.rollout.frame_count import FrameCount

    env = make_env(plan.env)
    loaded: dict[Driver, Agent] = {}
    try:
        for seed in seeds:
            driver = plan.driver_of(seed)
            if driver not in loaded:
                loaded[driver] = plan.load_driver(seed)
            for result in run_episodes(
                [env],
                loaded[driver],
                [seed],
                open_writer=partial(recording_writer, plan, float(env.metadata["render_fps"])),
                perturbation=plan.perturbation_of(seed),
                max_frames=plan.max_frames,
                on_step=FrameCount(plan.count, plan.seeds).note if plan.count else None,
            ):
                yield seed, result
    finally:
        env.close()


def recording_writer(plan: Plan, frames_per_second: float, seed: int) -> EpisodeWriter:
    """The writer of that seed's recording, or of its renditions."""
    from racing_vpt.cli.versions import deciding_versions
    from racing_vpt.data.recording import RecordingWriter
    from racing_vpt.data.rendition_recording import RenditionRecordingWriter

    meta = {
        "environment": plan.env,
        "seed": seed,
        "agent": plan.driver_of(seed).agent,
        "settings": plan.settings_of(seed),
        **plan.origin,
        "versions": deciding_versions(plan.env),
    }
    if plan.renditions:
        return RenditionRecordingWriter(
            plan.out,
            plan.name_of(seed),
            plan.renditions,
            frames_per_second=frames_per_second,
            meta=meta,
            actions=not plan.video_only,
            truth_folder=plan.truth,
            seed=seed,
        )
    return RecordingWriter(
        plan.out,
        plan.name_of(seed),
        frames_per_second=frames_per_second,
        meta=meta,
        video=not plan.pictures,
        actions=not plan.video_only,
        truth_folder=plan.truth,
    )


def summary(plan: Plan, results: list[EpisodeResult], num_kept: int, frames_per_second: float) -> str:
    """One line per agent: episodes, frames, mean score, laps, perturbed frames."""
    by_agent: dict[str, list[EpisodeResult]] = {}
    for result in results:
        by_agent.setdefault(plan.driver_of(result.seed).agent, []).append(result)
    lines = [f"{'agent':24}{'episodes':>9}{'frames':>9}{'score':>8}{'laps':>6}{'disturbed':>11}"]
    for agent, group in sorted(by_agent.items()):
        frames = sum(result.frames for result in group)
        score = sum(result.score for result in group) / len(group)
        laps = sum(result.lap_finished for result in group)
        disturbed = sum(result.perturbed_frames for result in group) / frames
        lines.append(f"{agent:24}{len(group):9}{frames:9}{score:8.1f}{laps:6}{disturbed:11.1%}")
    minutes = sum(result.frames for result in results) / frames_per_second / 60
    lines.append(f"{len(results)} episodes, {minutes:.1f} minutes recorded in {plan.out}; {num_kept} were there before")
    return "\n".join(lines)
