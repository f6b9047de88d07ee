"""A hub of the tests' own, and settings that lead there and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from racing_vpt.checkpoints.load import ZOO
from tests.hub.server import Hub, serve


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A running hub without repositories; the cache and the token of this user are not looked at."""
    pytest.importorskip("huggingface_hub", reason="the extra [hub] is not installed")
    from huggingface_hub import constants

    from racing_vpt.hub import fetch

    hub = Hub()
    server = serve(hub)
    monkeypatch.setenv("HF_ENDPOINT", hub.address)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # another protocol, which this server does not speak
    monkeypatch.setattr(fetch, "_commits", {})
    yield hub
    server.shutdown()
    server.server_close()


@pytest.fixture
def zoo_files() -> dict[str, bytes]:
    """The files of a small checkpoint."""
    return {path.name: path.read_bytes() for path in (ZOO / "vpt-nes-road").iterdir()}
