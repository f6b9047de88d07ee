"""DDP's broadcast before training works: weights and buffers of every dtype can be sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from building import build
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from racing_vpt.models.token_world import TokenWorld
from racing_vpt.models.tokenizer import Tokenizer

TOKENIZER = {"tokenizer.size": "tiny", "reconstruction.perceptual": None}
WORLD = {"tokenizer.size": "tiny", "world.size": "tiny"}
MODELS = {
    "tokenizer, vq": lambda: build(Tokenizer, TOKENIZER),
    "tokenizer, fsq": lambda: build(Tokenizer, TOKENIZER | {"tokenizer.quantizer": "fsq"}),
    "world, gpt": lambda: build(TokenWorld, WORLD),
    "world, frame": lambda: build(TokenWorld, WORLD | {"world.architecture": "frame"}),
    "world, mdn-rnn": lambda: build(TokenWorld, WORLD | {"world.architecture": "mdn-rnn"}),
}


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    """A process group of one process."""
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.usefixtures("alone")
def test_weights_and_buffers_can_be_taken_over(name: str) -> None:
    module: nn.Module = MODELS[name]()
    before = {key: x.clone() for key, x in module.state_dict().items()}
    DistributedDataParallel(module)
    torch.testing.assert_close(module.state_dict(), before)
