"""IRIS's world model: predicts the tokens of the next frame, the reward, and the end of the episode.

`GPTWorld` is IRIS's, Micheli et al. 2022 (arXiv:2209.00588), section 2.2: a frame's K tokens and its action are K + 1
steps of a sequence, and the next frame is sampled token by token. Unlike the paper, positions are rotary and the window
slides, actions may be continuous, and rewards keep their size. `frame_world.py` has one step a frame.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from einops import rearrange
from torch import Tensor, nn

from racing_vpt.nn.imagination import Imagined, draw, seen_in
from racing_vpt.nn.kv_cache import begins_of
from racing_vpt.nn.token_net import Predicted, TokenState, TokenWorldNet, look_back


class GPTWorld(TokenWorldNet):
    """IRIS's world model: K tokens and an action for each frame; arguments as `TokenWorldNet`."""

    def build(self, D: int) -> None:
        """As `TokenWorldNet.build`."""
        self.token = nn.Embedding(self.vocabulary, D)
        self.place = nn.Parameter(torch.randn(self.num_tokens + 1, D) * 0.02)  # in the frame; the last: the action
        self.next_token = nn.Sequential(nn.Linear(D, D), nn.ReLU(), nn.Linear(D, self.vocabulary))
        nn.init.normal_(self.token.weight, std=0.02)

    def embed(self, tokens: Tensor, actions: Tensor) -> Tensor:
        """Embeddings (B, T (K + 1), D) of T frames [B, T, K], each with the action [B, T, A] that answers it."""
        steps = torch.cat([self.token(tokens), self.action(actions).unsqueeze(2)], 2) + self.place
        return rearrange(steps, "b t k d -> b (t k) d")

    def predict(self, tokens: Tensor, actions: Tensor, first: Tensor) -> Predicted:
        """As `TokenWorldNet.predict`."""
        T, K = tokens.shape[1:]
        numbers = torch.arange(T * (K + 1), device=tokens.device)
        begins = begins_of(first, 0, torch.zeros_like(first[:, :1], dtype=torch.int64), K + 1)
        begins = begins.repeat_interleave(K + 1, 1)  # (B, T (K + 1))
        features = self.blocks(self.embed(tokens, actions), look_back(self.blocks, numbers, begins, K + 1))
        answers = features[:, K :: K + 1]  # (B, T, D), at the actions
        tell = rearrange(features[:, K:-1], "b (t k) d -> b t k d", k=K + 1)[
            :, :, :K
        ]  # features that predict the next token
        return Predicted(self.next_token(tell).float(), *self.answers(answers))

    @torch.no_grad()
    def observe(
        self, observations: Tensor, actions: Tensor, state: TokenState, first: Tensor | None = None
    ) -> TokenState:
        """As `TokenWorldNet.observe`."""
        K, memory, before = self.num_tokens, state.memory, state.observation
        kept = observations.shape[1]
        if (
            not self.blocks.slides and memory.length + kept * (K + 1) > memory.size
        ):  # the cache is full: keep the latest frames
            kept = min(kept, self.blocks.window)
            observations, actions, before = observations[:, -kept:], actions[:, -kept:], None
            first = None if first is None else first[:, -kept:]
            memory.clear()
        leading = self.action(actions).unsqueeze(2) + self.place[K]
        seen = self.token(observations) + self.place[:K]
        x = rearrange(torch.cat([leading, seen], 2), "b t k d -> b (t k) d")[
            :, :-1
        ]  # the last token is fed with its action
        begins = None
        if first is not None:
            begins = begins_of(first, memory.length // (K + 1) + (before is not None), memory.begins, K + 1)
            begins = begins.repeat_interleave(K + 1, 1)[:, :-1]
        if before is None:
            x, begins = x[:, 1:], None if begins is None else begins[:, 1:]  # no action leads to the first frame
        else:
            x = torch.cat([(self.token(before[:, -1]) + self.place[K - 1]).unsqueeze(1), x], 1)
            begins = None if begins is None else torch.cat([memory.begins, begins], 1)
        if x.shape[1]:
            self.blocks(x, memory.extend(x.shape[1], begins), memory)
        return replace(state, observation=observations[:, -1])

    @torch.no_grad()
    def imagine(
        self, actions: Tensor, state: TokenState, tau: float = 1.0, generator: torch.Generator | None = None
    ) -> Imagined:
        """As `imagination.World.imagine`: K passes, of one token each but the first."""
        K, memory, last = self.num_tokens, state.memory, seen_in(state.observation)
        full = memory.length + 1 + K > memory.size
        if full and not self.blocks.slides:  # the paper's: all but the last frame is lost
            memory.clear()
            blank = torch.zeros_like(actions).unsqueeze(1)
            state = self.observe(last.unsqueeze(1), blank, TokenState(memory, None, state.flushes + 1))
        x = torch.stack([self.token(last[:, -1]) + self.place[K - 1], self.action(actions) + self.place[K]], 1)
        features = self.blocks(x, memory.extend(2), memory)[:, -1]
        reward, end = self.outcomes(features)
        drawn: list[Tensor] = []
        for place in range(K):
            if place:
                x = (self.token(drawn[-1]) + self.place[place - 1]).unsqueeze(1)
                features = self.blocks(x, memory.extend(1), memory)[:, -1]
            drawn.append(draw(self.next_token(features).float(), tau, generator))
        return Imagined(observation := torch.stack(drawn, 1), reward, end, replace(state, observation=observation))
