"""Damaged files of every kind, read with little address space: one clear error, no crash, memory by their size.

Each try runs in a fork of this process, which may take `ROOM` more than it has. Videos are not among them: they are
decoded in a process that has such a limit anyway (`test_fuzz.py`).
"""

from __future__ import annotations

import io
import os
import pickle
import random
import resource
import shutil
import signal
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from racing_vpt.checkpoints.folder import save_checkpoint
from racing_vpt.checkpoints.integrity import fault_of
from racing_vpt.checkpoints.lightning_run import read_lightning
from racing_vpt.checkpoints.load import load_module
from racing_vpt.checkpoints.openai import read_openai_model, read_openai_weights
from racing_vpt.checkpoints.run_config import model_of_run
from racing_vpt.data.label_files import read_labels, write_labels
from racing_vpt.data.lines import read_lines
from racing_vpt.data.manifest import MANIFEST
from racing_vpt.data.shards import ShardStore
from racing_vpt.files import read_json
from racing_vpt.games.read import read_game
from racing_vpt.models.vpt import VPT
from racing_vpt.models.vpt_config import PolicyConfig
from racing_vpt.play.kept_episodes import read_npz
from racing_vpt.types import FrameSpec
from racing_vpt.video.decoders import PictureFolder
from tests.faults.harness import note, tries
from tests.faults.test_fuzz import mutated

ROOM = 512 << 20  # bytes; the files have less than a million
READ, REFUSED, WRONG = range(3)
PARITY = Path(__file__).parents[1] / "vpt_parity"
GAME = Path(__file__).parents[2] / "racing_vpt" / "games" / "carracing.yaml"
ARGUMENTS = {"frames": {"height": 16, "width": 16}, "network": {"size": "tiny", "recurrence_layers": 1}}
Reader = Callable[[Path], object]


def outcome(read: Reader, path: Path) -> tuple[int, str]:
    """How reading ends in a fork with little address space, and what it says."""
    receive, send = os.pipe()
    process = os.fork()
    if not process:
        code, said = WRONG, ""
        try:
            size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (size + ROOM, resource.RLIM_INFINITY))
            signal.alarm(30)
            read(path)
            code = READ
        except (ValueError, FileNotFoundError) as error:
            named = path.name in str(error) or path.parent.name in str(error)
            code, said = (REFUSED if named and "free memory" not in str(error) else WRONG), repr(error)
        except BaseException as error:
            said = repr(error)
        finally:
            os.write(send, said[:2000].encode(errors="replace"))
            os._exit(code)
    os.close(send)
    with os.fdopen(receive, "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    _, status = os.waitpid(process, 0)
    return (os.WEXITSTATUS(status), said) if os.WIFEXITED(status) else (WRONG, f"signal {os.WTERMSIG(status)}")


def read_ckpt(path: Path) -> None:
    fault = fault_of(path)
    if fault:
        raise ValueError(fault)
    read_lightning(path)


def read_shards(path: Path) -> None:
    store = ShardStore(str(path.parent), "train")
    for episode in store.episodes:
        for clip in episode.clips:
            store.columns(clip)


def read_pictures(path: Path) -> None:
    PictureFolder(path.parent, 50.0).read([0])


@pytest.fixture(scope="module")
def cases(
    tiny_recordings: Path, tiny_shards: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Path, Reader]]:
    """By name: a file to damage, and what reads it."""
    place = tmp_path_factory.mktemp("fuzz")
    policy = VPT(frames=FrameSpec(16, 16), network=PolicyConfig("tiny", recurrence_layers=1))
    save_checkpoint(place / "policy", "racing_vpt.models.vpt.VPT", ARGUMENTS, policy.state_dict())
    old = (place / "policy" / "config.json").read_text().replace('"format": 3', '"format": 2')
    (place / "policy" / "config.json").write_text(old)  # or the checksum alone would find every change
    run = place / "run" / "checkpoints"
    run.mkdir(parents=True)
    torch.save({"state_dict": {"a": torch.ones(9)}, "global_step": 3, "callbacks": {"x": {"y": 1}}, "epoch": 1,
                "hyper_parameters": {"_class_path": "racing_vpt.models.vpt.VPT", "game": {}}},
               run / "last.ckpt")  # fmt: skip
    (place / "run" / "config.yaml").write_text("model:\n  class_path: a.B\n  init_args: {c: [1, 2], d: {e: f}}\n")
    for name in ("policy.model", "policy.weights"):
        shutil.copy(PARITY / name, place)
    shutil.copy(GAME, place / "mine.yaml")
    shutil.copytree(tiny_shards, place / "shards")
    shutil.copy(tiny_recordings / "tiny-10000.jsonl", place / "lines.jsonl")
    shutil.copy(tiny_recordings / "tiny-10000.meta.json", place / "recording.meta.json")
    write_labels(place / "labels" / "a.jsonl", read_lines(place / "lines.jsonl"), {"checkpoint": "x"})
    (place / "pictures").mkdir()
    cv2.imwrite(str(place / "pictures" / "000000.png"), np.zeros((16, 16, 3), np.uint8))
    np.savez_compressed(
        place / "kept.npz", frames=np.zeros((3, 4, 4, 3), np.uint8), controls=np.zeros((3, 1)), names=np.array(["a"]),
        rewards=np.zeros(3), first=np.zeros(3, bool), by_hand=np.zeros(3, bool), frames_per_second=np.array(50.0),
        world=np.array("w"), checkpoint=np.array("c"),
    )  # fmt: skip
    return {
        "config.json": (place / "policy" / "config.json", lambda path: load_module(path.parent)),
        "safetensors": (place / "policy" / "model.safetensors", lambda path: load_module(path.parent)),
        "ckpt": (run / "last.ckpt", read_ckpt),
        "config.yaml": (place / "run" / "config.yaml", model_of_run),
        "model": (place / "policy.model", read_openai_model),
        "weights": (place / "policy.weights", read_openai_weights),
        "game": (place / "mine.yaml", read_game),
        "manifest": (place / "shards" / MANIFEST, read_shards),
        "jsonl": (place / "lines.jsonl", read_lines),
        "meta": (place / "recording.meta.json", read_json),
        "labels": (place / "labels" / "a.meta.json", lambda path: read_labels(path.with_name("a.jsonl"))),
        "png": (place / "pictures" / "000000.png", read_pictures),
        "npz": (place / "kept.npz", read_npz),
    }  # fmt: skip


