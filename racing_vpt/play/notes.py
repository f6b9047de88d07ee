"""Short messages drawn over the picture."""

from __future__ import annotations

from collections.abc import Sequence

from racing_vpt.types import Frame
from racing_vpt.window.text import TEXT, Colour
from racing_vpt.window.window import pill

SECONDS = 4.0  # a note is shown for
ROW = 34  # pixels between messages
Message = tuple[str, Colour]


class Notes:
    """A note that disappears after a while.

    Args:
        frames_per_second: rate at which pictures are drawn.
    """

    def __init__(self, frames_per_second: float) -> None:
        self.text, self.pictures_left = "", 0
        self.pictures = round(SECONDS * frames_per_second)

    def say(self, text: str) -> None:
        """Show a note from now on."""
        self.text, self.pictures_left = text, self.pictures

    def draw(self, picture: Frame, width: int, standing: Sequence[Message] = ()) -> None:
        """Draw the current note and permanent messages into the first `width` columns."""
        self.pictures_left -= 1
        notes = [(self.text, TEXT)] if self.pictures_left >= 0 and self.text else []
        for number, (text, colour) in enumerate([*notes, *standing]):
            pill(picture, text, (width // 2, 12 + ROW * number), colour)
