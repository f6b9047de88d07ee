"""Files of an exported episode, listed by a NAME.meta.json beside them, by which a later run knows its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from racing_vpt.exchange.outgoing import Outgoing
from racing_vpt.files import Draft, DraftFolder, json_text, plain_name, publish_together, read_json


@dataclass(frozen=True)
class EpisodeFiles:
    """Files of each episode in a folder.

    Args:
        out: the folder.
        kind: format, as the meta files name it.
        options: options that the content depends on, JSON values.
    """

    out: Path
    kind: str
    options: Mapping[str, object]

    def is_done(self, episode: Outgoing) -> bool:
        """Whether this content was exported before in the same way."""
        meta_file = self._meta_file(episode.name)
        return meta_file.is_file() and read_json(meta_file).get("export") == self._origin(episode)

    def write(
        self,
        episode: Outgoing,
        drafts: Sequence[Draft | DraftFolder],
        fill: Callable[[], object],
        more: Mapping[str, object] | None = None,
    ) -> None:
        """Fill and publish the files of an episode together; those of an earlier export give way, but no folder.

        Args:
            episode: the episode.
            drafts: its files, of which `fill` writes the content.
            fill: writes them.
            more: further fields of the meta file.

        Raises:
            FileExistsError: a file of one of the names is not an earlier export.
        """
        with ExitStack() as stack:
            for draft in drafts:
                stack.callback(draft.discard)
            meta = Draft(self._meta_file(episode.name))
            stack.callback(meta.discard)
            fill()
            about = {
                "kind": self.kind,
                "name": episode.name,
                "frames_per_second": episode.frames_per_second,
                "num_frames": episode.num_frames,
                "files": [draft.path.name for draft in drafts],
                **episode.about,
                **(more or {}),
                "export": self._origin(episode),
            }
            meta.temporary.write_text(json_text(about))
            publish_together([*drafts, meta], self._earlier(episode.name))

    def _meta_file(self, name: str) -> Path:
        return self.out / f"{name}.meta.json"

    def _origin(self, episode: Outgoing) -> dict[str, object]:
        return {**episode.origin, **self.options}

    def _earlier(self, name: str) -> Sequence[Path]:
        """Files of an earlier export of this episode, which give way."""
        meta_file = self._meta_file(name)
        meta = read_json(meta_file) if meta_file.is_file() else {}
        files = meta.get("files") if meta.get("kind") == self.kind else None
        if not isinstance(files, list):
            return []
        listed = [self.out / file for file in files if plain_name(file) and _belongs(file, name)]
        return [*(file for file in listed if file.is_file()), meta_file]


class FileExporter:
    """What exporters share whose episodes have files of their own, so that nothing is left between two of them."""

    @property
    def _files(self) -> EpisodeFiles:
        raise NotImplementedError

    def begin(self) -> None:
        """Nothing is read before the first episode."""

    def is_done(self, episode: Outgoing) -> bool:
        """Whether this content was exported before in the same way."""
        return self._files.is_done(episode)

    def close(self) -> None:
        """Nothing is left to write."""

    def abort(self) -> None:
        """Nothing is unfinished between two episodes."""


def _belongs(file: str, name: str) -> bool:
    """Whether a file is named after an episode: NAME.mp4, NAME_frames.npy."""
    return Path(file).stem == name or file.startswith(f"{name}_")
