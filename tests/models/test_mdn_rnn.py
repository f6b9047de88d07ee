"""The MDN-RNN: the paper's network, the likelihood, masks, and stored codes."""

from pathlib import Path

import pytest
import torch

from racing_vpt.cli.main import main
from racing_vpt.models.mdn_rnn import MDNRNN
from racing_vpt.nn.memory import LSTM, MemoryNet
from racing_vpt.nn.mixture import Mixture
from racing_vpt.types import Batch

ROOT = Path(__file__).parents[2]
torch.set_num_threads(1)


def batch_of(B: int = 3, T: int = 8) -> Batch:
    draw = torch.Generator().manual_seed(0)
    codes = torch.randn(B, T, 64, generator=draw)
    controls = {name: torch.rand(B, T, generator=draw) for name in ("steering", "throttle", "brake", "gear_change")}
    first, valid = torch.zeros(B, T, dtype=torch.bool), torch.ones(B, T, dtype=torch.bool)
    first[:, 0] = True
    rewards = torch.randn(B, T, generator=draw)
    return Batch(torch.zeros(B, 0, 64, 64, 3), controls, first, valid, valid.float(), rewards, codes=codes)


def test_it_has_the_papers_parameters_and_separate_heads_for_outcomes() -> None:
    net = MemoryNet()
    assert net.outcome is not None
    added = sum(x.numel() for x in net.outcome.parameters())
    assert sum(x.numel() for x in net.parameters()) - added == 422_368
    assert added == 514
    assert sum(x.numel() for x in MemoryNet(outcomes=False).parameters()) == 422_368


def test_the_lstm_is_torchs_with_one_bias_and_a_step_is_a_frame_of_it() -> None:
    ours, theirs = LSTM(5, 7), torch.nn.LSTM(5, 7, batch_first=True)
    theirs.load_state_dict({
        "weight_ih_l0": ours.input_weight, "weight_hh_l0": ours.output_weight,
        "bias_ih_l0": ours.bias, "bias_hh_l0": torch.zeros(28),
    })  # fmt: skip
    x, state = torch.randn(2, 6, 5), (torch.randn(2, 7), torch.randn(2, 7))
    expected, _ = theirs(x, tuple(part[None] for part in state))
    found, after = ours(x, state)
    torch.testing.assert_close(found, expected)
    for frame in range(6):
        state = ours.step(x[:, frame], state)
    torch.testing.assert_close(after, state)


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (4, 1), (3, 5)])
def test_the_likelihood_is_that_of_torch_for_any_batch_and_length(shape: tuple[int, int]) -> None:
    mixture, values = Mixture.of(torch.randn(*shape, 3 * 4 * 5), 5), torch.randn(*shape, 4)
    components = torch.distributions.Normal(mixture.means, mixture.log_stds.exp())
    known = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(logits=mixture.log_shares), components
    )
    found = mixture.log_likelihood(values)
    assert found.shape == values.shape
    torch.testing.assert_close(found, known.log_prob(values))
    torch.testing.assert_close(mixture.mean(), known.mean)


def test_samples_have_the_mixtures_moments_and_no_noise_at_tau_0() -> None:
    mixture = Mixture.of(torch.randn(1, 3 * 2 * 5).expand(40_000, -1), 5)
    drawn = mixture.draw(1.0, torch.Generator().manual_seed(0))
    components = torch.distributions.Normal(mixture.means[0], mixture.log_stds[0].exp())
    known = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(logits=mixture.log_shares[0]), components
    )
    assert (drawn.mean(0) - known.mean).abs().max() < 0.1 * known.stddev.max()
    torch.testing.assert_close(drawn.std(0), known.stddev, rtol=0.1, atol=0.0)
    assert torch.equal(
        mixture.draw(0.0)[0], mixture.means[0].gather(-1, mixture.log_shares[0].argmax(-1)[:, None])[:, 0]
    )
    assert mixture.draw(0.1, torch.Generator().manual_seed(0)).std(0).max() < drawn.std(0).max()


def test_padding_changes_nothing() -> None:
    model, batch = MDNRNN(), batch_of()
    batch.valid[1, 5:] = False
    torch.manual_seed(0)
    before = model.losses(batch)
    assert batch.codes is not None
    assert batch.rewards is not None
    batch.codes[1, 5:, :32], batch.rewards[1, 5:] = 1e3, 1e3
    torch.manual_seed(0)
    after = model.losses(batch)
    for name, loss in before.items():
        torch.testing.assert_close(after[name], loss)


def test_codes_are_drawn_anew_for_each_batch() -> None:
    model, batch = MDNRNN(), batch_of()
    assert model.losses(batch)["nll"] != model.losses(batch)["nll"]


def test_a_memory_that_ignores_its_driver_is_noticed() -> None:
    torch.manual_seed(0)
    model, batch = MDNRNN().eval(), batch_of(T=40)
    with torch.no_grad():  # random decoders draw almost the same for every code
        for weights in (*model.vae.decoder.parameters(), *model.vae.unfold.parameters()):
            weights *= 4
    model.look(batch)
    found = model.ahead.figures()
    assert {"psnr_1", "psnr_20", "psnr_still_20", "psnr_gain_20_low"} <= {*found}
    assert found["look_ahead_clips"] == 3
    assert found["action_sensitivity"] != 0
    with torch.no_grad():
        model.net.lstm.input_weight[:, 32:] = 0
    model.ahead.clear()
    model.look(batch)
    assert model.ahead.figures()["action_sensitivity"] == 0


def test_a_memory_without_outcomes_imagines_nothing() -> None:
    model = MDNRNN(outcomes=False)
    model.look(batch_of(T=40))
    assert model.ahead.figures() == {}


def test_the_config_trains_on_codes_that_are_made_once(
    tiny_shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    base, codes = ["--config", str(ROOT / "configs" / "base.yaml")], tmp_path / "codes"
    data = [f"--data.train={tiny_shards}", f"--data.val={tiny_shards}", f"--runs={tmp_path}", "--data.batch_size=2"]
    vae = ["--config", str(ROOT / "configs" / "vae.yaml"), "--trainer.max_steps=1", "--data.steps_per_epoch=1"]
    assert main(["fit", *base, *vae, *data]) == 0  # it ends before it is validated
    config = [*base, "--config", str(ROOT / "configs" / "mdn_rnn.yaml"), *data, f"--data.reading.codes={codes}"]
    fit = [*config, f"--model.vae={tmp_path}/vae/default", "--trainer.max_steps=2", "--trainer.val_check_interval=1"]
    assert main(["fit", *fit, "--data.clip_frames=48", "--name=one"]) == 0
    made = {path: path.stat().st_mtime_ns for path in codes.iterdir()}
    assert len(made) == 2  # of training and of validation
    assert list((tmp_path / "mdnrnn" / "one" / "media" / "reconstructions").glob("next_frames-*.png"))
    assert main(["fit", *fit, "--data.clip_frames=48", "--name=two"]) == 0
    assert {path: path.stat().st_mtime_ns for path in codes.iterdir()} == made
    assert main(["fit", *fit, "--model.latent=16", "--name=three"]) == 2
    assert "32 numbers" in capsys.readouterr().err
    assert main(["fit", *config, "--model.vae=null", "--name=four"]) == 2
    assert "make vae" in capsys.readouterr().err
