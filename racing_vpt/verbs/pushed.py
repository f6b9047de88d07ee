"""What `racing-vpt push` writes to a repository: the files of a checkpoint or of a folder of data, and their card."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from racing_vpt.files import TEMPORARY, read_json, refuse_link_out
from racing_vpt.hub.card import FILM, CardFields, model_card, read_scores
from racing_vpt.hub.names import RepoName, is_hub, parse
from racing_vpt.hub.upload import CARD, TAG, without_front_matter

Pushed = tuple[dict[str, Path], re.Pattern | None, str]
"""Files by path in the repository, paths of earlier ones that go, and what it is in words."""
SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)  # of the Hub's size_categories
NAMES = ("1K", "10K", "100K", "1M", "10M")


def is_data(path: str) -> bool:
    """Whether a path is a folder of shards, recordings or labels, rather than a checkpoint."""
    folder = Path(path)
    if path.startswith("zoo:") or is_hub(path) or not folder.is_dir():
        return False
    if (folder / "checkpoints").is_dir() or (folder / "config.json").is_file():
        return False
    return (folder / "manifest.json").is_file() or any(True for _ in folder.rglob("*.meta.json"))


def model_files(
    name: RepoName, run: str, folder: Path, scores: Sequence[Path], film: Path | None, card: Path | None,
    license_name: str | None,
) -> Pushed:  # fmt: skip
    """Write a checkpoint's small folder and its card to `folder`; a film stays where it is."""
    from racing_vpt.checkpoints.folder import CONFIG, WEIGHTS
    from racing_vpt.checkpoints.load import ZOO, export_run, read_checkpoint

    path = ZOO / run.removeprefix("zoo:") if run.startswith("zoo:") else Path(run)
    home = _run_folder(path)
    film = film or (_newest_film(home) if home else None)
    if film is not None and film.suffix != ".mp4":
        raise ValueError(f"--film {film}: the Hub shows mp4; give such a file, as racing-vpt drive --video writes")
    checkpoint = read_checkpoint(run)
    kind, game = checkpoint.class_path.rsplit(".", 1)[-1], _game(checkpoint.init_args)
    figures = [score for file in scores for score in read_scores(file, kind, game)]
    text = card.read_text() if card else None
    if text is None and (path / CONFIG).is_file() and (path / CARD).is_file():
        text = (path / CARD).read_text()
    environment = _environment(home)
    given = environment.get("hub")
    used = [parse(pinned, "model") for pinned in given.values()] if isinstance(given, dict) else []
    written = export_run(run, folder, "")
    fields = CardFields(
        kind=kind,
        game=game,
        parameters=sum(tensor.numel() for tensor in written.state_dict.values()),
        fingerprint=written.fingerprint,
        license=license_name,
        base_models=[one.repo for one in used if one.kind == "model"],
        datasets=[one.repo for one in used if one.kind == "dataset"],
        command=_without_folders(str(environment.get("command") or "")),
        text=text,
        film=film is not None,
    )
    (folder / CARD).write_text(model_card(name, fields, figures))
    files = {file: folder / file for file in (WEIGHTS, CONFIG, CARD)}
    if film is not None:
        files[FILM] = film
    return files, None, f"{kind} {written.fingerprint}"


def dataset_files(name: RepoName, source: Path, folder: Path, card: Path | None, license_name: str | None) -> Pushed:
    """The files of shards, recordings or labels, and their card in `folder`."""
    from racing_vpt.data.hub_data import SUFFIXES
    from racing_vpt.data.overview import kind_of, label_metas
    from racing_vpt.data.recordings import find_recordings

    kind = kind_of(str(source))
    if kind == "shards":
        from racing_vpt.data.manifest import MANIFEST, read_manifest

        manifest = read_manifest(str(source))
        found = [source / shard["file"] for shard in manifest["shards"]] + [source / MANIFEST]
        frames = sum(split["frames"] for split in manifest["splits"].values())
        said = f"{len(manifest['episode_rates'])} episodes, {frames:,} frames"
    else:
        found = [file for file in sorted(source.rglob("*")) if file.is_file() and file.suffix.lower() in SUFFIXES]
        found = [file for file in found if TEMPORARY not in str(file) and file.name != CARD]
        if kind == "labels":
            counts = [read_json(meta).get("num_frames") for meta in label_metas(source)]
            counts = [count for count in counts if isinstance(count, int)]
        else:
            counts = [recording.num_frames for recording in find_recordings(source)]
        frames = sum(counts)
        said = f"{len(counts)} episodes, {frames:,} frames"
    for file in found:
        refuse_link_out(file, source)
    text = without_front_matter(card.read_text()) if card else _dataset_text(name, kind, said)
    fields: dict[str, object] = {"license": license_name, "tags": [TAG, kind], "size_categories": [_size(frames)]}
    if kind == "shards":
        splits = {"train": "train", "val": "validation"}
        there = [split for split in splits if split in manifest["splits"]]
        files_of = [{"split": splits[split], "path": f"{split}-*.tar"} for split in there]
        fields["configs"] = [{"config_name": "default", "data_files": files_of}]
    import yaml

    head = yaml.safe_dump({key: value for key, value in fields.items() if value}, sort_keys=False)
    (folder / CARD).write_text(f"---\n{head}---\n\n{text}")
    files = {str(PurePosixPath(file.relative_to(source))): file for file in found}
    stale = re.compile(r"(train|val)-\d+\.tar") if kind == "shards" else None
    return {**files, CARD: folder / CARD}, stale, f"{kind}, {said}"


def _dataset_text(name: RepoName, kind: str, said: str) -> str:
    from racing_vpt.hub.client import INSTALL

    title = name.repo.partition("/")[2]
    use = f"fit --config idm --data.train {name}" if kind == "shards" else f"inspect {name}"
    block = f"```sh\n{INSTALL}\nracing-vpt {use}\n```"
    return f"# {title}\n\n{kind.capitalize()} of racing-vpt: {said}.\n\n## Use\n\n{block}\n"


def _size(count: int) -> str:
    """The Hub's category of a number of samples."""
    for number, (limit, label) in enumerate(zip(SIZES, NAMES, strict=True)):
        if count < limit:
            return f"n<{label}" if number == 0 else f"{NAMES[number - 1]}<n<{label}"
    return f"n>{NAMES[-1]}"


def _run_folder(path: Path) -> Path | None:
    """The run folder that a path is or lies in."""
    if (path / "checkpoints").is_dir():
        return path
    return path.parent.parent if path.parent.name == "checkpoints" else None


def _newest_film(run: Path) -> Path | None:
    films = [
        path for path in (run / "media").rglob("*.mp4") if path.is_file() and not path.with_suffix(".jsonl").exists()
    ]
    return max(films, key=lambda film: film.stat().st_mtime, default=None)


def _environment(run: Path | None) -> dict:
    with suppress(OSError, ValueError):
        return read_json(run / "environment.json") if run else {}
    return {}


def _without_folders(command: str) -> str:
    """A command line in which absolute paths are shortened to their last part: a card says nothing of a machine."""
    words = [re.sub(r"(^|=)/\S*/", r"\1", word) for word in shlex.split(command)] if command else []
    return shlex.join(words)


def _game(init_args: dict) -> str | None:
    game = init_args.get("game")
    return str(game["name"]) if isinstance(game, dict) and "name" in game else game if isinstance(game, str) else None
