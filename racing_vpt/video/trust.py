"""Whether a video may be read in this process: its bytes are those that were promised, and all of it was decoded.

A meta file proves nothing, because a stranger can write one. So every video is examined once from end to end in the
decoding process (`examine.py`), unless this user's own writer made it; what was found is remembered (`known_files.py`).
"""

from __future__ import annotations

from pathlib import Path

from racing_vpt.known_files import identity_of, known_sha256, recall, remember, settle
from racing_vpt.video.decode_process import examined

EXAMINED = "examined-1"  # raise the number when the examination finds more than before


def examined_once(path: Path) -> tuple[int, float]:
    """Frames and frames per second of a video that was decoded from end to end, now or before.

    Raises:
        ValueError: what is wrong with it.
    """
    identity = identity_of(path)
    known = recall(identity, EXAMINED)
    if isinstance(known, list) and len(known) == 2:
        return int(known[0]), float(known[1])
    frames, rate = examined(path)
    remember_examined(identity, frames, rate)
    return frames, rate


def remember_examined(identity: str, frames: int, frames_per_second: float) -> None:
    """Note that all of a video was decoded and found good; `identity` as it was before."""
    remember(identity, EXAMINED, [frames, frames_per_second])


def check_sha256(path: Path, promised: str) -> None:
    """Raise ValueError if a file's content is not the one whose sha256 was promised."""
    found = known_sha256(path)
    if found != promised:
        raise ValueError(
            f"{path} is not the file that its meta file describes: its sha256 is {found[:12]}..., not "
            f"{promised[:12]}...; fetch it again, or check all with: racing-vpt verify {path.parent}"
        )


def remember_written(path: Path, sha256: str, frames: int, frames_per_second: float) -> None:
    """Note that this process wrote a video, so that it need not be examined."""
    settle(path)
    identity = identity_of(path)
    remember(identity, "sha256", sha256)
    remember_examined(identity, frames, frames_per_second)
