"""Starting from another checkpoint: loaded weights, trained weights, and the loss."""

from __future__ import annotations

from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from building import build
from torch.nn import functional as F
from torch.utils.data import DataLoader

from racing_vpt.checkpoints.folder import save_checkpoint
from racing_vpt.checkpoints.load import load_module
from racing_vpt.games.minecraft import BUTTONS, CAMERA
from racing_vpt.models.idm import IDM
from racing_vpt.models.vpt import VPT
from racing_vpt.models.vpt_config import PolicyConfig
from racing_vpt.nn.sizes import NetSize
from racing_vpt.types import Batch, FrameChanges, FrameSpec

POLICY = "tests/vpt_parity/policy.model"
NO_TRUNK, OTHER_SHAPE = r"no weight of its trunk|instead of", r"\(4, 3, 3, 3\) instead of \(64,"
OPENAI = FrameChanges(height=128, width=128, resize="linear", hide=(), frames_per_second=20.0)
SMALL = NetSize(hidsize=32, attention_heads=2, impala_chans=(4, 8), n_recurrence_layers=2, attention_memory_size=24,
                timesteps=16)  # fmt: skip


def minecraft_batch(T: int = 8, pixels: int = 32) -> Batch:
    """Noise; it walks in every frame, turns the camera in every third, and does nothing in the last."""
    generator = torch.Generator().manual_seed(0)
    controls = {name: torch.zeros(2, T) for name in (*BUTTONS, *CAMERA)}
    controls["forward"][:, :-1] = 1.0
    controls["camera_yaw"][:, :-1:3] = 3.2
    first = torch.zeros(2, T, dtype=torch.bool)
    first[:, 0] = True
    frames = torch.randint(0, 256, (2, T, pixels, pixels, 3), dtype=torch.uint8, generator=generator)
    return Batch(frames, controls, first, torch.ones(2, T, dtype=torch.bool), torch.ones(2, T))


class OneBatch(pl.LightningDataModule):
    """The same batch again and again."""

    mode = "random"

    def __init__(self, batch: Batch, steps: int) -> None:
        super().__init__()
        self.batches = [batch] * steps

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.batches, batch_size=None)


def small_policy(options: dict | None = None) -> VPT:
    torch.manual_seed(0)
    frames = FrameSpec(32, 32)
    given = {"frames": frames, "game": "minecraft", "network.size": SMALL, "warmup_steps": 0}
    return build(VPT, given | (options or {}))


def fitted(module: VPT, folder: Path, steps: int = 3, **options: object) -> dict[str, torch.Tensor]:
    """Train for a few steps; gives back how far each weight moved."""
    before = {name: weight.detach().clone() for name, weight in module.named_parameters()}
    trainer = pl.Trainer(
        accelerator="cpu", max_steps=steps, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=folder, **options,
    )  # fmt: skip
    pixels = module.frames.height
    trainer.fit(module, OneBatch(minecraft_batch(pixels=pixels), steps * trainer.accumulate_grad_batches))
    return {name: (weight.detach() - before[name]).abs().max() for name, weight in module.named_parameters()}


def moved(distances: dict[str, torch.Tensor]) -> set[str]:
    """The first two parts of the names of weights that moved."""
    return {".".join(name.split(".")[:2]) for name, distance in distances.items() if distance > 0}


def test_frozen_parts_stay_and_what_is_kept_of_them_is_trained(tmp_path: Path) -> None:
    kept = ("net.recurrent_layer.blocks.1", "net.final_ln")
    module = small_policy({"freezing.freeze": ("net",), "freezing.keep": kept})
    distances = fitted(module, tmp_path)
    assert moved(distances) == {"net.recurrent_layer", "net.final_ln", "pi_head.buttons", "pi_head.camera"}
    blocks = {name.split(".")[3] for name, distance in distances.items() if "blocks" in name and distance > 0}
    assert blocks >= {"1"}
    assert not any(distance for name, distance in distances.items() if name.startswith("net.recurrent_layer.blocks.0"))
    trained = {id(weight) for group in module.optimizers().param_groups for weight in group["params"]}  # type: ignore[union-attr]
    assert id(module.net.img_process.linear.layer.weight) not in trained, "no memory for what is never trained"


