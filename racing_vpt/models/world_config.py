"""Options of a world model over tokens (`token_world.py`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from racing_vpt.games.controls import ControlScheme
from racing_vpt.nn.frame_world import FrameWorld
from racing_vpt.nn.mixture_world import MixtureWorld, Recurrence
from racing_vpt.nn.outcomes import ActionKind, RewardKind
from racing_vpt.nn.pretrained_blocks import PretrainedBlocks
from racing_vpt.nn.sizes import named_size
from racing_vpt.nn.token_blocks import WORLD_SIZES, Blocks, Positions, WorldSize
from racing_vpt.nn.token_net import TokenWorldNet
from racing_vpt.nn.token_world import GPTWorld

Architecture = Literal["gpt", "frame", "mdn-rnn"]
NETS: dict[Architecture, Callable[..., TokenWorldNet]] = {"gpt": GPTWorld, "frame": FrameWorld, "mdn-rnn": MixtureWorld}


@dataclass(frozen=True)
class WorldConfig:
    """Network of a world model over tokens.

    Args:
        size: `paper`, `tiny`, or all settings of the transformer.
        architecture: `gpt`, token by token as IRIS; `frame`, one step a frame as STORM; or `mdn-rnn`, an LSTM and a
            mixture as World Models.
        positions: positions of a transformer: `rotary`, whose window slides, or `absolute`, the paper's, whose memory
            is cleared when the window is full.
        pretrained: folder of a causal language model (as Hugging Face's transformers saves it) whose blocks replace
            ours; of `size` only the window counts then.
        actions: `continuous`, the controls' values projected, or `discrete`, classes of the scheme's heads.
        reward: `symlog`, a distribution over values, or `sign`, the paper's.
        unroll: frames that are imagined in some training clips and continued from; 0: true frames only. Not for `gpt`.
    """

    size: Literal["paper", "tiny"] | WorldSize = "paper"
    architecture: Architecture = "gpt"
    positions: Positions = "rotary"
    pretrained: str | None = None
    actions: ActionKind = "continuous"
    reward: RewardKind = "symlog"
    unroll: int = 0

    def __post_init__(self) -> None:
        if self.architecture == "mdn-rnn" and self.pretrained is not None:
            raise ValueError("blocks of a language model need the architecture gpt or frame, but mdn-rnn was given")
        if self.unroll < 0 or (self.unroll and self.architecture == "gpt"):
            raise ValueError(
                "unroll must be at least 0, and above 0 only for frame and mdn-rnn, which predict a frame at once, but "
                f"{self.unroll} was given with {self.architecture}"
            )

    @property
    def widths(self) -> WorldSize:
        """All settings of the transformer."""
        return named_size(self.size, WORLD_SIZES, "world model")

    def blocks(self, num_tokens: int, weights: bool) -> Blocks | PretrainedBlocks:
        """The transformer, for frames of so many tokens: ours, or the pretrained one, with its weights if asked for."""
        step_tokens = num_tokens + 1 if self.architecture == "gpt" else 1
        if self.pretrained is None:
            return Blocks(self.widths, self.positions, step_tokens)
        from racing_vpt.models.pretrained import language_model_blocks

        return language_model_blocks(self.pretrained, self.widths.window, step_tokens, weights)

    def build(self, scheme: ControlScheme, vocabulary: int, num_tokens: int) -> TokenWorldNet:
        """The network, with random weights."""
        blocks = Recurrence(self.widths) if self.architecture == "mdn-rnn" else self.blocks(num_tokens, weights=False)
        return NETS[self.architecture](
            blocks, scheme, vocabulary=vocabulary, num_tokens=num_tokens, actions=self.actions, reward=self.reward,
            unroll=self.unroll,
        )  # fmt: skip
