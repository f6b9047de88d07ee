"""Options of single formats, and the names of the formats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from racing_vpt.types import Resize

ImportFormat = Literal["arrays", "contractor", "lerobot", "table"]
ExportFormat = Literal["arrays", "contractor", "lerobot", "mcap", "minari", "table"]
Rows = Literal["csv", "jsonl", "parquet"]


@dataclass(frozen=True)
class ContractorOptions:
    """Options of OpenAI's contractor recordings of Minecraft.

    Args:
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
    """

    null_actions: Literal["keep", "drop"] = "keep"
    draw_pointer: bool = True
    recorder_version: str | None = None
    release_stuck_attack: bool = True
    slot_keys: bool = True
    escape_is_inventory: bool = True
    height: int | None = None
    width: int | None = None
    resize: Resize = "linear"
    slack: int = 20
    crf: int = 14

    def __post_init__(self) -> None:
        if (self.height is None) != (self.width is None) or min(self.height or 1, self.width or 1) < 1:
            raise ValueError(
                f"--contractor.height {self.height}, --contractor.width {self.width}: give both sides or none"
            )
        if self.slack < 0:
            raise ValueError(f"--contractor.slack {self.slack}: expected a number of frames from 0 on")


@dataclass(frozen=True)
class ColumnMapping:
    """Where controls stand among the columns of a foreign format.

    Args:
        columns: column of each control, such as `{steering: wheel_angle}`; also of `reward`, `first`, `confidence`,
            `timestamp` and `image`. Default: columns that are named so, or `action.NAME`.
        scale: factor on a column's numbers by control, such as `{steering: 0.0111}` for a wheel that turns 90 degrees.
    """

    columns: dict[str, str] | None = None
    scale: dict[str, float] | None = None
