"""`racing-vpt read-overlay`: labels from displays of the controls in the picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from racing_vpt.games.overlay import Display


def read_overlay(
    videos: list[Path],
    *,
    out: Path,
    game: str | None = None,
    overlay: Path | None = None,
    least_confidence: float = 0.5,
    each: bool = False,
) -> dict[str, int]:
    """Label videos by what they show themselves: pedal bars, a steering slider, keys that light up, a turning wheel.

    Where the displays are and what they are is said under `overlay` in a game file, or in a file of its own
    (racing_vpt/games/README.md; `racing-vpt adopt` proposes it). Colours are learned from the videos, and the ends of
    a display are the extremes that they show: give videos of one layout together. Frames in which a display is
    covered, faded or gone have no label: their confidence is 0. Models never see the displays, as the game hides them.

    Args:
        videos: video files, or folders of them, all of one layout and size.
        out: folder for the labels, another one.
        game: name or YAML file of the game, whose `overlay` says what is shown where.
        overlay: YAML file of an overlay alone, in place of a game.
        least_confidence: frames below it have no label; `pack` and `fit` leave them out.
        each: learn the displays from each video by itself, not from all of them.

    Returns:
        Numbers of `videos`, `frames` and `unlabelled` frames.

    Raises:
        ValueError: no overlay is given, or it fits no pixels.
    """
    import hashlib
    import json
    from dataclasses import asdict

    from tqdm import tqdm

    from racing_vpt.data.label_files import not_replaceable, write_labels
    from racing_vpt.known_files import known_sha256
    from racing_vpt.outputs import check_no_inputs, sole_writer
    from racing_vpt.overlay.labels import meta_of, read_videos
    from racing_vpt.video.trust import examined_once

    displays, hidden, name = _displays(game, overlay)
    named = _named(videos)
    check_no_inputs(out, named.values(), "videos")
    refused = not_replaceable({key: out / f"{key}.jsonl" for key in named})
    if refused:
        raise FileExistsError(min(refused.values()))
    fingerprint = hashlib.sha256(json.dumps([asdict(display) for display in displays]).encode()).hexdigest()
    counts = {"videos": 0, "frames": 0, "unlabelled": 0}
    groups = [[video] for video in named.values()] if each else [[*named.values()]]
    names = {video: key for key, video in named.items()}
    with sole_writer(out), tqdm(total=sum(examined_once(video)[0] for video in names), unit="frame") as bar:
        for group in groups:
            for labels in read_videos(group, displays, least_confidence, bar.write, bar.update):
                meta = meta_of(labels, displays, name, fingerprint, known_sha256(labels.video))
                write_labels(out / f"{names[labels.video]}.jsonl", labels.records(), {"kind": "labels", **meta})
                missing = int((labels.confidence == 0).sum())
                counts["videos"] += 1
                counts["frames"] += len(labels.times)
                counts["unlabelled"] += missing
                if missing:
                    bar.write(f"{names[labels.video]}: {missing} of {len(labels.times)} frames have no label")
    print(f"{out}: " + ", ".join(f"{count} {word}" for word, count in counts.items()))
    if not hidden:
        places = [[round(share, 4) for share in display.place] for display in displays]
        print(
            f"hide the displays from models: put them under `overlay` of the game file, or add to frames.hide: {places}"
        )
    return counts


def _displays(game: str | None, overlay: Path | None) -> tuple[tuple[Display, ...], bool, str]:
    """The displays, whether the game hides them, and the name of the file."""
    from racing_vpt.games.overlay import read_displays
    from racing_vpt.games.read import load_game, read_yaml

    if (game is None) == (overlay is None):
        raise ValueError("say where the displays are: --game FILE.yaml with `overlay`, or --overlay FILE.yaml")
    if overlay is not None:
        displays = read_displays(read_yaml(overlay), {}, str(overlay))
        if not displays:
            raise ValueError(f"{overlay} names no display; expected such as throttle: {{bar: [...], towards: up}}")
        return displays, False, overlay.stem
    played = load_game(str(game))
    if not played.overlay:
        raise ValueError(f"the game {played.name} has no `overlay`; write one, or give --overlay FILE.yaml")
    missing = sorted({*played.control_names} - {display.control for display in played.overlay})
    if missing:
        print(f"{played.name}: its overlay does not show {', '.join(missing)}; labels lack that")
    return played.overlay, True, played.name


def _named(videos: list[Path]) -> dict[str, Path]:
    """Videos by the name of their labels."""
    from racing_vpt.files import TEMPORARY
    from racing_vpt.video.decoders import VIDEO_SUFFIXES

    found: dict[str, Path] = {}
    for given in videos:
        files = [given]
        if given.is_dir():
            inside = (file for file in given.rglob("*") if TEMPORARY not in str(file.relative_to(given)))
            files = sorted(file for file in inside if file.suffix.lower() in VIDEO_SUFFIXES)
        elif not given.is_file():
            raise FileNotFoundError(f"there is no video {given}")
        for file in files:
            other = found.setdefault(file.stem, file)
            if other != file:
                raise ValueError(f"{other} and {file} would share the labels {file.stem}.jsonl; read them apart")
    if not found:
        raise FileNotFoundError(f"there is no video in {', '.join(str(each) for each in videos)}")
    return found
