"""Main program of the decoding process: answers the requests of `decode_process.py` on its pipes.

A thread writes the answers, so that the next window is decoded while the parent computes with the last one.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import Queue
from typing import BinaryIO

import av
import numpy as np

from racing_vpt.types import FrameSpec
from racing_vpt.video.decode import open_video
from racing_vpt.video.examine import ExaminedVideo, examine
from racing_vpt.video.windows import cut_windows

MEMORY = 12 << 30  # bytes of address space: enough for 4K video and a decoder's threads
AHEAD = 1  # answers that wait to be written: a window of frames each
Arrays = dict[str, np.ndarray]
Answer = tuple[bytes, Arrays]
"""A header and the arrays that it names."""


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Say that it is ready, then answer requests until there are no more."""

    waiting: Queue[Answer | None] = Queue(AHEAD)
    writer = threading.Thread(target=_write, args=(answers, waiting), daemon=True)
    writer.start()

    def send(kind: str, arrays: Arrays | None = None, **message: object) -> None:
        named = [[name, array.dtype.name, list(array.shape)] for name, array in (arrays or {}).items()]
        waiting.put((json.dumps({"kind": kind, "arrays": named, **message}).encode() + b"\n", arrays or {}))

    send("ready")
    for line in requests:
        request = json.loads(line)
        last = [time.monotonic()]

        def beat(last: list[float] = last) -> None:
            if time.monotonic() - last[0] > 1:
                last[0] = time.monotonic()
                send("beat")

        try:
            _answer(request, send, beat)
            send("end")
        except (MemoryError, av.error.MemoryError):
            gib = resource.getrlimit(resource.RLIMIT_AS)[0] / 2**30
            send("error", text=f"{request['path']} needs more memory than the {gib:.1f} GiB that a decoder may take")
        except Exception as error:  # a stranger's file can make libraries raise anything, which need not name it
            text = str(error) or type(error).__name__
            send("error", text=text if Path(request["path"]).name in text else f"{request['path']}: {text}")
    waiting.put(None)
    writer.join()


def _write(answers: BinaryIO, waiting: Queue[Answer | None]) -> None:
    """Write answers in order until there are no more; the process ends if nobody reads them."""
    try:
        while (answer := waiting.get()) is not None:
            header, arrays = answer
            answers.write(len(header).to_bytes(4, "little") + header)
            for array in arrays.values():
                answers.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
            answers.flush()
    except OSError:
        os._exit(1)


def _answer(request: dict, send: Callable[..., None], beat: Callable[[], None]) -> None:
    path, decoder = Path(request["path"]), request["decoder"]
    in_one_pass = request["what"] == "windows" and decoder in ("auto", "pyav")
    if not in_one_pass:
        frames, rate = examine(path, decoder, beat)
        if request["what"] == "examine":
            send("message", frames=frames, frames_per_second=rate)
            return
    video = ExaminedVideo(path, beat) if in_one_pass else open_video(path, decoder)
    for window in cut_windows(video, FrameSpec(**request["spec"]), request["window"], request["stride"]):
        if window.last and isinstance(video, ExaminedVideo):
            video.finish()  # labels are complete with the last window, so the rest is checked before it
        arrays = {name: value for name, value in vars(window).items() if isinstance(value, np.ndarray)}
        send("message", arrays, **{name: value for name, value in vars(window).items() if name not in arrays})


def main() -> None:
    """Answer on the parent's pipes, and die with the parent."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG works even while a decoder holds the GIL
    if os.getppid() != int(os.environ.get("RACING_VPT_PARENT", os.getppid())):
        sys.exit()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    allowed = resource.getrlimit(resource.RLIMIT_AS)[1]  # nobody may ask for more
    memory = MEMORY if allowed == resource.RLIM_INFINITY else min(MEMORY, allowed)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # keeps the output of libraries out of the replies
    serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
