"""Errors of one recording or video, which `--on_error skip` passes over, and those that every other would meet too."""

from __future__ import annotations

import errno

from racing_vpt.video.decode_process import DecoderStartError

OF_THE_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE}


def concerns_all(error: BaseException) -> bool:
    """Whether an error has nothing to do with the item at hand: a full disk, no decoder."""
    return isinstance(error, DecoderStartError) or getattr(error, "errno", None) in OF_THE_MACHINE


def reason(error: BaseException) -> str:
    """An error in words; its kind where these alone say little."""
    said = str(error).strip()
    plain = isinstance(error, ValueError | OSError) and said
    return said if plain else f"{type(error).__name__} {said}".strip()
