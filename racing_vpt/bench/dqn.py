"""Speed of our DQN compared with stable-baselines3's, on the stock and on the fast environment.

Same network (convolutions of 16 and 32 channels, 256 units), batches of 32, four frames per decision, an update after
every fourth decision, no double and no n-step. What differs is the execution: stable-baselines3 alternates between one
environment and learning, as is usual; ours steps many environments in another process while it learns.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
import time
from typing import TYPE_CHECKING

from racing_vpt.envs.make import FAST_ID, STOCK_ID

if TYPE_CHECKING:
    import gymnasium

EVERY = 4  # decisions per update
BATCH = 32
WARM_UP = 500  # decisions before timing starts
LANES = 16


def bench_dqn(decisions: int = 2000) -> dict[str, float]:
    """Measure and print decisions per second.

    Args:
        decisions: decisions to time; on the stock environment an eighth of that.

    Returns:
        Decisions per second by implementation and environment: `ours_fast`, `ours_stock` and, if it is installed,
        `theirs_fast` and `theirs_stock`; updates are a quarter of that. `ratio_as_used`: ours on the fast environment
        over theirs on the stock one; `ratio_fast`, `ratio_stock`: both on the same environment.
    """
    where = {"fast": (FAST_ID, decisions), "stock": (STOCK_ID, max(8 * LANES, decisions // 8))}
    figures = {f"ours_{name}": ours(env, count) for name, (env, count) in where.items()}
    if importlib.util.find_spec("stable_baselines3") is None:
        print("stable-baselines3 is not installed, so it is not compared; install it: pip install 'racing-vpt[bench]'")
    else:
        figures |= {f"theirs_{name}": theirs(env, count) for name, (env, count) in where.items()}
        figures["ratio_as_used"] = figures["ours_fast"] / figures["theirs_stock"]
        for name in where:
            figures[f"ratio_{name}"] = figures[f"ours_{name}"] / figures[f"theirs_{name}"]
    print(f"DQN, decisions/s (updates: a quarter), load {os.getloadavg()[0]:.1f}:")
    for name, figure in figures.items():
        print(f"{name:>24} {figure:10.2f}")
    return figures


def ours(env: str, decisions: int) -> float:
    """Decisions per second of our DQN, from the first update on."""
    import torch
    from lightning.pytorch import Callback, LightningModule, Trainer

    from racing_vpt.callbacks.experience import Experience
    from racing_vpt.models.dqn import DQN
    from racing_vpt.models.dqn_config import QLearningConfig, QNetConfig
    from racing_vpt.replay.datamodule import ReplayDataModule

    class Clock(Callback):
        """Measures the time since the first update; must come after `Experience`."""

        def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            self.begun, self.before = time.perf_counter(), experience.decisions

        def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
            self.rate = (experience.decisions - self.before) / (time.perf_counter() - self.begun)

    torch.manual_seed(0)
    network = QNetConfig(channels=(16, 32), dueling=False, layer_norm=False)
    module = DQN(network=network, learning=QLearningConfig(double=False))
    data = ReplayDataModule(batch_size=BATCH, capacity=20_000, warm_up=WARM_UP)
    experience, clock = Experience(env, lanes=LANES, updates_per_decision=1 / EVERY, threads=1), Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            max_steps=decisions // EVERY, accelerator="cpu", callbacks=[experience, clock], logger=False,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, gradient_clip_val=10.0,
            limit_val_batches=0, default_root_dir=folder,
        )  # fmt: skip
        trainer.fit(module, data)
    return clock.rate


def theirs(env: str, decisions: int) -> float:
    """Decisions per second of stable-baselines3's DQN, from the first update on."""
    import torch
    from stable_baselines3 import DQN
    from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
    from torch import Tensor, nn

    from racing_vpt.nn.q_net import convolutions

    class Features(BaseFeaturesExtractor):
        """The feature layers of the network."""

        def __init__(self, observation_space: gymnasium.spaces.Box) -> None:
            super().__init__(observation_space, 256)
            stack, height, width = observation_space.shape
            trunk, features = convolutions(stack, height, width, (16, 32))
            self.layers = nn.Sequential(trunk, nn.Linear(features, 256), nn.ReLU())

        def forward(self, observations: Tensor) -> Tensor:
            return self.layers(observations)

    torch.manual_seed(0)
    model = DQN(
        "CnnPolicy", stacked(env), learning_rate=2e-4, buffer_size=20_000, learning_starts=WARM_UP, batch_size=BATCH,
        train_freq=EVERY, gradient_steps=1, device="cpu",
        policy_kwargs={"features_extractor_class": Features, "net_arch": []},
    )  # fmt: skip
    model.learn(WARM_UP)
    begun = time.perf_counter()
    model.learn(decisions, reset_num_timesteps=False)
    return decisions / (time.perf_counter() - begun)


def stacked(env: str) -> gymnasium.Env:
    """The environment with stable-baselines3's usual wrappers: discrete, skip 4, four stacked grey 84x84 frames."""
    from gymnasium.wrappers import FrameStackObservation, GrayscaleObservation, ResizeObservation

    from racing_vpt.envs.make import make_env

    made = make_env(env, continuous=False, frame_skip=4)
    return FrameStackObservation(ResizeObservation(GrayscaleObservation(made), (84, 84)), 4)