KINDS = ("config.json", "safetensors", "ckpt", "config.yaml", "model", "weights", "game", "manifest", "jsonl", "meta",
         "labels", "png", "npz")  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_takes_little_memory_and_one_line(kind: str, cases: dict[str, tuple[Path, Reader]]) -> None:
    path, read = cases[kind]
    whole, dice, wrong = path.read_bytes(), random.Random(11), []
    count = tries(100, 4)
    for number in range(count):
        path.write_bytes(mutated(whole, dice))
        code, said = outcome(read, path)
        if code not in (READ, REFUSED):
            wrong.append(f"{kind} {number}: {said}")
    path.write_bytes(whole)
    note(f"fuzzed {kind} with 512 MiB of address space", count, count - len(wrong))
    assert not wrong, "\n".join(wrong)


def test_files_that_ask_for_much_memory_are_refused(cases: dict[str, tuple[Path, Reader]]) -> None:
    packed, png, header = io.BytesIO(), io.BytesIO(), io.BytesIO()
    ckpt = cases["ckpt"][0].read_bytes()
    with zipfile.ZipFile(io.BytesIO(ckpt)) as given, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as made:
        for name in given.namelist():
            made.writestr(name, given.read(name) if "data/" not in name else bytes(1 << 26))
    about = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    for chunk, data in ((b"IHDR", about), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")):
        png.write(struct.pack(">I", len(data)) + chunk + data + struct.pack(">I", zlib.crc32(chunk + data)))
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (10**10,)})
    npz = io.BytesIO()
    with zipfile.ZipFile(npz, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("frames.npy", header.getvalue())
    doubled = b"\x80\x02)q\x000" + b"".join(b"h%ch%c\x86q%c0" % (at, at, at + 1) for at in range(40)) + b"}h\x28K\x01s."
    many = range(1, 40)
    bombs = {
        "ckpt": packed.getvalue(), "png": b"\x89PNG\r\n\x1a\n" + png.getvalue(), "npz": npz.getvalue(),
        "model": doubled,
        "config.yaml": b"a0: &a0 [x]\n" + b"".join(b"a%d: &a%d [*a%d, *a%d]\n" % (n, n, n - 1, n - 1) for n in many),
        "weights": pickle.dumps(bytes(10)), "meta": b"[" * 100_000, "config.json": b'{"a":' * 100_000,
    }  # fmt: skip
    survived = 0
    for kind, content in bombs.items():
        path, read = cases[kind]
        whole = path.read_bytes()
        path.write_bytes(content)
        code, said = outcome(read, path)
        path.write_bytes(whole)
        assert code == REFUSED, f"{kind}: {said}"
        survived += 1
    note("a small file that asks for much memory", len(bombs), survived)
