"""Decodes untrusted videos in a separate process, which is killed if it hangs.

Only lines of JSON and plain arrays are sent through the pipes, nothing that is unpickled: a decoder compromised by a
file can send wrong numbers, but nothing else. The process ends with its parent.
"""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from racing_vpt.video.silence import Silence

SECONDS = 60.0  # of silence between two messages
LARGEST = 4 << 30  # bytes of one array
PIPE = 1 << 20  # bytes that fit into the pipe, the most that Linux allows; with 64 KiB a window takes a hundred turns
DTYPES = ("uint8", "bool", "int64", "float64")
Arrays = dict[str, np.ndarray]


class DecoderStartError(OSError):
    """The other process cannot be started: no video is to blame."""


class DecodeProcess:
    """The parent's side of the decoding process, which is started with the first request and restarted after a kill.

    Args:
        seconds: silence (`silence.py`) after which it is killed.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self.seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._parent = os.getpid()

    def ask(self, what: str, path: Path, **options: object) -> Iterator[tuple[dict, Arrays]]:
        """Send a request about a video and iterate over the replies.

        Raises:
            ValueError: the video is faulty, or the process hung or died while reading it.
            DecoderStartError: the process cannot be started on this machine.
        """
        if self._process is None or self._process.poll() is not None or self._parent != os.getpid():
            self._start()
        process, ended = self._process, False
        assert process is not None
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps({"what": what, "path": str(path), **options}).encode() + b"\n")
            process.stdin.flush()
            while True:
                message, arrays = self._receive(path)
                kind = message.pop("kind")
                if kind == "end":
                    ended = True
                    return
                if kind == "error":
                    ended = True
                    raise ValueError(message["text"])
                if kind == "message":
                    yield message, arrays
        except BrokenPipeError as error:
            raise ValueError(f"{path} {self._death()}") from error
        finally:
            if not ended:  # the rest of the replies is still in the pipe
                self.close()

    def close(self) -> None:
        """Kill the process."""
        if self._process is not None and self._parent == os.getpid():
            self._process.kill()
            self._process.wait()
        self._process = None

    def _start(self) -> None:
        command = [sys.executable, "-m", "racing_vpt.video.decode_server"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0,
            start_new_session=False, env={**os.environ, "RACING_VPT_PARENT": str(os.getpid())},
        )  # fmt: skip
        assert self._process.stdout is not None
        with suppress(OSError, AttributeError):  # the user's pipes are too many already, or this is not Linux
            fcntl.fcntl(self._process.stdout, fcntl.F_SETPIPE_SZ, PIPE)
        self._parent = os.getpid()
        try:
            self._receive(Path("its start"), max(SECONDS, self.seconds))
        except ValueError as error:
            self.close()
            raise DecoderStartError(
                f"the process that decodes videos cannot be started ({error}); is the memory limited (ulimit -v)? "
                "It needs about 2 GiB of addresses"
            ) from error

    def _receive(self, path: Path, seconds: float | None = None) -> tuple[dict, Arrays]:
        seconds = self.seconds if seconds is None else seconds
        header = self._read(min(1 << 20, int.from_bytes(self._read(4, path, seconds), "little")), path, seconds)
        message = json.loads(header)
        arrays = {}
        for name, dtype, shape in message.pop("arrays", []):
            size = int(np.prod(shape, dtype=np.float64)) * np.dtype(dtype).itemsize
            if dtype not in DTYPES or not 0 <= size <= LARGEST:
                raise ValueError(f"{path} made the decoder send nonsense")
            arrays[name] = np.frombuffer(self._read(size, path, seconds), dtype).reshape(shape)
        return message, arrays

    def _read(self, size: int, path: Path, seconds: float) -> bytearray:
        """Read exactly `size` bytes; ValueError if the process hangs or dies."""
        assert self._process is not None
        assert self._process.stdout is not None
        source, content, filled = self._process.stdout.fileno(), bytearray(size), 0
        view, silence = memoryview(content), Silence(self._process.pid, seconds)
        while filled < size:
            ready, _, _ = select.select([source], [], [], silence.between)
            if not ready:
                if silence.too_long():
                    self.close()
                    raise ValueError(f"{path} kept the decoder busy for {seconds:g} s without a frame; it was stopped")
                continue
            count = os.readv(source, [view[filled:]])
            if not count:
                raise ValueError(f"{path} {self._death()}")
            filled += count
            silence.broken()
        return content

    def _death(self) -> str:
        code = self._process.wait() if self._process is not None else None
        how = f"with {signal.Signals(-code).name}" if code is not None and code < 0 else f"with status {code}"
        return f"ended the decoder {how}; it is damaged, or made to do so"


_shared = DecodeProcess()
atexit.register(_shared.close)


def shared() -> DecodeProcess:
    """The decoding process shared within this process."""
    return _shared


def examined(path: Path, decoder: str = "auto") -> tuple[int, float]:
    """Frames and frames per second of an untrusted video, after decoding it from end to end in the decoding process.

    Raises:
        ValueError: the video is faulty; the message says how.
    """
    ((message, _),) = shared().ask("examine", path, decoder=decoder)
    return int(message["frames"]), float(message["frames_per_second"])
