"""`racing-vpt iris-experiments`: tokenizers and world models that differ in one setting, trained alike and measured.

The ablations are other losses of the tokenizer, a pretrained tokenizer, a pretrained transformer as the world model,
and other architectures.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

BEFORE_RIVAL = 0.2  # share of a training after which the discriminator has a say


class Row(NamedTuple):
    """One training: its name in the table, its file in `configs/iris/STAGE`, and further options."""

    name: str
    choice: str | None = None
    words: tuple[str, ...] = ()


def iris_experiments(
    recordings: str = "data/shards/rollouts",
    out: Path = Path("runs/iris-experiments"),
    steps: int = 3000,
    clips: int = 256,
    size: str = "tiny",
    tokenizer: str | None = None,
    world: str | None = None,
    language_model: Path | None = None,
    rows: list[str] | None = None,
    seed: int = 0,
) -> dict[str, dict]:
    """Train each row alike, measure it on held-out episodes, and write a table. Rows that are done are kept.

    Args:
        recordings: shards; measured on their split `val`.
        out: folder for the runs, table.md and table.json.
        steps: training steps per row.
        clips: held-out clips for the measurement.
        size: size of all networks, `tiny` or `paper`.
        tokenizer: a tokenizer trained on other data, for the row of a pretrained one. None: without that row.
        world: a world model trained on other tracks or another game, for the row that starts from it. None: without.
        language_model: folder of a causal language model, for the row of its blocks. None: without.
        rows: names of rows. Default: all.
        seed: seed of all trainings.

    Returns:
        Figures by row: mean and 95% interval over frames or clips.
    """
    import json

    from racing_vpt.files import write_json, write_text
    from racing_vpt.outputs import check_own_report, sole_writer
    from racing_vpt.studies.world_measures import measure_eye, measure_world

    eyes = [Row("l1-perceptual"), *(Row(name, name) for name in ("l1", "l2", "fsq"))]
    eyes.append(Row("adversarial", "adversarial", (f"--model.adversarial.start_step={int(BEFORE_RIVAL * steps)}",)))
    if tokenizer is not None:
        eyes.append(Row("pretrained-frozen", "pretrained", (f"--model.init_from={tokenizer}",)))
        eyes.append(Row("pretrained", None, (f"--model.init_from={tokenizer}",)))
    worlds = [Row("gpt"), *(Row(name, name) for name in ("frame", "mdn-rnn", "absolute", "sign"))]
    if world is not None:
        worlds.append(Row("gpt-pretrained", None, (f"--model.init_from={world}",)))
    if language_model is not None:
        words = (f"--model.world.pretrained={language_model}", f"--model.tokenizer.size={size}")
        worlds.append(Row("language-model", "pretrained", words))
    known = [row.name for row in (*eyes, *worlds)]
    if unknown := sorted({*(rows or [])} - {*known}):
        raise ValueError(f"there are no rows {', '.join(unknown)}; there are {', '.join(known)}")
    file = out / "table.json"
    check_own_report(file, "stage")
    eye = out / "tokenizer" / eyes[0].name
    common = [
        f"--runs={out}",
        f"--trainer.max_steps={steps}",
        f"--seed_everything={seed}",
        f"--data.loading.seed={seed}",
    ]
    common += [f"--data.train={recordings}", f"--data.val={recordings}", f"--data.reading.codes={out / 'codes'}"]
    with sole_writer(out):
        found: dict[str, dict] = json.loads(file.read_text()) if file.is_file() else {}
        for stage, measure, each in (("tokenizer", measure_eye, eyes), ("token_world", measure_world, worlds)):
            for row in each:
                needed = row is eyes[0] and any(x.name in (rows or known) for x in worlds)  # whose tokens they learn
                if row.name in found or (rows is not None and row.name not in rows and not needed):
                    continue
                more = [f"--model.init_tokenizer={eye}"] if stage == "token_world" else []
                run = train(stage, row, size, out, [*common, *more])
                found[row.name] = {"stage": stage, "steps": steps, "seed": seed, **measure(run, recordings, clips)}
                write_json(file, found)
                write_text(out / "table.md", table(found))
    print(table(found))
    return found


def train(stage: str, row: Row, size: str, out: Path, words: list[str]) -> Path:
    """Train a row or continue it, and return its run folder; ValueError if `fit` fails."""
    from racing_vpt.cli.main import main

    files = ["base", f"iris/{stage}", *([f"iris/{stage}/{size}"] if size != "paper" else [])]
    files += [f"iris/{stage}/{row.choice}"] if row.choice else []
    given = [word for name in files for word in ("--config", name)]
    run = out / stage.replace("_", "") / row.name
    go_on = ["--ckpt_path=last"] if (run / "checkpoints" / "last.ckpt").is_file() else []
    if main(["fit", *given, *words, *row.words, f"--name={row.name}", *go_on]):
        raise ValueError(f"row {row.name} could not be trained; what was wrong is said above")
    return run


def table(found: dict[str, dict]) -> str:
    """Markdown: one table per stage."""
    lines: list[str] = []
    for stage, shown in (
        ("tokenizer", ("psnr", "codebook_use", "codebook_perplexity", "frames_per_second")),
        (
            "token_world",
            ("token_ce", "psnr_7", "psnr_gain_7", "psnr_gain_20", "action_sensitivity", "frames_per_second"),
        ),
    ):
        rows = {name: row for name, row in found.items() if row["stage"] == stage}
        if rows:
            lines += [f"| {stage} | {' | '.join(shown)} |", "|---" * (len(shown) + 1) + "|"]
            lines += [f"| {name} | {' | '.join(cell(row[column]) for column in shown)} |" for name, row in rows.items()]
            lines.append("")
    return "\n".join(lines)


def cell(value: float | list[float]) -> str:
    """A figure, with its interval if it has one."""
    if isinstance(value, list):
        mean, low, high = value
        return f"{mean:.2f} ({low:.2f} to {high:.2f})"
    return f"{value:.0%}" if value <= 1 else f"{value:,.0f}"
