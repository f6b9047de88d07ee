"""The video of a recording, opened for reading."""

from __future__ import annotations

from racing_vpt.data.recording import Recording
from racing_vpt.video.decode import Decoder, Device, open_video
from racing_vpt.video.decoders import PictureFolder, Video


def open_recording(recording: Recording, decoder: Decoder = "auto", device: Device = "cpu") -> Video:
    """Open a recording's video; ValueError where it holds another number of frames than its meta file says."""
    if recording.video.is_dir():
        video: Video = PictureFolder(recording.video, recording.frames_per_second)
    else:
        video = open_video(recording.video, decoder, device)
    if video.num_frames != recording.num_frames:
        raise ValueError(
            f"{recording.video} holds {video.num_frames} frames, but {recording.num_frames} were recorded; "
            f"check it with: racing-vpt verify {recording.video.parent}"
        )
    return video
