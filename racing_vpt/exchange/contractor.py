"""OpenAI's contractor recordings of Minecraft: keys and mouse of each frame as controls, and a drawn pointer.

VPT, Baker et al. 2022 (arXiv:2206.11795), appendix C. The public data is an mp4 with 20 frames per second and a jsonl
with the state of keyboard and mouse, one line per frame. Its quirks, which are corrected here:
- the mouse counts in units of 0.15 degrees (in other units in a GUI, for some versions of the recorder), and jumps by
  more than half a turn when a GUI opens or closes;
- attack can be stuck from the first frame on, until it is first pressed;
- the scroll wheel is not recorded, but the selected slot is: a change counts as pressing the slot's key;
- escape closes a GUI, for which VPT's policies use `inventory`;
- the pointer is missing from the picture, without which no policy can act in a GUI; MineRL draws one.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import TypedDict

import cv2
import numpy as np

from racing_vpt.files import open_regular
from racing_vpt.games.minecraft import BUTTONS
from racing_vpt.types import Controls, Frame

FRAMES_PER_SECOND = 20.0
DEGREES = 360 / 2400  # camera degrees per mouse unit
LARGEST_TURN = 180.0  # degrees per frame; more is a jump of the pointer
WINDOW_ROWS = 720  # size of the recorded window, which pointer positions refer to
GUI_SCALES = {"5.7": 0.5, "5.8": 0.5, "6.7": 2.0, "6.8": 2.0, "6.9": 2.0}  # on the mouse, by recorder version; else 1
KEYS = {
    **{"w": "forward", "s": "back", "a": "left", "d": "right", "space": "jump", "left.shift": "sneak"},
    **{"left.control": "sprint", "q": "drop", "e": "inventory"},
    **{str(slot): f"hotbar.{slot}" for slot in range(1, 10)},
}
KEY_PREFIX = "key.keyboard."
MOUSE_BUTTONS = {0: "attack", 1: "use"}
ARROW = np.array([(0, 0), (0, 13), (3, 10), (6, 15), (8, 14), (5, 9), (10, 9)])  # outline of the pointer, pixels
ARROW_SIZE = (17, 12)


class MouseState(TypedDict):
    """Mouse fields of a line."""

    x: float
    y: float
    dx: float
    dy: float
    buttons: list[int]
    newButtons: list[int]


@dataclass(frozen=True)
class ContractorFrame:
    """A decoded line.

    Args:
        controls: controls of scheme `minecraft`.
        pointer: x and y in the recorded window of 720 rows while a GUI is open; else None.
    """

    controls: Controls
    pointer: tuple[float, float] | None


@dataclass(frozen=True)
class Quirks:
    """Quirks to correct.

    Args:
        recorder_version: such as 6.8; determines the mouse's unit in a GUI. None: as elsewhere.
        release_stuck_attack: ignore an attack that is down from the first frame on, until it is first pressed.
        slot_keys: press the slot's key when the selected slot changes.
        escape_is_inventory: escape in a GUI counts as the key that closes it.
    """

    recorder_version: str | None = None
    release_stuck_attack: bool = True
    slot_keys: bool = True
    escape_is_inventory: bool = True

    @property
    def gui_scale(self) -> float:
        return GUI_SCALES.get(self.recorder_version or "", 1.0)


def read_contractor(path: Path, quirks: Quirks = Quirks()) -> list[ContractorFrame]:
    """All lines of a contractor's jsonl.

    Raises:
        ValueError: a line is not JSON, or lacks keyboard or mouse; the message names file and line.
    """
    frames: list[ContractorFrame] = []
    stuck, slot = False, None
    with TextIOWrapper(open_regular(path), "utf-8") as file:
        for number, text in enumerate(file, 1):
            if not text.strip():
                continue
            where = f"{path}, line {number}"
            line, mouse, keys = _parse(text, where)
            if not frames:
                stuck = quirks.release_stuck_attack and list(mouse["newButtons"]) == [0]
            elif 0 in mouse["newButtons"]:
                stuck = False
            in_gui = bool(line.get("isGuiOpen", False))
            pressed = {KEYS[key] for key in keys if key in KEYS}
            pressed |= {MOUSE_BUTTONS[button] for button in mouse["buttons"] if button in MOUSE_BUTTONS}
            if stuck:
                pressed.discard("attack")
            if quirks.escape_is_inventory and in_gui and "escape" in keys:
                pressed.add("inventory")
            if quirks.slot_keys and slot is not None and line.get("hotbar", slot) != slot:
                pressed.add(f"hotbar.{int(line['hotbar']) + 1}")
            slot = line.get("hotbar", slot)
            turn = _turn(mouse, quirks.gui_scale if in_gui else 1.0)
            controls = {name: float(name in pressed) for name in BUTTONS} | turn
            frames.append(ContractorFrame(controls, (mouse["x"], mouse["y"]) if in_gui else None))
    if not frames:
        raise ValueError(f"{path} is empty; a contractor's recording has one line with keyboard and mouse per frame")
    return frames


def draw_pointer(frame: Frame, pointer: tuple[float, float]) -> Frame:
    """A copy of the frame with a white arrow of 16 pixels with its tip at the pointer, clipped at the edges."""
    scale = frame.shape[0] / WINDOW_ROWS
    x, y = round(pointer[0] * scale), round(pointer[1] * scale)
    canvas = cv2.copyMakeBorder(frame, 0, ARROW_SIZE[0], 0, ARROW_SIZE[1], cv2.BORDER_REPLICATE)
    if 0 <= x < frame.shape[1] and 0 <= y < frame.shape[0]:
        outline = (ARROW + np.array([x, y])).astype(np.int32)
        cv2.fillPoly(canvas, [outline], (255, 255, 255))
        cv2.polylines(canvas, [outline], True, (0, 0, 0), 1)
    return np.ascontiguousarray(canvas[: frame.shape[0], : frame.shape[1]])


def _turn(mouse: MouseState, scale: float) -> Controls:
    """Degrees of the camera; 0 for a jump of the pointer."""
    pitch, yaw = mouse["dy"] * DEGREES * scale, mouse["dx"] * DEGREES * scale
    jumps = max(abs(pitch), abs(yaw)) > LARGEST_TURN
    return {"camera_pitch": 0.0 if jumps else pitch, "camera_yaw": 0.0 if jumps else yaw}


def _parse(text: str, where: str) -> tuple[dict, MouseState, set[str]]:
    try:
        line = json.loads(text)
        keys = {str(key).removeprefix(KEY_PREFIX) for key in line["keyboard"]["keys"]}
        given = line["mouse"]
        mouse: MouseState = {
            "x": float(given.get("x", 0)),
            "y": float(given.get("y", 0)),
            "dx": float(given["dx"]),
            "dy": float(given["dy"]),
            "buttons": [int(button) for button in given["buttons"]],
            "newButtons": [int(button) for button in given.get("newButtons", [])],
        }
        finite = all(math.isfinite(mouse[name]) for name in ("x", "y", "dx", "dy"))
        slot = int(line.get("hotbar", 0))
    except (json.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{where}: no line of a contractor's recording, which has keyboard.keys, mouse.dx, mouse.dy and "
            f"mouse.buttons ({error!r}): {text.strip()[:80]!r}"
        ) from error
    if not finite or not 0 <= slot <= 8:
        raise ValueError(f"{where}: mouse {given} and hotbar {slot}; finite numbers and a slot of 0 to 8 were expected")
    return line, mouse, keys
