"""How exactly overlays are read that this project's tests drew over compressed video: R2 by kind, crf and episode.

    racing-vpt collect --config tests/overlay/backgrounds.yaml --out /tmp/backgrounds
    python -m tests.overlay.judge_overlays /tmp/backgrounds --layouts 100-103 --out /tmp/overlays

Backgrounds are recordings with controls (CarRacing's window, 600x400). Each layout has other places, colours and
opacities. In the middle of each episode something covers all displays for a second, and later they fade out and in.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import yaml

from racing_vpt.cli.main import main
from racing_vpt.data.label_files import read_labels
from racing_vpt.data.recordings import find_recordings
from racing_vpt.statistics import SEED
from tests.overlay.drawing import HELD_OUT, TUNED, Drawn, drawn_layout


class OrdinaryVideo:
    """A video as x264 writes it by default: yuv420p, its own groups of pictures."""

    def __init__(self, path: Path, rate: float, height: int, width: int, crf: int) -> None:
        self.container = av.open(str(path), "w")
        self.stream = self.container.add_stream("libx264", rate=Fraction(rate).limit_denominator(1000))
        self.stream.height, self.stream.width, self.stream.pix_fmt = height, width, "yuv420p"
        self.stream.options = {"crf": str(crf), "threads": "1"}

    def add(self, frame: np.ndarray) -> None:
        """Encode a frame uint8 [H, W, 3]."""
        self.container.mux(self.stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))

    def close(self) -> None:
        """Finish the file."""
        self.container.mux(self.stream.encode())
        self.container.close()


def shown_value(drawn: Drawn, controls: dict[str, np.ndarray]) -> np.ndarray:
    """What a display shows by frame: a key is pressed beyond a tenth."""
    values = controls[drawn.control].astype(float)
    return (values > 0.1).astype(float) if "key" in drawn.kind else values


def write_overlaid(source, layout: list[Drawn], path: Path, crf: int, faults: bool) -> np.ndarray:
    """Draw displays over a recording; returns which frames show them as usual, bool [T]."""
    with closing(source.open_video()) as video:
        frames = video.read(np.arange(video.num_frames))
    controls, rate = source.controls(), source.frames_per_second
    usual, count = np.ones(len(frames), bool), len(frames)
    cover, fade = (
        slice(count // 2, count // 2 + round(rate)),
        np.arange(count * 3 // 4, count * 3 // 4 + round(2 * rate)),
    )
    with closing(OrdinaryVideo(path, rate, *frames.shape[1:3], crf)) as writer:
        for index, frame in enumerate(frames):
            strength = 1.0
            if faults and index in fade:  # gone for the middle half of two seconds
                strength = float(np.clip(abs(index - fade.mean()) / len(fade) * 4 - 1, 0, 1))
            for drawn in layout:
                drawn.over(frame, float(shown_value(drawn, controls)[index]), strength)
            if faults and cover.start <= index < cover.stop:
                for drawn in layout:
                    top, left, tall, wide = drawn.box
                    frame[max(0, top - 10) : top + tall + 10, max(0, left - 10) : left + wide + 10] = (200, 190, 120)
            usual[index] = not faults or (strength > 0.3 and not cover.start <= index < cover.stop)
            writer.add(frame)
    return usual


def r2(true: np.ndarray, read: np.ndarray) -> float:
    """Coefficient of determination."""
    return float(1 - ((true - read) ** 2).sum() / max(1e-9, ((true - true.mean()) ** 2).sum()))


def interval(values: list[float]) -> str:
    """Mean and 95% bootstrap interval."""
    given = np.array(values)
    drawn = np.random.default_rng(SEED).choice(given, (2000, len(given))).mean(1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return f"{given.mean():.4f} ({low:.4f} to {high:.4f}, least {given.min():.4f})"


def judge(backgrounds: Path, kinds: tuple[str, ...], layouts: range, crfs: list[int], out: Path, faults: bool) -> None:
    """Print R2 of each kind and crf."""
    sources = find_recordings(backgrounds)
    for crf in crfs:
        scores: dict[str, list[float]] = {kind: [] for kind in kinds}
        found, false = [], []
        for number in layouts:
            for kind in kinds:
                folder = out / f"{kind}-{number}-crf{crf}"
                folder.mkdir(parents=True, exist_ok=True)
                usual, layout = {}, []
                for source in sources:
                    with closing(source.open_video()) as video:
                        layout = drawn_layout((kind,), 100 * number + len(kind), video.height, video.width)
                        size = video.height, video.width
                    path = folder / f"{source.video.stem}.mp4"
                    usual[path.stem] = write_overlaid(source, layout, path, crf, faults)
                overlay = {drawn.control: drawn.described(*size) for drawn in layout}
                file = folder / "overlay.yaml"
                file.write_text(yaml.safe_dump(overlay))
                labels = out / "labels" / folder.name
                assert main(["read-overlay", str(folder), "--overlay", str(file), "--out", str(labels)]) == 0
                for source in sources:
                    records, _ = read_labels(labels / f"{source.video.stem}.jsonl")
                    there = usual[source.video.stem]
                    sure = np.array([record.confidence > 0 for record in records])
                    for drawn in layout:
                        true = shown_value(drawn, source.controls())
                        read = np.array([record.action[drawn.control] for record in records])
                        scores[kind].append(r2(true[there & sure], read[there & sure]))
                    found.append(float((~sure[~there]).mean()) if faults else 1.0)
                    false.append(float((~sure[there]).mean()))
                print(f"{folder.name}: R2 {scores[kind][-len(sources) :]}", file=sys.stderr, flush=True)
        for kind, values in scores.items():
            print(f"crf {crf} {kind:16} R2 {interval(values)} over {len(values)} episodes")
        print(f"crf {crf} no label: {np.mean(found):.3f} of the hidden frames, {np.mean(false):.4f} of the others")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("backgrounds", type=Path)
    parser.add_argument("--layouts", default="0-1")
    parser.add_argument("--kinds", default="tuned", choices=["tuned", "held_out", *TUNED, *HELD_OUT])
    parser.add_argument("--crf", type=int, nargs="+", default=[23, 28])
    parser.add_argument("--out", type=Path, default=Path("/tmp/overlays"))
    parser.add_argument("--no_faults", action="store_true")
    given = parser.parse_args()
    first, last = (int(each) for each in given.layouts.split("-"))
    chosen = {"tuned": TUNED, "held_out": HELD_OUT}.get(given.kinds, (given.kinds,))
    judge(given.backgrounds, chosen, range(first, last + 1), given.crf, given.out, not given.no_faults)
