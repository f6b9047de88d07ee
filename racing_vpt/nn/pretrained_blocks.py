"""Blocks of a pretrained language model as those of a world model, without its embeddings and head.

Any decoder of Hugging Face's transformers that takes `inputs_embeds`. With rotary positions the window slides; with
absolute ones (GPT-2) the cache is cleared when it is full, as in the paper. Keys and values are kept in our cache
(`kv_cache.py`), so that masks and positions are ours.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from racing_vpt.nn.kv_cache import AttentionMask, KVCache


class RingCache:
    """A `KVCache` with the interface of a cache of transformers."""

    is_compileable = False
    is_sliding = (False,)

    def __init__(self, memory: KVCache) -> None:
        self.memory = memory

    def update(self, keys: Tensor, values: Tensor, layer_idx: int, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        """Store new keys and values [B, heads, Q, width]; returns all visible ones [B, heads, keys, width]."""
        return self.memory.store(layer_idx, keys, values)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Tokens before this pass."""
        return self.memory.length


class PretrainedBlocks(nn.Module):
    """The blocks of a language model with the interface `token_net.TokenBlocks`.

    Args:
        model: the decoder without its head (`AutoModel`); its embedding is taken out.
        window: steps that are kept, the current one included.
        step_tokens: tokens of a step.

    Raises:
        ValueError: fewer absolute positions than tokens in the window.
    """

    def __init__(self, model: nn.Module, window: int, step_tokens: int) -> None:
        super().__init__()
        config: Any = model.config
        self.width, self.window, self.step_tokens = int(config.hidden_size), window, step_tokens
        self.layers, heads = int(config.num_hidden_layers), int(config.num_attention_heads)
        self.key_heads = int(getattr(config, "num_key_value_heads", None) or heads)
        self.head_width = int(getattr(config, "head_dim", None) or self.width // heads)
        self.slides = any(name.endswith("rotary_emb") for name, _ in model.named_modules())
        positions = int(getattr(config, "max_position_embeddings", 0) or 0)
        if not self.slides and positions < window * step_tokens:
            raise ValueError(
                f"this {type(model).__name__} has {positions} absolute positions, but {window} steps of {step_tokens} "
                f"tokens are needed: give a window of at most {positions // step_tokens} steps"
            )
        model.set_input_embeddings(nn.Identity())  # type: ignore[operator]
        self.model = model

    def memory(self, batch: int) -> KVCache:
        """An empty cache for `batch` rows."""
        like = next(self.model.parameters()).data
        return KVCache(self.layers, batch, self.key_heads, self.head_width, self.window, self.step_tokens, like)

    def forward(self, x: Tensor, mask: AttentionMask, memory: KVCache | None = None) -> Tensor:
        """Features (B, Q, D) of the new tokens' embeddings (B, Q, D)."""
        hidden = torch.zeros(mask.visible.shape, dtype=x.dtype, device=x.device)
        hidden.masked_fill_(~mask.visible, torch.finfo(x.dtype).min)
        out = self.model(
            inputs_embeds=x,
            attention_mask=hidden.expand(len(x), -1, -1, -1),
            position_ids=mask.numbers.unsqueeze(0).expand(len(x), -1),
            past_key_values=None if memory is None else RingCache(memory),
            use_cache=memory is not None,
        )
        return out.last_hidden_state
