"""Base of the world models over tokens: state, heads and loss.

In `token_world.py` each token is a step of the sequence, in `frame_world.py` and `mixture_world.py` each frame.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, cast

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from racing_vpt.games.controls import ControlScheme
from racing_vpt.nn.imagination import Imagined, led_here
from racing_vpt.nn.kv_cache import AttentionMask, KVCache, visible
from racing_vpt.nn.masked import masked_mean
from racing_vpt.nn.outcomes import ActionCoder, ActionKind, RewardKind, ValueDistribution

DREAMT = 0.6  # share of the rows in which frames are imagined, with unroll


class Predicted(NamedTuple):
    """Float32 logits of tokens 1 to T - 1 [B, T - 1, K, vocabulary], of rewards [B, T, classes], of ends [B, T]."""

    tokens: Tensor
    reward: Tensor
    end: Tensor


class Judged(NamedTuple):
    """Cross entropy of the true tokens 1 to T - 1, nats per token [B, T - 1]; rewards and ends as in `Predicted`."""

    nats: Tensor
    reward: Tensor
    end: Tensor


@dataclass(frozen=True)
class TokenState:
    """Memory of a world model, and its last observation, tokens int64 [B, K].

    Args:
        memory: a `KVCache` of all tokens but the observation's last one, which is fed with its action; or an
            `LSTMMemory` of all frames but the observation.
        observation: None before the first observation.
        flushes: how often the cache was cleared because it was full (absolute positions only).
    """

    memory: Any
    observation: Tensor | None = None
    flushes: int = 0

    def copy(self) -> TokenState:
        """An independent copy, so that two futures can follow one past."""
        return replace(self, memory=self.memory.copy())


class TokenBlocks(Protocol):
    """A causal transformer over embeddings: ours (`token_blocks.py`) or a pretrained one (`pretrained_blocks.py`)."""

    width: int
    slides: bool
    window: int

    def memory(self, batch: int) -> KVCache:
        """An empty cache for `batch` rows."""

    def __call__(self, x: Tensor, mask: AttentionMask, memory: KVCache | None = None) -> Tensor:
        """Features (B, Q, D) of the new tokens' embeddings (B, Q, D)."""


