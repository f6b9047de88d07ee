"""SIGTERM ends each verb within ten seconds, wherever it is, with nothing half and no process left."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from racing_vpt.checkpoints.integrity import fault_of
from racing_vpt.checkpoints.load import save_checkpoint
from racing_vpt.cli.main import STAGES, TOOLS
from racing_vpt.data.recording import Recording
from racing_vpt.models.controller import Controller
from racing_vpt.models.mdn_rnn import MDNRNN
from tests.conftest import write_tiny_recording
from tests.faults.harness import FULL, command, none_left, note, tries, wait_until
from tests.faults.test_signal_faults import fit

LIMIT = 10.0  # seconds from the signal to the end, on cores that nothing else uses
SHORT = {"inspect", "export-weights", "import-vpt", "export-vpt", "returns"}  # they end by themselves sooner than that
SPACE = "key.keyboard.space"
WINDOW = """
controls: {up: button, down: button}
frames: {height: 24, width: 96, frames_per_second: 10}
keys: {up: [up], down: [down]}
screen: {window: racing-vpt calib}
"""


@dataclass
class Work:
    """A command line that takes long.

    Args:
        words: the verb and its options; output goes to files below `out`.
        begun: what the log says, or a pattern of files below `out`, once the verb is at work.
        seconds: the signal comes at a random moment within so many seconds after that.
    """

    words: list[str]
    begun: str
    seconds: float = 1.0


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of a minute altogether, the same as a contractor's, and a controller with random weights."""
    folder = tmp_path_factory.mktemp("inputs")
    for episode in range(3):
        write_tiny_recording(folder / "recordings", episode, 1000 if FULL else 100)
    (folder / "window.yaml").write_text(WINDOW)
    (folder / "contractor").mkdir()
    line = {"keyboard": {"keys": [SPACE]}, "mouse": {"dx": 1.0, "dy": 0.0, "buttons": [], "newButtons": []}}
    for episode in range(3):
        (folder / "contractor" / f"{episode}.jsonl").write_text(f"{json.dumps(line)}\n" * 1000)
    torch.manual_seed(0)
    memory = MDNRNN()
    memory.starts[:2, :32], memory.num_starts[()] = torch.randn(2, 32), 2
    save_checkpoint(folder / "memory", "racing_vpt.models.mdn_rnn.MDNRNN", {}, memory.state_dict())
    controller = Controller()
    controller.starts[:2], controller.num_starts[()] = torch.randn(2, 64), 2
    save_checkpoint(folder / "controller", "racing_vpt.models.controller.Controller", {}, controller.state_dict())
    return folder


def works(inputs: Path, out: Path) -> dict[str, Work]:
    """What each verb is stopped in, by name; of `fit` there are several."""
    recordings = f"{inputs}/recordings"
    on_cpu = ["--trainer.accelerator=cpu", f"--runs={out}"]
    rollouts = "--trainer.callbacks+=racing_vpt.callbacks.rollouts.RolloutValidation"
    fits = [*fit(out, Path(recordings)), rollouts, "--trainer.val_check_interval=2"]
    controller = ["fit", "--config=controller", f"--model.memory={inputs}/memory", "--name=a", *on_cpu]
    online = ["--name=a", "--trainer.max_steps=100000", *on_cpu]
    judged = ["--ckpt_path=zoo:idm-carracing", *on_cpu, "--data.batch_size=1"]
    return {
        "fit": Work(fits, "train/loss", 6.0),
        "fit controller": Work(controller, "no validation", 8.0),
        "fit dqn": Work(["fit", "--config=dqn", "--data.warm_up=200", *online], "next validation", 4.0),
        "fit iris": Work(
            ["fit", "--config=iris", "--config=iris/tiny", f"--data.recordings={recordings}",
             "--model.init_world=zoo:iris-world-carracing", *online],
            "iris/a/config.yaml", 8.0,
        ),
        "validate": Work(["validate", f"--data.val={recordings}", *judged], "validate", 2.0),
        "test": Work(["test", f"--data.test={recordings}", *judged], "test", 2.0),
        "predict": Work(
            ["predict", "--config=label", f"--data.videos={recordings}", f"--out={out}/labels", "--overwrite=true",
             "--ckpt_path=zoo:idm-carracing", *on_cpu], "labels/*", 2.0,
        ),
        "collect": Work(["collect", f"--out={out}/a", "--seeds=10000-10099", "--workers=2"], "a/*"),
        "record": Work(["record", f"--game={inputs}/window.yaml", "--at_once", f"--out={out}/a"], "a/.tmp-*", 4.0),
        "pack": Work(["pack", f"--recordings={recordings}", f"--out={out}/a", "--workers=2"], "a/*", 0.2),
        "renditions": Work(["renditions", recordings, f"--out={out}/a", "--workers=2"], "a/*", 2.0),
        "ladder": Work(["ladder", recordings, f"--out={out}/a", "--workers=2"], "a/*", 4.0),
        "import": Work(["import", f"{inputs}/contractor", "--format=contractor", f"--out={out}/a"], "a/*"),
        "export": Work(["export", recordings, "--format=arrays", f"--out={out}/a"], "a/*", 0.2),
        "view": Work(["view", f"{recordings}/tiny-10000.mp4", f"--out={out}/a.mp4"], "*a.mp4"),
        "verify": Work(["verify", recordings, "--idm=zoo:idm-carracing-video"], "verify"),
        "drive": Work(
            ["drive", "--checkpoint=zoo:vpt-carracing", "--seeds=1000-1009", f"--video={out}/a.mp4"], "*a.mp4", 4.0
        ),
        "play": Work(
            ["play", "zoo:world-model-carracing", "--world_model", f"--out={out}/a.mp4", "--keys=up*9000"], "*a.mp4"
        ),
        "compare": Work(["compare", "--checkpoints=[zoo:vpt-carracing,expert]", "--seeds=1000-1009"], "", 8.0),
        "dream": Work(["dream", f"{inputs}/controller"], "", 8.0),
        "seam": Work(["seam", "zoo:iris-world-carracing"], "", 8.0),
        "iris-experiments": Work(
            ["iris-experiments", f"--recordings={recordings}", f"--out={out}/a"], "a/tokenizer/*", 8.0
        ),
        "demo": Work(["demo", f"--out={out}/a"], "[1/9] Record minutes of driving with the controls\n$", 8.0),
        "circle": Work(["circle", f"--out={out}/a"], "a/labelled/*", 4.0),
        "bench": Work(["bench"], "", 8.0),
        "doctor": Work(["doctor"], "Python", 0.1),
    }  # fmt: skip


