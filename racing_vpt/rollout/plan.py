"""Plan of a collection: which agent drives the episode of each seed, and the settings of its recording."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from racing_vpt.agents.perturbation import Perturbation
from racing_vpt.agents.styles import ExpertStyle
from racing_vpt.data.renditions import Rendition

if TYPE_CHECKING:
    from racing_vpt.types import Agent

GOLDEN = 0.6180339887498949  # any consecutive multiples of it are spread evenly over [0, 1)


@dataclass(frozen=True)
class Driver:
    """An agent to record.

    Args:
        agent: `expert:STYLE`, `brownian`, `random`, or a checkpoint.
        share: share of the episodes, relative to the other agents' shares.
        style: parameters of the expert, instead of a named style.
        perturb: perturbation of its controls, instead of the collection's.
    """

    agent: str = "expert:calm"
    share: float = 1.0
    style: ExpertStyle | None = None
    perturb: Perturbation | None = None


@dataclass(frozen=True)
class Plan:
    """Settings of a collection, sent to the worker processes."""

    out: Path
    env: str
    drivers: tuple[Driver, ...]
    perturb: Perturbation | None
    truth: Path | None
    video_only: bool
    pictures: bool
    max_frames: int | None
    renditions: tuple[Rendition, ...] = ()  # in place of one near-lossless mp4
    count: Path | None = None  # file of a `FrameCount`
    seeds: tuple[int, ...] = ()
    origin: Mapping[str, object] = field(default_factory=dict)  # who makes it, under which licence

    def driver_of(self, seed: int) -> Driver:
        """The agent for a seed's episode, a function of the seed only."""
        place = (seed * GOLDEN) % 1.0 * sum(driver.share for driver in self.drivers)
        for driver in self.drivers:
            place -= driver.share
            if place < 0:
                return driver
        return self.drivers[-1]

    def perturbation_of(self, seed: int) -> Perturbation | None:
        return self.driver_of(seed).perturb or self.perturb

    def name_of(self, seed: int) -> str:
        """Name of a seed's recording: seed and agent."""
        words = "".join(letter if letter.isalnum() else "-" for letter in Path(self.driver_of(seed).agent).name)
        return f"{seed:06d}-{words}"

    def recordings_of(self, seed: int) -> list[str]:
        """Names of the recordings of a seed's episode."""
        name = self.name_of(seed)
        return [f"{name}-{rendition.name}" for rendition in self.renditions] or [name]

    def settings_of(self, seed: int) -> dict[str, object]:
        """The settings that determine the content of a seed's recording, as JSON values."""
        driver, perturbation = self.driver_of(seed), self.perturbation_of(seed)
        return {
            "agent": driver.agent,
            "style": asdict(driver.style) if driver.style else None,
            "perturbation": {**asdict(perturbation), "kinds": list(perturbation.kinds)} if perturbation else None,
            "max_frames": self.max_frames,
        }

    def load_driver(self, seed: int) -> Agent:
        from racing_vpt.agents.expert import ExpertAgent
        from racing_vpt.agents.load import load_agent

        driver = self.driver_of(seed)
        return ExpertAgent(driver.style, seed) if driver.style else load_agent(driver.agent, seed=seed)
