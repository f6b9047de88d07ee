"""The tokenizer: the paper's grid, each loss, initial weights, and bad input."""

from pathlib import Path

import pytest
import torch
from building import build

from racing_vpt.cli.main import main
from racing_vpt.frames import prepare
from racing_vpt.models.perceptual import perceptual_loss
from racing_vpt.models.tokenizer import Tokenizer
from racing_vpt.nn.picture_losses import PatchDiscriminator, discriminator_loss, generator_loss
from racing_vpt.nn.tokenizer_net import TokenizerConfig, TokenizerNet, frames_of, pictures_of
from racing_vpt.types import FrameSpec
from tests.conftest import tiny_frame

ROOT = Path(__file__).parents[2]
SPEC = FrameSpec(height=64, width=64, crop_bottom=0.125)


def frames(count: int) -> torch.Tensor:
    return torch.stack([torch.from_numpy(prepare(tiny_frame(0, 5 * i, 0.1 * i - 0.4), SPEC)) for i in range(count)])


def test_the_papers_frame_is_16_tokens_of_512() -> None:
    with torch.device("meta"):
        net = TokenizerNet(TokenizerConfig("paper"))
    assert net.grid(64, 64) == (4, 4)
    assert (net.vocabulary, net.size.width) == (512, 512)
    attention = [name for name, x in net.encoder.named_children() if type(x).__name__ == "PixelAttention"]
    assert len(attention) == 5  # two blocks each at sides 16 and 8, and one in the middle


@pytest.mark.parametrize("quantizer", ["vq", "fsq"])
def test_frames_become_tokens_and_frames_again(quantizer: str) -> None:
    module = build(Tokenizer, {"tokenizer.size": "tiny", "tokenizer.quantizer": quantizer}).eval()
    tokens = module.net.tokens(frames(3))
    assert tokens.shape == (3, 16)
    assert int(tokens.min()) >= 0
    assert int(tokens.max()) < 512
    with torch.no_grad():
        again = module.net.pictures(tokens)
        known = module.net.decode(module.net.encode(pictures_of(frames(3))).codes).clamp(0, 1)
    torch.testing.assert_close(again, known, atol=1e-4, rtol=0)
    assert torch.equal(frames_of(pictures_of(frames(3))), frames(3))


@pytest.mark.parametrize(
    "choice",
    [{"reconstruction.pixel_loss": "l1"}, {"reconstruction.pixel_loss": "l2"}, {"tokenizer.quantizer": "fsq"}],
    ids=str,
)
def test_the_loss_falls_on_one_batch(choice: dict[str, str]) -> None:
    torch.manual_seed(0)
    options = {"tokenizer.size": "tiny", "reconstruction.perceptual": None}
    module, pictures = build(Tokenizer, options | choice), pictures_of(frames(4))
    optimizer = torch.optim.Adam(module.net.parameters(), lr=1e-3)
    losses = []
    for _ in range(15):
        loss = module.losses(pictures)[0]["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


def test_the_perceptual_loss_distinguishes_roads_from_grey_and_has_gradients() -> None:
    loss, truth = perceptual_loss("zoo:vpt-carracing"), pictures_of(frames(2))
    assert loss(truth, truth) == 0
    shifted, grey = truth.roll(1, 3), truth.mean((2, 3), keepdim=True).expand_as(truth)
    assert loss(shifted, truth) < loss(grey, truth)
    made = grey.clone().requires_grad_()
    loss(made, truth).backward()
    assert made.grad is not None
    assert made.grad.abs().sum() > 0
    assert not any(x.requires_grad for x in loss.parameters())


def test_a_discriminator_learns_and_its_loss_affects_the_pictures() -> None:
    torch.manual_seed(0)
    judge, truth, made = PatchDiscriminator(8), pictures_of(frames(4)), torch.rand(4, 3, 64, 64, requires_grad=True)
    optimizer = torch.optim.Adam(judge.parameters(), lr=1e-3)
    before = discriminator_loss(judge, truth, made)
    for _ in range(12):
        optimizer.zero_grad()
        discriminator_loss(judge, truth, made).backward()
        optimizer.step()
    assert made.grad is None
    assert discriminator_loss(judge, truth, made) < 0.5 * before
    generator_loss(judge, made).backward()
    assert made.grad is not None


def test_frames_that_do_not_divide_into_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match="16x16 pixels"):
        build(Tokenizer, {"frames": {"height": 60, "width": 64}, "tokenizer.size": "tiny"})
    with pytest.raises(ValueError, match="vocabulary is 512"):
        TokenizerConfig("tiny", "fsq", levels=(8, 8))


def fit(shards: Path, runs: Path, name: str, *words: str, choice: str | None = None) -> int:
    """A short training of the tiny tokenizer; the exit status."""
    files = ["base", "iris/tokenizer", "iris/tokenizer/tiny", *([f"iris/tokenizer/{choice}"] if choice else [])]
    given = [word for file in files for word in ("--config", str(ROOT / "configs" / f"{file}.yaml"))]
    data = [f"--data.train={shards}", f"--data.val={shards}", "--data.batch_size=4", "--data.val_steps=1"]
    short = [f"--runs={runs}", f"--name={name}", "--trainer.max_steps=2", "--data.steps_per_epoch=2"]
    short += ["--trainer.val_check_interval=2"]
    return main(["fit", *given, *data, *short, *words])


@pytest.mark.parametrize("choice", ["cpu", "l1", "l2", "fsq", "adversarial"])
def test_each_choice_trains(choice: str, tiny_shards: Path, tmp_path: Path) -> None:
    assert fit(tiny_shards, tmp_path, choice, choice=choice) == 0
    assert (tmp_path / "tokenizer" / choice / "checkpoints" / "best.ckpt").is_file()


def test_it_starts_from_another_tokenizer_frozen_or_not(
    tiny_shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from racing_vpt.checkpoints.load import read_checkpoint

    assert fit(tiny_shards, tmp_path, "one") == 0
    run = tmp_path / "tokenizer" / "one"
    assert list((run / "media" / "reconstructions").glob("reconstructions-*.png"))
    start = f"--model.init_from={run}"
    assert fit(tiny_shards, tmp_path, "two", start) == 0
    assert fit(tiny_shards, tmp_path, "three", start, choice="pretrained") == 0
    one, two, three = (read_checkpoint(tmp_path / "tokenizer" / name).state_dict for name in ("one", "two", "three"))
    frozen = [key for key in one if key.startswith(("net.encoder", "net.before", "net.quantizer"))]
    assert all(torch.equal(three[key], one[key]) for key in frozen)
    assert not torch.equal(three["net.after.weight"], one["net.after.weight"])
    assert not all(torch.equal(two[key], one[key]) for key in frozen)
    assert fit(tiny_shards, tmp_path, "four", start, "--model.tokenizer.size=paper") == 2
    assert "of another shape" in capsys.readouterr().err
    assert main(["validate", "--ckpt_path", str(run), f"--data.val={tiny_shards}", f"--runs={tmp_path}"]) == 0
    assert "codebook_use" in (tmp_path / "validate" / "one" / "metrics.json").read_text()
