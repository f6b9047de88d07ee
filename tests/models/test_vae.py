"""The VAE: the paper's network, its losses, and its pictures."""

from pathlib import Path

import pytest
import torch

from racing_vpt.cli.main import main
from racing_vpt.frames import prepare
from racing_vpt.games.read import load_game
from racing_vpt.models.vae import VAE
from racing_vpt.nn.vae_net import Code, VAENet
from racing_vpt.types import FrameSpec
from tests.conftest import tiny_frame

ROOT = Path(__file__).parents[2]

WORLD_FRAMES = load_game("carracing").world_frames


def frames_of(count: int) -> torch.Tensor:
    return torch.stack(
        [torch.from_numpy(prepare(tiny_frame(0, 5 * i, 0.1 * i - 0.4), WORLD_FRAMES)) for i in range(count)]
    )


def test_it_has_the_papers_parameters() -> None:
    assert sum(x.numel() for x in VAE().parameters()) == 4_348_547


def test_it_sees_the_top_84_rows_and_no_instruments() -> None:
    frame, other = tiny_frame(0, 3, 0.2), tiny_frame(0, 3, 0.2)
    other[84:] = 255
    assert (prepare(frame, WORLD_FRAMES) == prepare(other, WORLD_FRAMES)).all()
    other[83] = 255
    assert (prepare(frame, WORLD_FRAMES) != prepare(other, WORLD_FRAMES)).any()


def test_the_divergence_is_that_of_torch_and_costs_nothing_below_its_floor() -> None:
    code = Code(torch.randn(5, 32), torch.randn(5, 32))
    normal = torch.distributions.Normal(code.mean, (code.log_variance / 2).exp())
    known = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).sum(-1)
    torch.testing.assert_close(code.divergence(), known)
    module, frames = VAE(), frames_of(4)
    torch.manual_seed(0)
    losses = module.losses(frames)
    assert losses["kl"] < 16  # of a fresh encoder
    torch.testing.assert_close(losses["loss"].detach(), losses["squared_error"] + 16)
    below = module.losses(frames)["loss"] - module.losses(frames)["squared_error"]
    module.kl_floor = 0.0
    torch.manual_seed(0)
    without = module.losses(frames)
    torch.testing.assert_close(without["loss"].detach(), without["squared_error"] + without["kl"])
    assert below > without["kl"]


def test_the_loss_falls_on_one_batch() -> None:
    torch.manual_seed(0)
    module, frames = VAE(), frames_of(4)
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    losses = []
    for _ in range(12):
        loss = module.losses(frames)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.75 * losses[0]


def test_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="64x64"):
        VAE(frames=FrameSpec(96, 96))
    with pytest.raises(ValueError, match="latent"):
        VAENet(0)


def test_the_config_trains_and_leaves_pictures(tiny_shards: Path, tmp_path: Path) -> None:
    configs = [word for name in ("base", "vae") for word in ("--config", str(ROOT / "configs" / f"{name}.yaml"))]
    data = [f"--data.train={tiny_shards}", f"--data.val={tiny_shards}", "--data.batch_size=8", "--data.val_steps=2"]
    short = ["--trainer.max_steps=2", "--trainer.val_check_interval=2", "--data.steps_per_epoch=2"]
    words = [*configs, *data, f"--runs={tmp_path}", "--name=tiny", *short]
    assert main(["fit", *words]) == 0
    run = tmp_path / "vae" / "tiny"
    assert {path.name for path in (run / "media" / "reconstructions").iterdir()} == {
        "reconstructions-step=2.png",
        "samples-step=2.png",
    }
    assert (run / "checkpoints" / "best.ckpt").is_file()
    kept = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["callbacks"]
    (score,) = (state["best_model_score"] for name, state in kept.items() if "'val/loss'" in name)
    assert score is not None  # what a run that goes on has to beat
    assert main(["validate", "--ckpt_path", str(run), f"--data.val={tiny_shards}", f"--runs={tmp_path}"]) == 0
