"""Whether the controls of recordings are shifted in time against the picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from racing_vpt.data.recordings import find_recordings
from racing_vpt.models.label_shift import shift_fits, shift_of
from racing_vpt.studies.labelling import label_recording, load_idm

UNLIKE = 0.5  # likeness below which the model's labels of a recording are not used


def find_shifts(checkpoint: str, folder: Path) -> Iterator[str]:
    """A line for each recording with controls, and one for all of them together.

    Args:
        checkpoint: inverse dynamics model of the recordings' game.
        folder: of recordings, or one of them.

    Raises:
        ValueError: no recording has the controls of the model's game.
    """
    module, fits, rates = load_idm(checkpoint), [], []
    wanted = {*module.scheme.controls}
    for recording in find_recordings(folder):
        if not recording.has_actions:
            yield f"{recording.video}: no controls"
            continue
        columns = recording.controls()
        if missing := sorted(wanted - {*columns}):
            yield f"{recording.video}: no {', '.join(missing)}, which the model labels"
            continue
        labelled = label_recording(module, recording)
        if labelled.likeness is not None and labelled.likeness < UNLIKE:
            yield (
                f"{recording.video}: cannot tell whether the controls are shifted: the video is unlike the model's "
                f"training data (likeness {labelled.likeness:.2f} of 1)"
            )
            continue
        controls = {name: torch.from_numpy(np.asarray(columns[name], np.float32)) for name in wanted}
        rate = recording.frames_per_second
        fits.append(shift_fits(module.scheme, labelled.probabilities, controls, module.stops, round(rate)))
        rates.append(rate)
        yield f"{recording.video}: {shift_of(fits[-1:]).sentence(rate)}"
    if len({*rates}) > 1:
        yield "recordings of different rates are not judged together"
    elif len(fits) > 1:
        yield f"{len(fits)} recordings together: {shift_of(fits).sentence(rates[0])}"