NAMES = [*works(Path(), Path()), *sorted({*TOOLS, *STAGES} - {*SHORT, *works(Path(), Path())})]


@pytest.mark.parametrize("name", NAMES if FULL else ["fit", "drive", "record"])
def test_a_signal_ends_a_verb_within_ten_seconds(
    name: str, inputs: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    assert name in works(inputs, tmp_path), f"add to `works` a command line of {name} that takes long"
    count, survived, slowest = tries(3, 1), 0, 0.0
    display = request.getfixturevalue("display") if name == "record" else ""
    if name == "record":
        request.getfixturevalue("calibration")
    if name == "import":
        for episode in range(3):
            source = inputs / "recordings" / f"tiny-{10_000 + episode}.mp4"
            as_contractor(source, inputs / "contractor" / f"{episode}.mp4")
    for trial in range(count):
        out, log = tmp_path / str(trial), tmp_path / f"{trial}.log"
        out.mkdir()
        work = works(inputs, out)[name]
        process = command(*work.words, log=log, display=display)
        wait_until(lambda log=log, out=out, begun=work.begun: has_begun(begun, log, out), process)
        time.sleep(random.uniform(0, work.seconds))
        assert process.is_alive(), f"it ended by itself: {log.read_text()[-2000:]}"
        os.kill(process.pid or 0, signal.SIGTERM)
        asked = time.monotonic()
        process.join(60)
        took = time.monotonic() - asked
        crowd = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))  # processes that share a core
        half = [path for path in out.rglob(".tmp-*") if "/runs/" not in str(path)]
        torn = [path for path in out.rglob("*.ckpt") if fault_of(path) is not None]
        torn += [path for path in out.rglob("window-*.mp4") if not is_whole(path)]
        good = process.exitcode == 143 and took <= LIMIT * crowd and none_left(process) and not half and not torn
        survived, slowest = survived + good, max(slowest, took)
        assert good, (process.exitcode, took, half, torn, log.read_text()[-9000:])
    note(f"SIGTERM in {name}: 143 within 10 s ({slowest:.1f}), nothing half, no process left", count, survived)


def has_begun(begun: str, log: Path, out: Path) -> bool:
    """Whether the log or a file says that a verb is at work."""
    return log.is_file() and (begun in log.read_text() or any(out.glob(begun or "nothing")))


def is_whole(path: Path) -> bool:
    """Whether a recording has a line and a picture for each frame that its meta file promises."""
    recording = Recording.open(path)
    return 0 < recording.num_frames == len(recording.records()) == recording.open_video().num_frames


def as_contractor(source: Path, target: Path) -> None:
    """The frames of a recording at 20 frames per second, as contractors' recordings have."""
    from racing_vpt.video.decode import open_video
    from racing_vpt.video.encode import VideoWriter

    if target.exists():
        return
    video = open_video(source)
    writer = VideoWriter(target, 20.0, *video.read([0])[0].shape[:2])
    for frame in video.read(range(video.num_frames)):
        writer.add(frame)
    writer.close()
