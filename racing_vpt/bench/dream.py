"""Speed of World Models dreams: latent steps per second of the MDN-RNN with controllers, many dreams at once."""

from __future__ import annotations

import os
import time


def bench_dream(dreams: int = 1024, steps: int = 60) -> dict[str, float]:
    """Time dreams of an MDN-RNN of the paper's size with random weights, controllers included.

    Args:
        dreams: number of dreams at once.
        steps: steps of each dream.

    Returns:
        `steps_per_second`, summed over all dreams.
    """
    import numpy as np
    import torch

    from racing_vpt.dream import DreamEnv
    from racing_vpt.games.read import load_game
    from racing_vpt.nn.memory import MemoryNet
    from racing_vpt.nn.memory_world import MemoryWorld
    from racing_vpt.nn.vae_net import VAENet
    from racing_vpt.nn.world import drive

    memory = MemoryNet()
    env = DreamEnv(
        MemoryWorld(VAENet(), memory, load_game("carracing").scheme(kind="world").controls),
        torch.zeros(1, 64),
        dreams,
        tau=1.0,
        max_steps=10_000,
    )
    controllers = torch.randn(dreams, 3 * (memory.latent + memory.width + 1)) / 10
    seen, _ = env.reset(seed=0)
    begun = time.perf_counter()
    for step in range(steps):
        if step == 10:  # warm up before timing
            begun = time.perf_counter()
        with torch.inference_mode():
            actions = drive(controllers, torch.from_numpy(seen))
        seen, _, _, _, _ = env.step(np.asarray(actions))
    rate = dreams * (steps - 10) / (time.perf_counter() - begun)
    threads, load = torch.get_num_threads(), os.getloadavg()[0]
    print(f"dreaming: {rate:,.0f} latent steps/s ({dreams} dreams at once, {threads} threads, load {load:.1f})")
    return {"steps_per_second": rate}
