"""A pretrained language model's blocks in the place of a world model's: its embeddings and its head are left out.

Any decoder of Hugging Face's transformers that takes `inputs_embeds`. Those with rotary positions slide; those with
absolute ones (GPT-2) are flushed as the paper's. Their keys and values go into our ring (`sliding_memory.py`), so that
masks and positions are ours.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from racing_vpt.nn.sliding_memory import Look, SlidingMemory


class RingCache:
    """What transformers sees of a `SlidingMemory`: keys and values go in, those that the pass sees come out."""

    is_compileable = False
    is_sliding = (False,)

    def __init__(self, memory: SlidingMemory) -> None:
        self.memory = memory

    def update(self, keys: Tensor, values: Tensor, layer_idx: int, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        """Keys and values [B, heads, keys, width] that the new ones [B, heads, Q, width] of a layer's pass see."""
        return self.memory.store(layer_idx, keys, values)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Tokens before this pass."""
        return self.memory.length


class PretrainedBlocks(nn.Module):
    """The blocks of a language model behind the interface of ours (`token_world.TokenBlocks`).

    Args:
        model: the decoder without its head (`AutoModel`); its embedding is taken out.
        window: steps that are remembered, the running one included.
        step_tokens: tokens in a step.

    Raises:
        ValueError: absolute positions, and fewer of them than tokens in the window.
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
                f"tokens are to be remembered: give a window of at most {positions // step_tokens} steps"
            )
        model.set_input_embeddings(nn.Identity())  # type: ignore[operator]
        self.model = model

    def memory(self, batch: int) -> SlidingMemory:
        """An empty memory for `batch` rows."""
        like = next(self.model.parameters()).data
        return SlidingMemory(self.layers, batch, self.key_heads, self.head_width, self.window, self.step_tokens, like)

    def forward(self, x: Tensor, look: Look, memory: SlidingMemory | None = None) -> Tensor:
        """Features (B, Q, D) of the new tokens' embeddings (B, Q, D)."""
        hidden = torch.zeros(look.visible.shape, dtype=x.dtype, device=x.device)
        hidden.masked_fill_(~look.visible, torch.finfo(x.dtype).min)
        out = self.model(
            inputs_embeds=x,
            attention_mask=hidden.expand(len(x), -1, -1, -1),
            position_ids=look.numbers.unsqueeze(0).expand(len(x), -1),
            past_key_values=None if memory is None else RingCache(memory),
            use_cache=memory is not None,
        )
        return out.last_hidden_state