def test_frozen_parts_thaw_at_the_step_that_was_asked_for(tmp_path: Path) -> None:
    frozen = {"freezing.freeze": ("net.img_process",), "freezing.until_step": 3}
    assert "net.img_process" not in moved(fitted(small_policy(frozen), tmp_path, steps=3))
    assert "net.img_process" in moved(fitted(small_policy(frozen), tmp_path, steps=4))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"freezing.freeze": ("net.cnn",)},
            r"no weight is called 'net\.cnn'; there are net\.final_ln, net\.img_process",
        ),
        ({"freezing.freeze": ("*",)}, "leaves nothing to train"),
        ({"freezing.until_step": 0}, "until_step must be at least 1"),
        ({"recompute": 0}, "recompute must be at least 1"),
        ({"network.size": "init_from"}, "name one with --model.init_from"),
        ({"network.size": "init_from", "init_from": "tests/vpt_parity/idm.model"}, r"idm\.model holds a .*IDM, but"),
    ],
)
def test_bad_options_are_named(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(VPT, {"frames": FrameSpec(32, 32), "network.size": SMALL} | options)


def test_recomputing_changes_no_gradient_and_keeps_less() -> None:
    kept, gradients = [], []
    for recompute in (None, 3):
        net, batch, saved = small_policy({"recompute": recompute}).train().net, minecraft_batch(), []
        with torch.autograd.graph.saved_tensors_hooks(lambda x, to=saved: to.append(x.nbytes) or x, lambda x: x):
            features, _ = net(batch.frames, batch.first)
        features[..., :7].sum().backward()
        kept.append(sum(saved))
        gradients.append([weight.grad for weight in net.parameters() if weight.requires_grad])
    for kept_all, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(kept_all, recomputed, rtol=1e-3, atol=1e-4)
    assert kept[1] < 0.1 * kept[0]


def test_accumulated_steps_carry_the_memory_on(tmp_path: Path) -> None:
    module = small_policy({"cloning.carry_memory": True})
    OneBatch.mode = "lanes"
    try:
        fitted(module, tmp_path, steps=2, accumulate_grad_batches=3)
    finally:
        OneBatch.mode = "random"
    assert module.memory is not None
    assert module.memory[1][0][0].sum(1).tolist() == [8, 8], "the last of six chunks starts an episode"


def test_the_camera_counts_where_the_buttons_say_that_it_moves() -> None:
    module, batch = small_policy(), minecraft_batch()
    _, logits, _ = module.losses(batch)
    logits = {name: x.detach().requires_grad_() for name, x in logits.items()}
    relevant = module.scheme.relevant(module.scheme.encode(batch.controls))
    losses = module.cross_entropy(logits, module.targets(batch), batch.weight, relevant=relevant)
    torch.stack(list(losses.values())).sum().backward()
    touched = logits["camera"].grad.abs().sum(-1) > 0  # type: ignore[union-attr]
    assert touched.tolist() == [[True, False, False, True, False, False, True, False]] * 2
    assert (logits["buttons"].grad.abs().sum(-1) > 0).all()  # type: ignore[union-attr]
    likelihood = logits["camera"].log_softmax(-1)[touched][:, module.scheme.encode(batch.controls)["camera"][0, 0]]
    torch.testing.assert_close(losses["camera"], -likelihood.sum() / 16)


def test_camera_accuracy_is_of_the_frames_in_which_it_counts() -> None:
    module, batch = small_policy(), minecraft_batch()
    classes = module.scheme.encode(batch.controls)
    right = {name: F.one_hot(classes[name], n).float() for name, n in module.scheme.num_classes.items()}
    still = classes["camera"] == 60
    right["camera"][still] = right["camera"][still].roll(1, -1)  # wrong, where nobody asks
    module.metrics.update(right, batch.controls, batch.valid)
    assert {name: float(value) for name, value in module.metrics.compute().items()} == {
        "buttons_accuracy": 1.0, "camera_accuracy": 1.0,
    }  # fmt: skip


def test_null_frames_are_not_learned_from() -> None:
    policy = small_policy({"cloning.null_filter": True})
    assert policy.loss_weight(minecraft_batch(), continued=False)[0].tolist() == [1.0] * 7 + [0.0]


def test_openais_size_and_trunk_are_taken_and_heads_are_made_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    module = VPT(
        "carracing", OPENAI, PolicyConfig("init_from", temperature=2.0), init_from=POLICY, optimizer=torch.optim.SGD
    )
    assert module.size.hidsize == 32
    module.trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    module.setup("fit")
    published = load_module(POLICY).state_dict()
    for name, weight in module.state_dict().items():
        if name.startswith(("net.", "value_head.")):
            assert torch.equal(weight, published[name]), name
    assert "weights left at their initial values: ['pi_head.brake" in caplog.text
    assert "not loaded: ['pi_head.buttons" in caplog.text


def test_the_size_is_written_out_so_that_the_source_may_go(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = VPT(
        "carracing", FrameChanges(height=16, width=16), PolicyConfig("tiny", memory_frames=6, recurrence_layers=1)
    )
    network = {"size": "tiny", "memory_frames": 6, "recurrence_layers": 1}
    arguments = {"frames": {"height": 16, "width": 16}, "network": network}
    save_checkpoint(tmp_path / "source", "racing_vpt.models.vpt.VPT", arguments, source.state_dict())
    module = VPT(
        "carracing", FrameChanges(height=16, width=16), PolicyConfig("init_from"), init_from=str(tmp_path / "source")
    )
    assert module.size == source.size
    saved: dict = {}
    module.on_save_checkpoint(saved)
    assert NetSize(**saved["resolved"]["size"]) == source.size


@pytest.mark.parametrize(
    ("module", "source", "message"),
    [
        (lambda name: VPT("minecraft", OPENAI, PolicyConfig("tiny"), init_from=name), POLICY, NO_TRUNK),
        (lambda name: VPT(network=PolicyConfig("1x"), init_from=name), POLICY, OTHER_SHAPE),
        (lambda name: IDM(init_from=name), POLICY, r"holds a racing_vpt\.models\.vpt\.VPT, but a IDM is to be trained"),
        (lambda name: VPT(init_from=name), "zoo:idm-carracing", r"IDM, but a VPT is to be trained"),
    ],
)  # fmt: skip
def test_weights_of_another_network_are_refused(module: object, source: str, message: str) -> None:
    with torch.device("meta"):
        built = module(source)  # type: ignore[operator]
    built.trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    with pytest.raises(ValueError, match=message):
        built.setup("fit")
