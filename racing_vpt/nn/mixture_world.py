"""The MDN-RNN of World Models over tokens: an LSTM and a mixture whose components each predict a whole next frame.

Ha & Schmidhuber 2018 (arXiv:1803.10122), appendix A.2, with tokens instead of vectors as codes: a component is one
categorical for each token instead of one Gaussian for each dimension, and it is sampled once for the whole frame. So
tokens of one frame fit each other where several futures are possible, which those of `frame_world.py` need not, and a
frame still takes one pass. An LSTM has no window: nothing slides or is cleared.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn

from racing_vpt.nn.frame_world import PART, FrameWorld
from racing_vpt.nn.imagination import Imagined, draw, seen_in
from racing_vpt.nn.memory import LSTM, MemoryState
from racing_vpt.nn.token_blocks import WorldSize
from racing_vpt.nn.token_net import Judged, Predicted, TokenState

COMPONENTS = 5  # as in the paper


class LSTMMemory(NamedTuple):
    """Output and cell state [B, D] after all frames but the last observation."""

    output: Tensor
    cell: Tensor

    def copy(self) -> LSTMMemory:  # type: ignore[override]
        """The memory itself, which is never changed in place."""
        return self


class Recurrence(nn.Module):
    """An LSTM in the place of the transformer of other world models.

    Args:
        size: width; dropout applies to inputs and outputs.
    """

    def __init__(self, size: WorldSize) -> None:
        super().__init__()
        self.width, self.window, self.slides = size.width, size.window, True
        self.lstm, self.norm = LSTM(size.width, size.width), nn.LayerNorm(size.width)
        self.dropout = nn.Dropout(size.dropout)

    def memory(self, batch: int) -> LSTMMemory:
        """Memory of `batch` rows before the first frame."""
        nothing = self.norm.weight.new_zeros(batch, self.width)
        return LSTMMemory(nothing, nothing)

    def step(self, x: Tensor, memory: LSTMMemory) -> LSTMMemory:
        """The memory after embeddings [B, D] of one frame and its action."""
        return LSTMMemory(*self.lstm.step(self.dropout(x), memory))

    def features(self, output: Tensor) -> Tensor:
        """Features for the heads of outputs [..., D]."""
        return self.dropout(self.norm(output))

    def forward(self, x: Tensor, first: Tensor) -> Tensor:
        """Features (B, T, D) of embeddings (B, T, D), with episodes starting at `first`, bool [B, T]."""
        if not first[:, 1:].any():
            state: MemoryState = self.memory(len(x))
            return self.features(self.lstm(self.dropout(x), state)[0])
        memory, outputs = self.memory(len(x)), []
        for step in range(x.shape[1]):
            going_on = ~first[:, step, None]
            memory = self.step(x[:, step], LSTMMemory(*(part * going_on for part in memory)))
            outputs.append(memory.output)
        return self.features(torch.stack(outputs, 1))


class MixtureWorld(FrameWorld):
    """World Models' MDN-RNN over tokens; arguments as `TokenWorldNet`, with a `Recurrence` as blocks."""

    blocks: Recurrence  # type: ignore[assignment]

    def build(self, D: int) -> None:
        """As `TokenWorldNet.build`."""
        super().build(D)
        self.parts = nn.Linear(D, COMPONENTS * self.num_tokens * PART)
        self.share = nn.Linear(D, COMPONENTS)

    def components(self, features: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Log-shares [..., M] of the components, and log-probabilities [..., M, K, vocabulary] of the next tokens.

        Args:
            features: [..., D].
            tokens: the current ones, [..., K].
        """
        parts = rearrange(self.parts(features), "... (m k d) -> ... m k d", m=COMPONENTS, k=self.num_tokens)
        each = self.logits(parts, tokens.unsqueeze(-2))
        return self.share(features).float().log_softmax(-1), each.log_softmax(-1)

    def predict(self, tokens: Tensor, actions: Tensor, first: Tensor) -> Predicted:
        """As `TokenWorldNet.predict`: marginals of each token over the components."""
        features = self.blocks(self.embed(tokens, actions), first)
        shares, each = self.components(features[:, :-1], tokens[:, :-1])
        expected = (shares[..., None, None] + each).logsumexp(-3)
        return Predicted(expected, *self.answers(features))

    def judge(self, tokens: Tensor, actions: Tensor, first: Tensor, seen: Tensor) -> Judged:
        """As `TokenWorldNet.judge`, with one component for all tokens of a frame."""
        features = self.blocks(self.embed(seen, actions), first)
        shares, each = self.components(features[:, :-1], seen[:, :-1])
        truth = tokens[:, 1:, None, :, None].expand(*each.shape[:-1], 1)
        likely = (shares + each.gather(-1, truth).squeeze(-1).sum(-1)).logsumexp(-1)  # (B, T - 1)
        return Judged(-likely / self.num_tokens, *self.answers(features))

    @torch.no_grad()
    def observe(
        self, observations: Tensor, actions: Tensor, state: TokenState, first: Tensor | None = None
    ) -> TokenState:
        """As `imagination.World.observe`."""
        memory, last = state.memory, state.observation
        for step in range(observations.shape[1]):
            if last is not None:
                memory = self.blocks.step(self.embed(last[:, None], actions[:, step, None])[:, 0], memory)
                if first is not None:
                    memory = LSTMMemory(*(part * ~first[:, step, None] for part in memory))
            last = observations[:, step]
        return replace(state, memory=memory, observation=last)

    @torch.no_grad()
    def imagine(
        self, actions: Tensor, state: TokenState, tau: float = 1.0, generator: torch.Generator | None = None
    ) -> Imagined:
        """As `imagination.World.imagine`: samples a component, then its tokens."""
        last = seen_in(state.observation)
        memory = self.blocks.step(self.embed(last[:, None], actions[:, None])[:, 0], state.memory)
        features = self.blocks.features(memory.output)
        reward, end = self.outcomes(features)
        shares, each = self.components(features, last)
        chosen = draw(shares, tau, generator)
        observation = self.tokens(each[torch.arange(len(each), device=each.device), chosen], tau, generator)
        return Imagined(observation, reward, end, replace(state, memory=memory, observation=observation))
