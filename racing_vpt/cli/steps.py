"""Commands run one after the other, as anybody would type them; what is finished is kept, what was stopped goes on."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from racing_vpt.cli.configs import find_config


@dataclass(frozen=True)
class Step:
    """One command.

    Args:
        title: description.
        words: command line after `racing-vpt`.
        makes: file or folder that it makes.
        seconds: time on the reference machine (`bench/pace.py`), for the estimate at the start.
        needs: outputs of earlier steps that it reads.
    """

    title: str
    words: tuple[str, ...]
    makes: Path
    seconds: float
    needs: tuple[Path, ...] = ()


def run_steps(steps: list[Step], records: Path) -> float:
    """Run the steps, or what is left of them.

    Args:
        steps: in order; a step's `needs` are made by earlier ones.
        records: folder of what is known of finished steps.

    Returns:
        Seconds that all of them took, now or before.
    """
    fingerprints: dict[Path, str] = {}
    seconds = 0.0
    for number, step in enumerate(steps, 1):
        print(f"\n[{number}/{len(steps)}] {step.title}\n$ racing-vpt {shlex.join(step.words)}", flush=True)
        fingerprints[step.makes] = fingerprint(step, [fingerprints[need] for need in step.needs])
        took = run_step(step, fingerprints[step.makes], records / f"{number}.json")
        seconds += took
        print(f"  {took:.0f} s", flush=True)
    return seconds


def words(*given: object) -> tuple[str, ...]:
    """A command line from words, paths and numbers."""
    return tuple(str(word) for word in given)


def announce(steps: list[Step], factor: float) -> None:
    """Say how long each step will take, where the machine is `factor` times as slow as the reference machine."""
    print(f"Expected on this machine as busy as it is now ({factor:.1f} times the reference machine's time):")
    for number, step in enumerate(steps, 1):
        print(f"  [{number}/{len(steps)}] {step.title:58} {step.seconds * factor:5.0f} s")
    total = sum(step.seconds for step in steps) * factor
    print(f"  {total / 60:.0f} minutes in all; stop it at any time, and the same command continues", flush=True)


def fingerprint(step: Step, needs: list[str]) -> str:
    """Hash of all that a step depends on: its command, its recipes, and the fingerprints of its inputs."""
    recipes = [find_config(word).read_text() for word in step.words if word.endswith(".yaml")]
    return sha256(json.dumps([step.words, recipes, needs]).encode()).hexdigest()


def run_step(step: Step, wanted: str, record: Path) -> float:
    """Run a step unless it finished before with the same fingerprint; continue it if it was stopped.

    Returns:
        Seconds that it took, now or before.

    Raises:
        ValueError: the command failed, or would overwrite files that were not made by it.
    """
    from racing_vpt.files import write_json
    from racing_vpt.processes import run_command

    before = json.loads(record.read_text()) if record.is_file() else {}
    same = before.get("fingerprint") == wanted
    if same and before["finished"] and step.makes.exists():
        print("  done before")
        return before["seconds"]
    if not same and step.makes.exists():
        if before.get("makes") != str(step.makes):
            raise ValueError(f"{step.makes} is there already, and this command did not make it; choose another --out")
        print(f"  the recipe changed since {step.makes} was made; it is made anew")
        shutil.rmtree(step.makes) if step.makes.is_dir() else step.makes.unlink()
    seconds = before["seconds"] if same else 0.0
    entry = {"title": step.title, "makes": str(step.makes), "fingerprint": wanted}
    write_json(record, entry | {"seconds": seconds, "finished": False})
    words = list(step.words)
    if words[0] == "fit" and (step.makes / "checkpoints" / "last.ckpt").is_file():
        words += ["--ckpt_path", "last"]
    begun, status = time.monotonic(), 1
    try:
        status = run_command([sys.executable, "-m", "racing_vpt", *words])
    finally:
        seconds += time.monotonic() - begun
        write_json(record, entry | {"seconds": seconds, "finished": status == 0})
    if status:
        raise ValueError(f"the step ended with status {status}; what is finished stays, and the same command continues")
    return seconds
