"""`racing-vpt inspect`: what is in recordings, labels or shards, as text and one picture."""

from __future__ import annotations

from pathlib import Path


def inspect_data(
    path: str, *, out: Path = Path("inspect.png"), game: str | None = None, truth: Path | None = None
) -> None:
    """Show what is in recordings, labels or shards: counts, lengths, how controls are used, how sure an IDM was.

    With --game also which classes of each control are used, which episodes are not of that game, and sample frames as
    its models see them. With --truth also how far labels agree with what was really done.

    Args:
        path: folder of recordings, labels or shards, a URL of shards, or a single recording or video.
        out: picture to write: histograms and strips of sample frames.
        game: name or YAML file of the game. With --truth the default is carracing.
        truth: folder of the true controls of labelled videos: recordings, or what `collect --video_only` writes; pairs
            are found by the video's sha256.

    Raises:
        FileNotFoundError: `truth` was given, but no labels in `path` have a true counterpart there.
    """
    from racing_vpt.data.overview import survey
    from racing_vpt.frames import prepare
    from racing_vpt.games.read import load_game
    from racing_vpt.outputs import sole_writer_of
    from racing_vpt.play.overview_picture import write_overview
    from racing_vpt.play.picture_file import check_own_picture
    from racing_vpt.studies.overview_text import as_of_game, beside_truth, describe, joined

    asked = None if game is None else load_game(game)
    check_own_picture(out)
    overview = survey(path)
    print(describe(path, overview))
    if asked is not None:
        print(as_of_game(overview, asked))
        strips = overview.strips
        overview.strips = [(caption, prepare(frames, asked.frames), columns) for caption, frames, columns in strips]
    if truth is not None:
        print(beside_truth(Path(path), truth, asked or load_game("carracing")))
    with sole_writer_of(out):
        write_overview(overview, joined(overview), out)
    print(f"picture: {out}")
