"""Export of Minecraft's controls as OpenAI's contractor recordings: NAME.mp4, and NAME.jsonl with keys and mouse.

What the format has no place for (rewards, confidence) is left out; what a recording does not know (whether a GUI was
open, where the pointer was) is written as in play: no GUI, the pointer in the middle.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from racing_vpt.data.columns import Columns
from racing_vpt.exchange.contractor import DEGREES, FRAMES_PER_SECOND, KEY_PREFIX, KEYS, MOUSE_BUTTONS
from racing_vpt.exchange.episode_files import EpisodeFiles, FileExporter
from racing_vpt.exchange.footage import save_video
from racing_vpt.exchange.outgoing import Outgoing
from racing_vpt.files import Draft
from racing_vpt.games.minecraft import BUTTONS, CAMERA

KIND = "contractor"  # in the meta file of what is exported
KEY_OF = {control: KEY_PREFIX + key for key, control in KEYS.items()}
MIDDLE = {"x": 640.0, "y": 360.0}  # of a window of 1280x720 pixels


@dataclass(frozen=True)
class ContractorExport(FileExporter):
    """Writes NAME.mp4, NAME.jsonl and NAME.meta.json (`exporting.Exporter`).

    Args:
        out: folder to write.
        crf: quality of videos that have to be encoded again.
    """

    out: Path
    crf: int

    @property
    def _files(self) -> EpisodeFiles:
        return EpisodeFiles(self.out, KIND, {"crf": self.crf})

    def write(self, episode: Outgoing) -> str:
        """Write an episode; returns what was changed.

        Raises:
            FileExistsError: a file of one of the names is not an earlier export.
            ValueError: it has not Minecraft's controls, or another rate.
        """
        columns, footage = episode.columns(), episode.footage()
        columns.check(footage.num_frames)
        lacking = [name for name in (*BUTTONS, *CAMERA) if name not in columns.controls]
        if lacking:
            raise ValueError(
                f"{episode.name} has no {lacking[0]}: contractor recordings have Minecraft's 22 controls; export "
                "others with: --format table"
            )
        if episode.times() is not None or abs(episode.frames_per_second - FRAMES_PER_SECOND) > 0.5:
            raise ValueError(
                f"{episode.name} has {episode.frames_per_second:g} frames/s; a contractor's recording has "
                f"{FRAMES_PER_SECOND:g}, evenly; make it so with: racing-vpt renditions"
            )
        video, lines = (Draft(self.out / f"{episode.name}{suffix}") for suffix in (".mp4", ".jsonl"))
        kept = True

        def fill() -> None:
            nonlocal kept
            kept = save_video(footage, video.temporary, FRAMES_PER_SECOND, self.crf)
            with lines.temporary.open("w") as file:
                for line in lines_of(columns):
                    file.write(json.dumps(line) + "\n")

        self._files.write(episode, [lines, video], fill)
        changes = [] if kept else [f"its video is encoded again, at crf {self.crf}"]
        left = [name for name in ("reward", "confidence") if getattr(columns, name) is not None]
        left += [name for name in columns.controls if name not in (*BUTTONS, *CAMERA)]
        changes += [f"left out, as the format has no place for them: {', '.join(left)}"] if left else []
        return "; ".join(changes)


def lines_of(columns: Columns) -> Iterator[dict[str, object]]:
    """What the recorder would have written for each frame of Minecraft's controls."""
    keys_before, buttons_before, slot = set[str](), set[int](), 0
    for index in range(len(columns)):
        values = {name: float(str(column[index])) for name, column in columns.controls.items()}
        keys = {key for control, key in KEY_OF.items() if values[control] != 0}
        buttons = {number for number, control in MOUSE_BUTTONS.items() if values[control] != 0}
        chosen = [number for number in range(9) if values[f"hotbar.{number + 1}"] != 0]
        slot = chosen[-1] if chosen and slot not in chosen else slot
        mouse = {
            **MIDDLE,
            "dx": values["camera_yaw"] / DEGREES,
            "dy": values["camera_pitch"] / DEGREES,
            "scaledX": 0.0,
            "scaledY": 0.0,
            "dwheel": 0.0,
            "buttons": sorted(buttons),
            # none in the first frame: there it would say that the button is stuck
            "newButtons": sorted(buttons - buttons_before) if index else [],
        }
        keyboard = {"keys": sorted(keys), "newKeys": sorted(keys - keys_before), "chars": ""}
        state = {"isGuiOpen": False, "isGuiInventory": False, "hotbar": slot, "tick": index}
        yield {"mouse": mouse, "keyboard": keyboard, **state}
        keys_before, buttons_before = keys, buttons