class TokenWorldNet(nn.Module, ABC):
    """Base of the world models over tokens.

    Args:
        blocks: the transformer.
        scheme: control scheme.
        vocabulary: number of different tokens.
        num_tokens: K, tokens of a frame.
        actions: `continuous` or `discrete`.
        reward: `symlog` or `sign`.
        unroll: frames that are imagined in training and continued from; 0: true frames only. Only for networks that
            predict a frame at once: tokens predicted one by one must fit the ones before.
    """

    blocks: TokenBlocks
    token: nn.Embedding

    def __init__(
        self,
        blocks: TokenBlocks,
        scheme: ControlScheme,
        vocabulary: int = 512,
        num_tokens: int = 16,
        actions: ActionKind = "continuous",
        reward: RewardKind = "symlog",
        unroll: int = 0,
    ) -> None:
        super().__init__()
        self.blocks, self.unroll = blocks, unroll
        self.scheme, self.controls = scheme, scheme.controls
        self.vocabulary, self.num_tokens = vocabulary, num_tokens
        self.action = ActionCoder(scheme, blocks.width, actions)
        self.reward = ValueDistribution(blocks.width, reward)
        self.end = nn.Sequential(nn.Linear(blocks.width, blocks.width), nn.ReLU(), nn.Linear(blocks.width, 1))
        self.build(blocks.width)

    @abstractmethod
    def build(self, D: int) -> None:
        """Create token embeddings and prediction heads, for features of width D."""

    @torch.no_grad()
    def take_codes(self, codes: Tensor) -> None:
        """Initialize token embeddings from the tokenizer's codes [vocabulary, D'], keeping their overall size."""
        weight, codes = self.token.weight, codes - codes.mean(0)
        axes = torch.linalg.svd(codes, full_matrices=False).Vh[: weight.shape[1]]  # principal axes of the codes
        parts, size = codes @ axes.T, weight.square().sum()
        weight.zero_()[:, : len(axes)] = parts * (size / parts.square().sum().clamp(min=1e-12)).sqrt()

    @abstractmethod
    def predict(self, tokens: Tensor, actions: Tensor, first: Tensor) -> Predicted:
        """Predictions after each of T frames, from this frame and those before, in one pass.

        Args:
            tokens: int64 [B, T, K].
            actions: float32 [B, T, A]; action t answers frame t.
            first: bool [B, T], where an episode starts.
        """

    def judge(self, tokens: Tensor, actions: Tensor, first: Tensor, seen: Tensor) -> Judged:
        """Predictions from the tokens `seen` int64 [B, T, K], measured on the true next ones; else as `predict`."""
        expected = self.predict(seen, actions, first)
        each = F.cross_entropy(rearrange(expected.tokens, "b t k v -> b v t k"), tokens[:, 1:], reduction="none")
        return Judged(each.mean(-1), expected.reward, expected.end)

    @abstractmethod
    def observe(
        self, observations: Tensor, actions: Tensor, state: TokenState, first: Tensor | None = None
    ) -> TokenState:
        """As `imagination.World.observe`: in one pass, however many frames."""

    @abstractmethod
    def imagine(
        self, actions: Tensor, state: TokenState, tau: float = 1.0, generator: torch.Generator | None = None
    ) -> Imagined:
        """As `imagination.World.imagine`."""

    def losses(
        self, tokens: Tensor, actions: Tensor, first: Tensor, known: Mapping[str, Tensor],
        rewards: Tensor | None = None, ended: Tensor | None = None, shares: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:  # fmt: skip
        """`loss`, its sum, and each of `known`: `token_ce` (nats per token), `reward_ce` and `end_ce`.

        Args:
            tokens: int64 [B, T, K].
            actions: float32 [B, T, A].
            first: bool [B, T], where an episode starts.
            known: mask of each loss, bool [B, T], for tokens [B, T - 1]; as `known_in` gives.
            rewards: float32 [B, T], if known.
            ended: bool [B, T], whether action t ended the episode, if known.
            shares: factor of each loss in the sum; None: 1.
        """
        seen = self.dreamt_in(tokens, actions, first) if self.unroll and self.training else tokens
        expected = self.judge(tokens, actions, first, seen)
        costs = {"token_ce": expected.nats}
        if rewards is not None:
            costs["reward_ce"] = self.reward.loss(expected.reward, rewards)
        if ended is not None:
            costs["end_ce"] = F.binary_cross_entropy_with_logits(expected.end, ended.float(), reduction="none")
        found = {name: masked_mean(cost, known[name]) for name, cost in costs.items()}
        weighed = [x if shares is None else x * shares[name] for name, x in found.items()]
        return {"loss": torch.stack(weighed).sum(), **{name: x.detach() for name, x in found.items()}}

    @torch.no_grad()
    def dreamt_in(self, tokens: Tensor, actions: Tensor, first: Tensor) -> Tensor:
        """The tokens, with `unroll` frames replaced by imagined ones in some rows.

        So it learns to continue from its own predictions, which are never exact: scheduled sampling, Bengio et al. 2015
        (arXiv:1506.03099), of whole frames, at temperature 0. Arguments as `predict`.
        """
        B, T = first.shape
        steps = min(self.unroll, T - 1)
        begin = int(torch.randint(1, T - steps + 1, ()))
        since = max(0, begin - self.blocks.window)
        led = led_here(actions)[:, since:begin]
        self.eval()
        state = self.observe(tokens[:, since:begin], led, self.initial(B), first[:, since:begin])
        seen = tokens.clone()
        for step in range(begin, begin + steps):
            imagined = self.imagine(actions[:, step - 1], state, 0.0)
            state = cast(TokenState, imagined.state)
            seen[:, step] = imagined.observation
        self.train()
        some = torch.rand(B, device=tokens.device) < DREAMT
        some &= ~first[:, begin : begin + steps].any(1)  # a new episode cannot be imagined
        return torch.where(some[:, None, None], seen, tokens)

    def initial(self, batch: int) -> TokenState:
        """State of `batch` rows before the first observation."""
        return TokenState(self.blocks.memory(batch))

    def answers(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of reward and end [...] for features [..., D] of an action, as in `Predicted`."""
        return self.reward(features), self.end(features).float().squeeze(-1)

    def outcomes(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Expected reward [B] and probability [B] of the end, for features [B, D] of an action."""
        reward, end = self.answers(features)
        return self.reward.mean(reward), end.sigmoid()


def known_in(first: Tensor, valid: Tensor, ended_known: Tensor | None = None) -> dict[str, Tensor]:
    """Mask of the steps at which each loss is defined, for B clips of T frames.

    Args:
        first: bool [B, T], where an episode starts.
        valid: bool [B, T], false for padding.
        ended_known: bool [B, T], where it is known whether an action ended the episode; None: wherever valid.

    Returns:
        By loss; of tokens [B, T - 1], true where a frame follows the one before in its episode.
    """
    follows = valid[:, 1:] & valid[:, :-1] & ~first[:, 1:]
    return {"token_ce": follows, "reward_ce": valid, "end_ce": valid if ended_known is None else valid & ended_known}


def look_back(blocks: TokenBlocks, numbers: Tensor, begins: Tensor, step_tokens: int) -> AttentionMask:
    """Attention mask and positions of a full sequence.

    With absolute positions a new window begins whenever one is full, and sees nothing of the one before.

    Args:
        blocks: the transformer.
        numbers: int64 [Q], numbers of the tokens.
        begins: int64 [B, Q], number of the first token of each token's episode.
        step_tokens: tokens of a step.
    """
    size, places = blocks.window * step_tokens, numbers
    if not blocks.slides:
        places, begins = numbers % size, torch.maximum(begins, numbers // size * size)
    return AttentionMask(places, visible(numbers, numbers, begins, blocks.window, step_tokens))
