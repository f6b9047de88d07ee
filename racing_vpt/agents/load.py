"""Agents by name: scripted experts, Brownian motion, random controls, the keyboard, or a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from racing_vpt.games.game import Game
    from racing_vpt.types import Agent


def load_agent(name: str, device: str = "cpu", *, seed: int = 0, greedy: bool = True) -> Agent:
    """The agent of that name, ready to drive.

    Args:
        name: `expert` or `expert:STYLE` of CarRacing, `road-expert` or `road-expert:STYLE` of nes-road, `enduro-expert`
            or `enduro-expert:STYLE` of Atari's Enduro, `brownian`, `random`, `keyboard`, or a checkpoint: `zoo:NAME`, a
            run folder, a file, an OpenAI `F.model`.
        device: device of a checkpoint's network.
        seed: seed of random agents; a rollout seeds them again with the seed of each episode.
        greedy: a checkpoint acts as its configuration says (mean or mode); False: its controls are sampled.

    Raises:
        ValueError: an unknown style, or a checkpoint that cannot drive.
        FileNotFoundError: neither an agent nor a checkpoint has that name; the message lists the agents.
    """
    kind, _, style = name.partition(":")
    if kind == "expert":
        from racing_vpt.agents.action_expert import ElevenActionExpert, FiveActionExpert
        from racing_vpt.agents.expert import ExpertAgent
        from racing_vpt.agents.styles import ELEVEN, FIVE, STYLES, TAPS, VARIED, WILD, style_names
        from racing_vpt.agents.taps import TapAgent
        from racing_vpt.agents.varied import VariedAgent
        from racing_vpt.agents.wild import WildAgent

        if style == TAPS:
            return TapAgent(seed)
        if style == WILD:
            return WildAgent(seed)
        if style == VARIED:
            return VariedAgent(seed)
        if style == FIVE:
            return FiveActionExpert(seed)
        if style == ELEVEN:
            return ElevenActionExpert(seed)
        if (style or "limit") not in STYLES:
            raise ValueError(f"the expert has no style {style!r}; it has {', '.join(style_names())}")
        return ExpertAgent(STYLES[style or "limit"], seed)
    if kind == "road-expert":
        from racing_vpt.agents.road_expert import RoadExpert

        return RoadExpert(style or "limit", seed)
    if kind == "enduro-expert":
        from racing_vpt.agents.enduro_expert import EnduroExpert

        return EnduroExpert(style or "limit", seed)
    if name == "brownian":
        from racing_vpt.agents.brownian import BrownianAgent

        return BrownianAgent(seed)
    if name == "random":
        from racing_vpt.agents.brownian import RandomAgent

        return RandomAgent(seed)
    if name == "keyboard":
        from racing_vpt.agents.keyboard import KeyboardAgent

        return KeyboardAgent()
    from racing_vpt.agents.checkpoint import load_driver

    return load_driver(name, device, seed=seed, greedy=greedy)


def game_of(agent: Agent) -> Game | None:
    """The game that a checkpoint's agent was trained for; None for the others."""
    return getattr(getattr(agent, "module", None), "game", None)
