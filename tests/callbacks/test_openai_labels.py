"""OpenAI's inverse dynamics model labels videos as ours does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from racing_vpt.checkpoints.load import load_module
from racing_vpt.cli.main import main
from racing_vpt.data.label_files import read_labels
from racing_vpt.frames import prepare
from racing_vpt.games.minecraft import BUTTONS, CAMERA, camera_degrees
from racing_vpt.games.read import load_game
from racing_vpt.models.idm import IDM
from racing_vpt.models.openai_vpt import load_vpt
from racing_vpt.video.decode import open_video
from racing_vpt.video.encode import VideoWriter

PARITY = Path(__file__).parents[1] / "vpt_parity"
MODEL = PARITY / "idm.model"
NUM_FRAMES = 41


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a video of drifting clouds: 41 frames of 180x320 pixels, 20 per second."""
    folder = tmp_path_factory.mktemp("minecraft")
    random = np.random.default_rng(0)
    clouds = random.integers(0, 256, (24, 60, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
    writer = VideoWriter(folder / "walk.mp4", 20.0, 180, 320)
    for index in range(NUM_FRAMES):
        writer.add(clouds[4 * index : 4 * index + 180, 15 * index : 15 * index + 320])
    writer.close()
    return folder


def test_predict_writes_the_labels_of_the_original_windows(videos: Path, tmp_path: Path) -> None:
    words = ["--data.videos", str(videos), "--out", str(tmp_path / "labels"), "--runs", str(tmp_path / "runs")]
    words += ["--data.window", "24", "--data.window_stride", "12", "--data.batch_size", "2"]
    assert main(["predict", "--ckpt_path", str(MODEL), *words]) == 0
    records, meta = read_labels(tmp_path / "labels" / "walk.jsonl")
    assert [record.frame for record in records] == list(range(NUM_FRAMES))
    assert (meta["game"], meta["checkpoint_name"]) == ("minecraft", str(MODEL))
    assert list(records[0].action) == [*BUTTONS, *CAMERA]

    spec = load_module(MODEL).frames
    frames = prepare(open_video(videos / "walk.mp4").read(np.arange(NUM_FRAMES)), spec)  # type: ignore[arg-type]
    assert frames.shape == (NUM_FRAMES, 128, 128, 3)
    net = load_vpt(MODEL, PARITY / "idm.weights")
    kept = {"buttons": [], "camera": []}
    for start, keep in ((0, slice(0, 18)), (12, slice(6, 18)), (17, slice(13, 24))):  # the middle 12; at the ends all
        window = torch.from_numpy(frames[None, start : start + 24])
        with torch.no_grad():
            likely, _, _ = net(window, torch.zeros(1, 24, dtype=torch.bool))
        for head, parts in kept.items():
            parts.append(likely[head][0, keep])
    buttons, camera = (torch.cat(parts) for parts in kept.values())
    assert buttons.shape == (NUM_FRAMES, 20, 2)
    sure = (buttons.diff(dim=-1).abs() > 1e-2)[..., 0]
    said = torch.tensor([[record.action[name] for name in BUTTONS] for record in records])
    assert sure.float().mean() > 0.8
    assert torch.equal(said[sure], buttons.argmax(-1)[sure].float())
    assert 0 < said.mean() < 1
    degrees = torch.tensor([[record.action[name] for name in CAMERA] for record in records])
    clear = torch.topk(camera, 2, dim=-1).values.diff(dim=-1).abs()[..., 0] > 1e-2
    assert clear.float().mean() > 0.5
    torch.testing.assert_close(degrees[clear], camera_degrees()[camera.argmax(-1)][clear].float(), atol=1e-4, rtol=0)


def test_a_policy_learns_from_its_labels() -> None:
    idm = load_module(MODEL)
    assert isinstance(idm, IDM)
    assert load_game("minecraft").scheme().controls == idm.scheme.controls


def test_the_layers_keep_the_names_of_the_public_file() -> None:
    names = torch.load(PARITY / "idm.weights", weights_only=True).keys()
    ours = {name for name, _ in load_module(MODEL).named_parameters()}
    assert ours == set(names)
