"""The inverse dynamics model: its context, its learning, and its metrics."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer

from racing_vpt.callbacks.idm_pictures import draw_confusion, draw_strip
from racing_vpt.data.clip_datamodule import ClipDataModule, Loading
from racing_vpt.games.heads import Axis
from racing_vpt.games.read import load_game
from racing_vpt.models.idm import IDM
from racing_vpt.models.idm_config import IDMConfig, IDMLossConfig, View
from racing_vpt.models.idm_labels import label, mean_losses
from racing_vpt.models.idm_metrics import confidence, fit_temperature, measure
from racing_vpt.models.idm_motion import GlobalMotion
from racing_vpt.models.idm_net import RunningNorm
from racing_vpt.nn.sizes import NetSize
from racing_vpt.types import Batch, FrameSpec

TINY = NetSize(
    hidsize=32, attention_heads=2, impala_chans=(8, 8), n_recurrence_layers=1, attention_memory_size=16, timesteps=16,
    conv3d_outchan=8, conv3d_kernel=(3, 5, 5), conv3d_stride=4, relative_window=4,
)  # fmt: skip
SPEC = FrameSpec(height=48, width=48)
NETWORK, LOSS = ({field.name for field in fields(kind)} for kind in (IDMConfig, IDMLossConfig))
VIEW = View(top=30, left=20, height=10, width=8, features=8)
POINTS = View(top=30, left=0, height=10, width=48, channels=4, points=3)


def tiny_idm(**changes: object) -> IDM:
    torch.manual_seed(0)
    options = {"size": TINY, "view": VIEW, "motion": True, "over_time": 3, "reach": 4}
    network = {name: changes.pop(name) for name in [*changes] if name in NETWORK}
    loss = {name: changes.pop(name) for name in [*changes] if name in LOSS}
    return IDM(**{"frames": SPEC, "network": IDMConfig(**options | network), "loss": IDMLossConfig(**loss)} | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("contrast", [True, False])
def test_with_contrast_the_shade_of_the_ground_makes_no_difference(contrast: bool) -> None:
    idm = tiny_idm(view=replace(POINTS, contrast=contrast), motion=False, cnn=False).eval()
    logits = []
    for ground, car in ((0, 200), (230, 100)):  # by night, and in snow
        frames = torch.full((1, 6, 48, 48, 3), ground, dtype=torch.uint8)
        for t in range(6):
            frames[:, t, 33:37, 10 + 2 * t : 16 + 2 * t] = car
        logits.append(idm(frames)["steering"])
    assert torch.allclose(*logits, atol=1e-6) == contrast


def texture(height: int = 160, width: int = 160) -> torch.Tensor:
    """A picture [H, W] in [0, 1] with detail of several pixels."""
    noise = torch.rand(1, 1, height // 8, width // 8, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(noise, (height, width), mode="bicubic").clamp(0, 1)[0, 0]


def rolling_clip(T: int, speed: float) -> torch.Tensor:
    """Frames uint8 [T, 48, 48, 3] of a world that moves down by `speed` pixels per frame."""
    world = texture()
    rows = torch.arange(48, dtype=torch.float32)
    frames = []
    for t in range(T):
        y = rows + 100 - 48 - speed * t
        low, share = y.floor().long().clamp(0, 158), (y - y.floor())[:, None]
        frames.append((world[low, :48] * (1 - share) + world[low + 1, :48] * share) * 255)
    return torch.stack(frames).byte()[..., None].repeat(1, 1, 1, 3)


def clip_batch(B: int = 2, T: int = 16) -> Batch:
    """A batch whose throttle is the speed of the world and whose steering shows in the view."""
    frames, steering = [], torch.linspace(-0.4, 0.4, B)[:, None].repeat(1, T)
    for b in range(B):
        clip = rolling_clip(T, speed=float(b))
        clip[:, 32:38, 22 + 4 * b : 24 + 4 * b] = 255
        frames.append(clip)
    controls = {
        "steering": steering,
        "throttle": torch.arange(B)[:, None].repeat(1, T).float() / max(1, B - 1),
        "brake": torch.zeros(B, T),
        "gear_change": torch.zeros(B, T),
    }
    valid = torch.ones(B, T, dtype=torch.bool)
    return Batch(torch.stack(frames), controls, torch.zeros_like(valid), valid, torch.ones(B, T))


def test_the_loss_falls_on_one_batch() -> None:
    model, batch = tiny_idm().train(), clip_batch()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    targets, losses = model.targets(batch), []
    for _ in range(30):
        loss = sum(model.cross_entropy(model(batch.frames, batch.valid), targets, batch.weight).values())
        assert isinstance(loss, torch.Tensor)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_every_trainable_weight_gets_a_gradient() -> None:
    for changes in (
        {},
        {"cnn": False},
        {"view": None, "motion": False},
        {"view": POINTS},
        {"close_heads": ("steering",)},
    ):
        model, batch = tiny_idm(**changes), clip_batch()
        sum(
            model.cross_entropy(model(batch.frames, batch.valid), model.targets(batch), batch.weight).values()
        ).backward()  # type: ignore[union-attr]
        missing = [name for name, x in model.named_parameters() if x.requires_grad and x.grad is None]
        assert not missing


@pytest.mark.parametrize("changes", [{}, {"view": POINTS, "motion": False, "cnn": False}])
def test_a_label_depends_on_its_neighbourhood_alone(changes: dict) -> None:
    model = tiny_idm(**changes).eval()
    context = model.context
    assert context == 2 * 1 + 1 + 4  # two convolutions of 3 and the next frame, and the attention's reach
    frames = torch.randint(0, 256, (1, 40, 48, 48, 3), dtype=torch.uint8)
    whole = model.label_frames(frames)
    part = model.label_frames(frames[:, 10:34])
    for name in whole:
        inner = slice(10 + context, 34 - context)
        torch.testing.assert_close(part[name][:, context : 24 - context], whole[name][:, inner], atol=1e-5, rtol=1e-4)


def test_a_close_head_reads_the_view_alone() -> None:
    model = tiny_idm(close_heads=("steering",)).train()
    frames = torch.randint(0, 256, (1, 12, 48, 48, 3), dtype=torch.uint8)
    model(frames)  # so that the running norm knows what pixels are like
    model.eval()
    elsewhere, there = frames.clone(), frames.clone()
    elsewhere[:, :, : VIEW.top] = 0
    there[:, :, VIEW.top : VIEW.top + VIEW.height, VIEW.left : VIEW.left + VIEW.width] = 0
    before = model.label_frames(frames)
    torch.testing.assert_close(model.label_frames(elsewhere)["steering"], before["steering"])
    assert not torch.equal(model.label_frames(elsewhere)["throttle"], before["throttle"])
    assert not torch.equal(model.label_frames(there)["steering"], before["steering"])


def test_padding_is_not_seen() -> None:
    model = tiny_idm(reach=None).eval()
    frames = torch.randint(0, 256, (1, 20, 48, 48, 3), dtype=torch.uint8)
    valid = torch.arange(20)[None] < 13
    padded, alone = model.label_frames(frames, valid), model.label_frames(frames[:, :13])
    for name in alone:
        torch.testing.assert_close(padded[name][:, :13], alone[name], atol=1e-5, rtol=1e-4)


def test_it_sees_the_future_and_the_past() -> None:
    model = tiny_idm().eval()
    frames = torch.randint(0, 256, (1, 20, 48, 48, 3), dtype=torch.uint8)
    changed = frames.clone()
    changed[:, 10] = 0
    before, after = model.label_frames(frames)["throttle"], model.label_frames(changed)["throttle"]
    moved = (before - after).abs().amax((0, 2)) > 1e-7
    assert moved[9]
    assert moved[11]
    assert not moved[0]
    assert not moved[-1]


@pytest.mark.parametrize("speed", [0.0, 0.37, 2.0])
def test_global_motion_measures_the_speed_of_the_picture(speed: float) -> None:
    motion = GlobalMotion(torch.zeros(48, 48, dtype=torch.bool))(rolling_clip(6, speed)[None], None)
    down = motion[0, :-1, 3] / 50 * 24  # from half heights, scaled by 50, to pixels
    torch.testing.assert_close(down, torch.full((5,), speed), atol=0.03, rtol=0.05)
    assert motion[0, -1].abs().max() == 0  # there is no frame after the last
    assert motion[0, :-1, 0].abs().max() / 50 * 24 < 0.1  # nothing moves sideways


def test_motion_ignores_what_stands_still_on_the_screen() -> None:
    clip = rolling_clip(4, 1.5)
    ignored = torch.zeros(48, 48, dtype=torch.bool)
    ignored[36:] = True
    ignored[20:28, 20:28] = True
    clip[:, 36:] = 0
    clip[:, 20:28, 20:28] = 255
    down = GlobalMotion(ignored)(clip[None], None)[0, :-1, 3] / 50 * 18
    torch.testing.assert_close(down, torch.full((3,), 1.5), atol=0.1, rtol=0.05)


def test_motion_measured_before_is_remembered_in_training() -> None:
    frames = torch.stack([rolling_clip(6, 1.0), rolling_clip(6, 2.0)])
    ignored = torch.zeros(48, 48, dtype=torch.bool)
    motion = GlobalMotion(ignored, remembered=7)
    measured, calls = GlobalMotion(ignored)(frames, None), []
    measure = motion.measure
    motion.measure = lambda pairs: calls.append(len(pairs)) or measure(pairs)  # type: ignore[method-assign, func-returns-value]
    for _ in range(2):
        torch.testing.assert_close(motion(frames, None), measured, atol=1e-4, rtol=1e-4)
    assert calls == [10, 3]  # seven of the ten pairs fit
    motion.eval()(frames, None)
    assert calls == [10, 3, 2]  # clips in one piece


def test_the_running_norm_comes_to_mean_0_and_deviation_1() -> None:
    norm = RunningNorm(2, floor=0.0)
    data = torch.randn(50, 64, 2) * torch.tensor([5.0, 0.1]) + torch.tensor([3.0, -1.0])
    for batch in data:
        norm(batch)
    seen = norm.eval()(data.flatten(0, 1))
    torch.testing.assert_close(seen.mean(0), torch.zeros(2), atol=0.05, rtol=0)
    torch.testing.assert_close(seen.std(0), torch.ones(2), atol=0.05, rtol=0)


def test_figures_equal_those_worked_out_by_hand() -> None:
    scheme = load_game("carracing").scheme()
    truth = {
        "steering": torch.tensor([-0.5, 0.0, 0.5, 1.0]),
        "throttle": torch.tensor([0.0, 1.0, 0.0, 1.0]),
        "brake": torch.tensor([0.0, 0.0, 0.0, 1.0]),
        "gear_change": torch.zeros(4),
    }
    labels = {
        "steering": torch.tensor([-0.4, 0.0, 0.3, 0.6]),
        "throttle": torch.tensor([0.1, 0.9, 0.5, 1.0]),
        "brake": torch.tensor([0.0, 0.1, 0.0, 0.6]),
        "gear_change": torch.zeros(4),
    }
    probabilities = {name: torch.full((4, n), 0.5 / (n - 1)) for name, n in scheme.num_classes.items()}
    classes = scheme.encode(truth)
    for name, each in probabilities.items():  # every head is half sure, and right except throttle in frame 2
        guess = classes[name].clone()
        if name == "throttle":
            guess[2] = 5
        each[torch.arange(4), guess] = 0.5
    figures = measure(scheme, probabilities, labels, truth)
    assert figures["steering_mae"] == pytest.approx((0.1 + 0 + 0.2 + 0.4) / 4, abs=1e-6)
    assert figures["steering_r2"] == pytest.approx(1 - (0.01 + 0.04 + 0.16) / (0.75**2 + 0.25**2 + 0.25**2 + 0.75**2))
    clipped = np.array([-0.4, 0.0, 0.4, 0.4])  # labels clipped: -0.4, 0, 0.3, 0.4
    assert figures["steering_r2_clipped"] == pytest.approx(1 - 0.01 / ((clipped - clipped.mean()) ** 2).sum(), abs=1e-6)
    assert figures["throttle_r2"] == pytest.approx(1 - (0.01 + 0.01 + 0.25) / 1.0, abs=1e-6)
    # brake pressed: true 0 0 0 1, said 0 1 0 1: F1 of released 4/5, of pressed 2/3
    assert figures["brake_f1"] == pytest.approx((4 / 5 + 2 / 3) / 2, abs=1e-6)
    assert figures["brake_accuracy"] == pytest.approx(0.75)
    assert figures["throttle_ece"] == pytest.approx(0.25, abs=1e-6)  # half sure, right in three of four
    assert figures["brake_ece"] == pytest.approx(0.5, abs=1e-6)
    assert figures["ece"] == pytest.approx(0.75 - 0.5**4, abs=1e-6)


def test_the_least_confident_tenth_is_set_against_the_rest() -> None:
    scheme = load_game("carracing").scheme()
    truth = {name: torch.zeros(20) for name in scheme.controls}
    labels = {**truth, "brake": torch.full((20,), 0.1)}
    labels["brake"][:2] = 0.4
    probabilities = {name: torch.full((20, n), 0.1 / (n - 1)) for name, n in scheme.num_classes.items()}
    for name, each in probabilities.items():
        each[:, scheme.encode(truth)[name][0]] = 0.9
    probabilities["brake"][:2] = 1 / 11
    figures = measure(scheme, probabilities, labels, truth)
    assert figures["error_least_confident_tenth"] == pytest.approx(0.4)
    assert figures["error_rest"] == pytest.approx(0.1)
    assert figures["error_least_confident_tenth_ratio"] == pytest.approx(4.0, rel=1e-5)
    assert "steering_r2" not in figures  # it never moves
    assert confidence(probabilities)[2].item() == pytest.approx(0.9**4, rel=1e-5)


def test_the_temperature_undoes_overconfidence() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(20_000, 5, generator=generator) * 1.5
    classes = torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]
    assert fit_temperature(logits, classes) == pytest.approx(1.0, abs=0.05)
    assert fit_temperature(logits * 3, classes) == pytest.approx(3.0, abs=0.15)


def test_a_label_is_the_mean_or_the_mode() -> None:
    scheme = load_game("carracing").scheme()
    probabilities = {name: torch.eye(n)[None, 0] for name, n in scheme.num_classes.items()}
    probabilities["throttle"] = torch.tensor([[0.6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.4]])
    assert label(scheme, probabilities, "mean")["throttle"].item() == pytest.approx(0.4)
    assert label(scheme, probabilities, "mode")["throttle"].item() == 0.0
    with torch.autocast("cpu", torch.bfloat16):
        assert label(scheme, probabilities, "mean")["throttle"].item() == pytest.approx(0.4, abs=1e-6)


def test_what_lies_beyond_a_stop_counts_as_at_it_unless_it_is_likelier() -> None:
    scheme = load_game("carracing").scheme()
    probabilities = {name: torch.eye(n)[None, 0].repeat(2, 1) for name, n in scheme.num_classes.items()}
    steering = torch.zeros(2, scheme.heads["steering"].num_classes)
    steering[0, 15], steering[0, -1] = 0.8, 0.2  # straight, perhaps full right
    steering[1, 15], steering[1, -1] = 0.2, 0.8
    probabilities["steering"] = steering
    assert label(scheme, probabilities, "mean")["steering"].tolist() == pytest.approx([0.2, 0.8])
    stopped = label(scheme, probabilities, "mean", {"steering": 0.4})["steering"]
    assert stopped.tolist() == pytest.approx([0.2 * 0.4, 0.8])


def test_the_error_of_the_mean_is_a_share_of_the_range_up_to_the_stop() -> None:
    scheme = load_game("carracing").scheme()
    logits = {name: torch.full((1, 2, n), -30.0) for name, n in scheme.num_classes.items()}
    for name, at in (("steering", 15), ("throttle", 0), ("brake", 10), ("gear_change", 1)):
        logits[name][..., at] = 30.0  # straight, no throttle, full brake
    truth = {"steering": torch.tensor([[1.0, 0.0]]), "throttle": torch.tensor([[0.25, 0.0]]), "brake": torch.ones(1, 2)}
    losses = mean_losses(scheme, logits, truth, torch.tensor([[1.0, 1.0]]), {"steering": 0.4})
    assert losses.keys() == {"steering_mean", "throttle_mean", "brake_mean"}
    assert losses["steering_mean"].item() == pytest.approx(0.5**1.5 / 2)  # 1 looks like 0.4, half of -0.4 to 0.4
    assert losses["throttle_mean"].item() == pytest.approx(0.25**1.5 / 2)
    assert losses["brake_mean"].item() == pytest.approx(0, abs=1e-6)
    alone = mean_losses(scheme, logits, truth, torch.tensor([[0.0, 1.0]]), {"steering": 0.4})
    assert alone["steering_mean"].item() == pytest.approx(0, abs=1e-6)


def test_motion_measured_in_parts_is_the_same() -> None:
    clips = torch.stack([rolling_clip(25, speed) for speed in (0.5, 1.0, 1.5)])  # 72 pairs of frames
    motion = GlobalMotion(torch.zeros(48, 48, dtype=torch.bool))
    together = motion(clips, None)
    for clip, among in zip(clips, together, strict=True):
        torch.testing.assert_close(motion(clip[None], None)[0], among, atol=1e-4, rtol=1e-4)


def test_rare_classes_weigh_more_when_asked() -> None:
    model = tiny_idm(class_weighting=0.5)
    model.class_counts_brake.copy_(torch.tensor([900.0, *[10.0] * 10]))
    weights = model.class_weights("brake")
    assert weights[1] / weights[0] == pytest.approx(math.sqrt(90), rel=0.1)
    assert (weights * model.class_counts_brake).sum() / 1000 == pytest.approx(1.0, rel=0.01)


def test_frames_without_context_are_not_judged() -> None:
    model, batch = tiny_idm(margin=3), clip_batch(B=3, T=10)
    batch.first[1, 0] = True  # an episode's start
    batch.valid[2, 8:] = False  # an episode's end
    judged = model.measured(batch)
    assert judged[0].tolist() == [False] * 3 + [True] * 4 + [False] * 3
    assert judged[1].tolist() == [True] * 7 + [False] * 3
    assert judged[2].tolist() == [False] * 3 + [True] * 5 + [False] * 2


def test_bad_settings_are_refused() -> None:
    for changes, message in (
        ({"size": "huge"}, "no IDM size 'huge'"),
        ({"stops": {"gear_change": 0.5}}, "stops are positive numbers for"),
        ({"motion": True, "motion_finest": 3}, "finest must lie"),
        ({"cnn": False, "view": None, "motion": False}, "would see nothing"),
        ({"view": View(40, 0, 20, 8)}, "does not lie within"),
        ({"reach": 0}, "reach"),
        ({"dropout": 1.0}, "dropout"),
        ({"over_time": 4}, "odd"),
        ({"convolutions": 10**9}, "convolutions are 1 to 64"),
        ({"close_heads": ("sterring",)}, "close_heads"),
        ({"close_heads": ("steering",), "view": None}, "close_heads"),
        ({"class_weighting": float("nan")}, "class_weighting"),
    ):
        with pytest.raises(ValueError, match=message):
            tiny_idm(**changes)


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(ValueError, match="another network than this IDM: no weight of its trunk"):
        tiny_idm().take_weights({"other": torch.zeros(1)}, "x.ckpt")


def test_it_trains_validates_and_keeps_its_temperatures(tiny_recordings: Path, tmp_path: Path) -> None:
    model = tiny_idm(margin=2, class_weighting=0.5, frames=FrameSpec(height=48, width=48))
    data = ClipDataModule(
        str(tiny_recordings), batch_size=4, clip_frames=16, mirror=0.5, loading=Loading(val_fraction=0.34)
    )
    trainer = Trainer(
        max_steps=3, val_check_interval=3, check_val_every_n_epoch=None, accelerator="cpu", logger=False,
        default_root_dir=tmp_path, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(model, data)
    for key in ("steering_r2_clipped", "throttle_r2", "brake_f1", "ece", "error_least_confident_tenth_ratio", "loss"):
        assert math.isfinite(trainer.callback_metrics[f"val/{key}"])
    assert model.temperatures["steering"] != 1
    assert model.class_counts_throttle.sum() > 0
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    state = torch.load(tmp_path / "x.ckpt", weights_only=False)["state_dict"]
    assert state["temperature_steering"] == model.temperatures["steering"]


def test_pictures_have_a_size() -> None:
    axis = Axis("brake", 0.0, 1.0, 11)
    assert draw_confusion(axis, torch.eye(11).long()).shape == (360, 400, 3)
    controls = {"steering": torch.zeros(20), "gear_change": torch.zeros(20)}
    strip = draw_strip(torch.zeros(20, 48, 48, 3, dtype=torch.uint8), controls, controls, torch.ones(20), 6)
    assert strip.dtype == np.uint8
    assert strip.ndim == 3
