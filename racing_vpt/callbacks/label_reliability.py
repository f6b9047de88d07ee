"""How far labels are to be trusted, by the model's own estimate, and what to do about it: one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from racing_vpt.games.controls import effective_limits

ALIKE = 0.5  # likeness below which a video is said to be unlike the training data
ROUGH = 0.12  # expected error as a share of the control's range beyond which a video should be encoded better
TENTH = 0.1
BINS = 1000  # of the confidence, whose tenth is asked for
DIGITS = 4  # decimals of what is written
OWN = (
    "record ten minutes of this game with controls and train on them (racing-vpt fit --config idm_timed), or leave the "
    "videos out"
)


@dataclass
class Reliability:
    """Sums over labelled frames.

    Args:
        ranges: by axis the distance between its smallest and largest effective value.
        frames: number of frames.
        trust: sum of their confidences.
        confidence: number of frames by confidence, in `BINS` equal steps.
        errors: sum of the expected errors by axis, in the control's unit.
        likeness: sum over frames of the likeness to the training data; None where the model does not tell it.
        unlike: names of videos whose mean likeness is below `ALIKE`.
        videos: number of videos.
    """

    ranges: Mapping[str, float] = field(default_factory=dict)
    frames: int = 0
    trust: float = 0.0
    confidence: np.ndarray = field(default_factory=lambda: np.zeros(BINS, np.int64))
    errors: dict[str, float] = field(default_factory=dict)
    likeness: float | None = None
    unlike: list[str] = field(default_factory=list)
    videos: int = 0

    def count(self, confidence: Sequence[float], errors: Mapping[str, Sequence[float]], likeness: float | None) -> None:
        """Count frames of a window: their confidences, expected errors by axis, and the window's likeness."""
        self.frames += len(confidence)
        self.trust += sum(confidence)
        places = np.minimum((np.array(confidence) * BINS).astype(int), BINS - 1)
        self.confidence += np.bincount(places, minlength=BINS)
        for name, each in errors.items():
            self.errors[name] = self.errors.get(name, 0.0) + sum(each)
        if likeness is not None:
            self.likeness = (self.likeness or 0.0) + likeness * len(confidence)

    def add(self, other: Reliability) -> None:
        """Add the frames of another video or rank."""
        self.ranges = self.ranges or other.ranges
        self.frames += other.frames
        self.trust += other.trust
        self.confidence = self.confidence + other.confidence
        self.errors = {
            name: self.errors.get(name, 0.0) + other.errors.get(name, 0.0) for name in {**self.errors, **other.errors}
        }
        if other.likeness is not None:
            self.likeness = (self.likeness or 0.0) + other.likeness
        self.unlike = [*self.unlike, *other.unlike]
        self.videos += other.videos

    def finish(self, name: str) -> None:
        """Note that these are the frames of the video `name`."""
        self.videos = 1
        if self.mean_likeness is not None and self.mean_likeness < ALIKE:
            self.unlike = [name]

    @property
    def mean_likeness(self) -> float | None:
        """Mean over frames."""
        return None if self.likeness is None else round(self.likeness / max(1, self.frames), DIGITS)

    @property
    def mean_errors(self) -> dict[str, float]:
        """Mean expected error over frames by axis."""
        return {name: round(total / max(1, self.frames), DIGITS) for name, total in self.errors.items()}

    def means(self) -> dict[str, object]:
        """What the meta file of labels says."""
        mean = round(self.trust / max(1, self.frames), DIGITS)
        return {"mean_confidence": mean, "mean_expected_error": self.mean_errors, "likeness": self.mean_likeness}

    @property
    def tenth(self) -> float:
        """Confidence below which a tenth of the frames lies."""
        return float(np.searchsorted(self.confidence.cumsum(), TENTH * self.frames) + 1) / BINS

    def sentence(self) -> str:
        """How far the labels are to be trusted and what to do; empty if there are none."""
        if not self.frames:
            return ""
        means = self.mean_errors
        off = ", ".join(f"{name} by {means[name]:.2g}" for name in means)
        off = f"labels are off by the model's own estimate, on average: {off}" if off else "the model gives no errors"
        leave = f"fit with --data.controls.min_confidence {self.tenth:.3g} leaves out the least confident tenth"
        if self.unlike:
            named = ", ".join(self.unlike[:3]) + (", ..." if len(self.unlike) > 3 else "")
            return (
                f"Do not trust the labels of {len(self.unlike)} of {self.videos} videos ({named}): they are unlike "
                f"what the model was trained on (likeness {self.mean_likeness:.2f} of 1 over all frames); {OWN}."
            )
        rough = [name for name, mean in means.items() if mean > ROUGH * self.ranges.get(name, np.inf)]
        known = "how like its training data the videos are, this model does not tell"
        if self.likeness is not None:
            known = f"the videos are like its training data (likeness {self.mean_likeness:.2f} of 1)"
        if rough:
            return (
                f"Trust these labels roughly: {off}, which is much for {' and '.join(rough)}, and {known}; encode "
                "better (x264 at crf 18 or below, or a larger picture), or record minutes of your own and train on "
                f"them; {leave}."
            )
        return f"Trust these labels so far: {off}; {known}; {leave}."


def effective_ranges(limits: Mapping[str, tuple[float, float]], stops: Mapping[str, float]) -> dict[str, float]:
    """Distance between the smallest and largest effective value by control, of its limits and its stop."""
    return {name: high - low for name, (low, high) in effective_limits(limits, stops).items()}
