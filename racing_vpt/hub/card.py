"""Model cards as the Hub reads them: YAML at the top, with scores in its own fields (`model-index`), then the text."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from racing_vpt.files import read_json
from racing_vpt.hub.client import INSTALL, library, page_of, shown_endpoint
from racing_vpt.hub.names import RepoName
from racing_vpt.hub.upload import TAG, without_front_matter

FILM = "replay.mp4"  # the name by which the Hub shows a film beside the card of a reinforcement learning model
TASKS = {"VPT": "reinforcement-learning", "DQN": "reinforcement-learning", "IRIS": "reinforcement-learning",
         "Controller": "reinforcement-learning", "IDM": "video-classification",
         "TimedIDM": "video-classification"}  # fmt: skip
USES = {"VPT": "drive --checkpoint", "DQN": "drive --checkpoint", "IRIS": "play", "Controller": "drive --checkpoint",
        "TokenWorld": "play --world_model",
        "IDM": "predict --config label --data.videos FOLDER --out LABELS --ckpt_path",
        "TimedIDM": "predict --config label --data.videos FOLDER --out LABELS --ckpt_path"}  # fmt: skip


@dataclass(frozen=True)
class Score:
    """A measured figure.

    Args:
        task: the Hub's name of the task.
        data: what it was measured on.
        metric: the Hub's name of the metric.
        name: the metric in words.
        value: the figure.
        about: more about it: interval, seeds.
    """

    task: str
    data: str
    metric: str
    name: str
    value: float
    about: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class CardFields:
    """What a card says.

    Args:
        kind: class of the module, such as VPT.
        game: name of its game; None if it has none.
        parameters: number of its weights.
        fingerprint: 16 hexadecimal digits that identify them.
        license: the Hub's name of a licence; None: not given.
        base_models: repositories that training started from.
        datasets: repositories that it learned from.
        command: command line of the training; empty if unknown.
        text: text in place of the generated one.
        film: whether there is a film.
    """

    kind: str
    game: str | None
    parameters: int
    fingerprint: str
    license: str | None = None
    base_models: Sequence[str] = ()
    datasets: Sequence[str] = ()
    command: str = ""
    text: str | None = None
    film: bool = False


def read_scores(path: Path, kind: str, game: str | None) -> list[Score]:
    """Figures of a file that `drive --json`, `validate` or `test` wrote; ValueError if it is none."""
    report = read_json(path)
    if {"env", "mean", "ci95", "seeds", "returns"} <= report.keys():
        return _of_drive(report, path)
    task, figures = TASKS.get(kind, "other"), []
    for name, value in report.items():
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and "/" in name:
            split = "test data" if name.startswith("test/") else "validation data"
            figures.append(Score(task, f"{game or 'its game'}, {split}", name.partition("/")[2], name, float(value)))
    if not figures:
        raise ValueError(
            f"{path} holds no scores; give a file that was written by racing-vpt drive --json FILE, or metrics.json of "
            "racing-vpt validate or test"
        )
    return figures


def _of_drive(report: dict, path: Path) -> list[Score]:
    if report.get("complete") is not True:
        raise ValueError(f"{path} is of a drive that was not finished; drive all of its seeds first")
    numbers = report["seeds"]
    about: dict[str, object] = {
        "episodes": len(numbers),
        "seeds": f"{min(numbers)} to {max(numbers)}",
        **({"interval_95": list(report["ci95"])} if len(numbers) > 1 else {}),
        "actions": "sampled" if "--sample" in report.get("command", []) else "greedy",
    }
    shortened = re.search(r"--max_frames[ =](\d+)", " ".join(map(str, report.get("command", []))))
    if shortened:
        about["max_frames"] = int(shortened[1])  # such a return does not compare with that of whole episodes
    task, env = "reinforcement-learning", report["env"]
    scores = [Score(task, env, "mean_reward", "mean return", report["mean"], about)]
    scores.append(Score(task, env, "median_reward", "median return", report["median"], {"episodes": len(numbers)}))
    if report.get("laps_finished"):
        share = report["laps_finished"] / len(numbers)
        scores.append(Score(task, env, "laps_finished", "share of laps finished", share, {"episodes": len(numbers)}))
    return scores


def model_card(name: RepoName, fields: CardFields, scores: Sequence[Score]) -> str:
    """The card of a model: README.md of its repository."""
    hub = library()
    results = [
        hub.EvalResult(
            task_type=score.task, dataset_type=score.data, dataset_name=score.data, metric_type=score.metric,
            metric_value=score.value, metric_name=score.name, metric_args=score.about or None,
        )
        for score in scores
    ]  # fmt: skip
    title = name.repo.partition("/")[2]
    data = hub.ModelCardData(
        license=fields.license,
        library_name=TAG,
        pipeline_tag=TASKS.get(fields.kind),
        tags=[TAG, fields.kind.lower(), *([fields.game] if fields.game else [])],
        base_model=list(fields.base_models) or None,
        datasets=list(fields.datasets) or None,
        model_name=title if results else None,
        eval_results=results or None,
    )
    parts = [f"---\n{data.to_yaml()}\n---\n"]
    parts.append(_of_elsewhere(fields.text) if fields.text is not None else _text(title, fields))
    if fields.film:
        address = f"{shown_endpoint()}/{page_of(name)}/resolve/main/{FILM}"
        parts.append(f'## Film\n\n<video controls src="{address}"></video>\n\n[{FILM}]({FILM})\n')
    parts.append(_use(name, fields.kind))
    if scores and fields.text is None:
        parts.append(_table(scores))
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _of_elsewhere(text: str) -> str:
    """A card written for another place: without YAML, and without links to files that are not beside it."""
    return re.sub(r"\[([^\]]*)\]\(\.\./[^)]*\)", r"\1", without_front_matter(text))


def _text(title: str, fields: CardFields) -> str:
    lines = [f"# {title}", "", f"- **Model**: `{fields.kind}` of racing-vpt, {fields.parameters:,} weights."]
    if fields.game:
        lines.append(f"- **Game**: {fields.game}.")
    lines.append(f"- **Fingerprint of the weights**: `{fields.fingerprint}`.")
    if fields.base_models:
        lines.append(f"- **Started from**: {', '.join(fields.base_models)}.")
    if fields.datasets:
        lines.append(f"- **Data**: {', '.join(fields.datasets)}.")
    if fields.command:
        lines.append(f"- **Trained with**: `{fields.command}`")
    return "\n".join(lines) + "\n"


def _use(name: RepoName, kind: str) -> str:
    use = USES.get(kind, "verify")
    return f"## Use\n\n```sh\n{INSTALL}\nracing-vpt {use} {name}\n```\n"


def _table(scores: Sequence[Score]) -> str:
    rows = ["## Scores", "", "| measured on | what | figure |", "|---|---|---|"]
    for score in scores:
        about = "".join(f", {key.replace('_', ' ')} {value}" for key, value in score.about.items())
        rows.append(f"| {score.data} | {score.name}{about} | {score.value:.4g} |")
    return "\n".join(rows) + "\n"
