"""A world model with one step per frame: all tokens of the next frame are predicted at once.

STORM, Zhang et al. 2023 (arXiv:2310.09615), whose human-normalized mean on Atari 100k is 1.22 where IRIS has 1.05. A
frame and its action are mixed into one latent, a causal transformer runs over these, and the tokens of the next frame
are sampled independently. Its advantage is speed: with K + 1 = 17 times fewer steps, a frame takes one pass instead of
16, and a window of as many frames a seventeenth of the cache. Its price: where several futures are possible, tokens of
one frame need not fit each other. Unlike STORM, the tokenizer is trained separately (as in IRIS and delta-IRIS), the
reward loss has no scale of its own, the prediction of a token also sees the present token at its place, and tokens are
scored by the distance of their embeddings, which are initialized from the tokenizer's codes.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from racing_vpt.nn.imagination import Imagined, draw, seen_in
from racing_vpt.nn.kv_cache import begins_of
from racing_vpt.nn.quantizer import nearest
from racing_vpt.nn.token_net import Predicted, TokenState, TokenWorldNet, look_back

PART = 64  # width of a token's embedding


class FrameWorld(TokenWorldNet):
    """STORM's world model: one step for each frame and its action; arguments as `TokenWorldNet`."""

    def build(self, D: int) -> None:
        """As `TokenWorldNet.build`."""
        K = self.num_tokens
        self.token = nn.Embedding(self.vocabulary, PART)
        self.place = nn.Parameter(torch.randn(K, PART) * 0.02)
        self.mix = nn.Sequential(nn.Linear(K * PART + D, 2 * D), nn.LayerNorm(2 * D), nn.GELU(), nn.Linear(2 * D, D))
        self.parts = nn.Linear(D, K * PART)
        self.next_part = nn.Sequential(nn.LayerNorm(PART), nn.Linear(PART, 4 * PART), nn.GELU())
        self.next_code, self.next_token = nn.Linear(4 * PART, PART), nn.Linear(4 * PART, self.vocabulary)
        nn.init.zeros_(self.next_token.weight)
        nn.init.zeros_(self.next_token.bias)

    def embed(self, tokens: Tensor, actions: Tensor) -> Tensor:
        """Embeddings (B, T, D) of frames [B, T, K] with the actions [B, T, A] that answer them."""
        codes = rearrange(self.token(tokens) + self.place, "b t k d -> b t (k d)")
        return self.mix(torch.cat([codes, self.action(actions)], -1))

    def tell(self, features: Tensor, tokens: Tensor) -> Tensor:
        """Float32 logits [..., K, vocabulary] of the next tokens for features [..., D] and present tokens [..., K]."""
        return self.logits(rearrange(self.parts(features), "... (k d) -> ... k d", k=self.num_tokens), tokens)

    def logits(self, parts: Tensor, tokens: Tensor) -> Tensor:
        """Float32 logits [..., K, vocabulary] of the next tokens for features of each place [..., K, PART].

        The score of a token is the dot product of its embedding with the present one plus a predicted change, plus a
        term of its own; so what is learned about a token transfers to similar ones.
        """
        present = self.token(tokens)
        told = self.next_part(parts + present + self.place)
        near = F.linear(present + self.next_code(told), self.token.weight) / PART**0.5
        return (near + self.next_token(told)).float()

    def tokens(self, logits: Tensor, tau: float, generator: torch.Generator | None = None) -> Tensor:
        """Tokens int64 [..., K] sampled from logits [..., K, vocabulary]; at tau 0 those nearest to the mean embedding.

        Where futures differ, the most likely tokens often belong to different ones; the token whose embedding is
        nearest to the expected embedding is less wrong (LOG.md).
        """
        if tau:
            return draw(logits, tau, generator)
        vectors = self.token.weight.float()
        return nearest(logits.softmax(-1) @ vectors, vectors)

    def predict(self, tokens: Tensor, actions: Tensor, first: Tensor) -> Predicted:
        """As `TokenWorldNet.predict`."""
        numbers = torch.arange(tokens.shape[1], device=tokens.device)
        begins = begins_of(first, 0, torch.zeros_like(first[:, :1], dtype=torch.int64), 1)
        features = self.blocks(self.embed(tokens, actions), look_back(self.blocks, numbers, begins, 1))
        expected = self.tell(features[:, :-1], tokens[:, :-1])
        return Predicted(expected, *self.answers(features))

    @torch.no_grad()
    def observe(
        self, observations: Tensor, actions: Tensor, state: TokenState, first: Tensor | None = None
    ) -> TokenState:
        """As `imagination.World.observe`, in one pass for any number of frames."""
        memory, before, last = state.memory, state.observation, observations[:, -1]
        steps = memory.length + (before is not None)  # steps that are numbered before these
        begins = None if first is None else begins_of(first, steps, memory.begins, 1)
        if before is None:
            seen, answers = observations[:, :-1], actions[:, 1:]
        else:
            seen, answers = torch.cat([before.unsqueeze(1), observations[:, :-1]], 1), actions
        if begins is not None:
            since = memory.begins if before is not None else begins[:, :0]
            begins, newest = torch.cat([since, begins[:, :-1]], 1), begins[:, -1:]
        if seen.shape[1]:
            kept = memory.size if not self.blocks.slides else seen.shape[1]
            if not self.blocks.slides and memory.length + seen.shape[1] > memory.size:
                memory.clear()
                seen, answers = seen[:, -kept:], answers[:, -kept:]
                begins = None if begins is None else begins[:, -kept:]
            self.blocks(self.embed(seen, answers), memory.extend(seen.shape[1], begins), memory)
        if first is not None:
            memory.begin_at(newest)
        return replace(state, observation=last)

    @torch.no_grad()
    def imagine(
        self, actions: Tensor, state: TokenState, tau: float = 1.0, generator: torch.Generator | None = None
    ) -> Imagined:
        """As `imagination.World.imagine`, in one pass."""
        memory, last = state.memory, seen_in(state.observation)
        if not self.blocks.slides and memory.length + 1 > memory.size:
            memory.clear()
            state = replace(state, flushes=state.flushes + 1)
        x = self.embed(last.unsqueeze(1), actions.unsqueeze(1))
        features = self.blocks(x, memory.extend(1), memory)[:, -1]
        reward, end = self.outcomes(features)
        observation = self.tokens(self.tell(features, last), tau, generator)
        return Imagined(observation, reward, end, replace(state, observation=observation))
