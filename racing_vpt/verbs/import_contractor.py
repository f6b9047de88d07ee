"""`racing-vpt import-contractor`: OpenAI's contractor recordings of Minecraft as recordings of this project."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from racing_vpt.types import Resize


def import_contractor(
    recordings: Path,
    *,
    out: Path,
    null_actions: Literal["keep", "drop"] = "keep",
    draw_pointer: bool = True,
    recorder_version: str | None = None,
    release_stuck_attack: bool = True,
    slot_keys: bool = True,
    escape_is_inventory: bool = True,
    height: int | None = None,
    width: int | None = None,
    resize: Resize = "linear",
    slack: int = 20,
    crf: int = 14,
    on_error: Literal["raise", "skip"] = "raise",
) -> dict[str, int]:
    """Turn contractor recordings of Minecraft (NAME.mp4 with keys and mouse in NAME.jsonl, 20 frames a second) into
    recordings with the controls of the game minecraft, to be packed, trained from and viewed.

    Started again, it passes over recordings that are done.

    Args:
        recordings: folder with NAME.mp4 and NAME.jsonl side by side, also in folders below it.
        out: folder for the new recordings, another one.
        null_actions: what becomes of the third of the frames in which nothing is done: keep them, and let training
            leave them out (--model.cloning.null_filter true), which keeps the film whole for an IDM and for memory; or
            drop them here, as OpenAI's loader does. A mouse that moves less than VPT can tell from rest is a null
            action.
        draw_pointer: draw the mouse pointer while a GUI is open: the recorder left it out, MineRL shows it.
        recorder_version: version of the recorder, such as 6.8. In GUIs 5.7 and 5.8 counted the mouse double, 6.7 to 6.9
            half; None, and any other: as elsewhere, 0.15 degrees a unit.
        release_stuck_attack: ignore an attack that is held from the first frame on until it is pressed again.
        slot_keys: press hotbar.N when the chosen slot changes, because the scroll wheel was not recorded.
        escape_is_inventory: count escape in a GUI as inventory, which closes it too and which policies know.
        height: rows of the new video. Default: the source's. OpenAI's policies see 128.
        width: columns of the new video. Default: the source's. OpenAI's policies see 128.
        resize: interpolation: linear, as OpenAI's checkpoints were trained, or area.
        slack: largest difference between the numbers of frames and lines; the longer one is cut.
        crf: quality of the video; lower is better.
        on_error: stop at a recording that cannot be read, or report it and go on.

    Returns:
        Numbers of recordings `done`, `passed_over` and `failed`, and of `frames`.
    """
    from tqdm import tqdm

    from racing_vpt.data.contractor import GUI_SCALES, Quirks
    from racing_vpt.data.contractor_files import Import, import_one, is_imported, pairs_of
    from racing_vpt.data.item_errors import concerns_all, reason
    from racing_vpt.outputs import check_no_inputs, sole_writer

    if (height is None) != (width is None) or min(height or 1, width or 1) < 1 or slack < 0:
        raise ValueError(
            f"--height {height}, --width {width}, --slack {slack}: give both sides or none, slack from 0 on"
        )
    if recorder_version is not None and not recorder_version.replace(".", "").isdigit():
        known = ", ".join(GUI_SCALES)
        raise ValueError(
            f"--recorder_version {recorder_version!r} is no version such as 6.8; those that matter: {known}"
        )
    quirks = Quirks(recorder_version, release_stuck_attack, slot_keys, escape_is_inventory)
    size = None if height is None or width is None else (height, width)
    how = Import(quirks, null_actions == "drop", draw_pointer, size, resize, slack, crf)
    counts = {"done": 0, "passed_over": 0, "failed": 0, "frames": 0}
    pairs = pairs_of(recordings)
    check_no_inputs(out, (video for video, _ in pairs.values()), "contractors' recordings")
    with sole_writer(out), tqdm(pairs.items(), unit="recording", desc=out.name) as bar:
        for name, (video, lines) in bar:
            try:
                if is_imported(out, name, video, lines, how):
                    counts["passed_over"] += 1
                    continue
                counts["frames"] += import_one(video, lines, out, name, how)
                counts["done"] += 1
            except Exception as error:  # whatever is wrong with one recording is no reason to pass over the others
                if on_error == "raise" or concerns_all(error):
                    raise
                counts["failed"] += 1
                bar.write(f"passed over {video}: {reason(error)}")
    print(f"{out}: " + ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in counts.items()))
    if counts["failed"] and not counts["done"] and not counts["passed_over"]:
        raise ValueError(f"none of the {counts['failed']} recordings could be imported; the reasons stand above")
    return counts
