"""`racing-vpt push`: a checkpoint, or a folder of data, to the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path


def push(
    run: str,
    to: str,
    *,
    scores: list[Path] | None = None,
    film: Path | None = None,
    card: Path | None = None,
    license: str | None = None,
    private: bool = False,
    message: str | None = None,
) -> str:
    """Publish a checkpoint, or a folder of shards, recordings or labels, on the Hugging Face Hub.

    Everything becomes one commit of hf:OWNER/NAME, which is created if it does not exist. It needs the extra [hub] and
    a token that may write there: hf auth login, or the variable HF_TOKEN. What others wrote there is not replaced.

    Args:
        run: a checkpoint: a run folder, a file, zoo:NAME; or a folder of data.
        to: hf:OWNER/NAME.
        scores: files with figures for the card: of drive --json FILE, or metrics.json of validate or test.
        film: mp4 shown on the card. Default: the newest film of the run folder.
        card: text of the card, in place of the generated one. Default: the README.md of a folder as in the zoo.
        license: the Hub's name of the licence, such as mit or cc-by-4.0.
        private: only the owner may read a repository that is created.
        message: of the commit.

    Returns:
        The name that is fetched with: hf:OWNER/NAME@COMMIT.
    """
    import tempfile

    from racing_vpt.files import require_regular
    from racing_vpt.hub.client import page_of, shown_endpoint
    from racing_vpt.hub.names import parse
    from racing_vpt.hub.upload import upload
    from racing_vpt.verbs.pushed import dataset_files, is_data, model_files

    for file in (*(scores or ()), film, card):
        if file is not None:
            require_regular(file)
    of_data = is_data(run)
    name = parse(to, "dataset" if of_data else "model")
    if of_data and (scores or film):
        raise ValueError(f"{run} is a folder of data, which has no --scores and no --film")
    with tempfile.TemporaryDirectory(prefix="racing-vpt-push-") as folder:
        if of_data:
            files, stale, said = dataset_files(name, Path(run), Path(folder), card, license)
        else:
            files, stale, said = model_files(name, run, Path(folder), scores or [], film, card, license)
        size = sum(file.stat().st_size for file in files.values()) / 2**20
        commit = upload(name, files, message or f"Push {said}", private, stale)
    print(f"{said}: {len(files)} files, {size:.1f} MiB at {shown_endpoint()}/{page_of(name)}")
    print(f"fetched with: {name.at(commit)}")
    return str(name.at(commit))
