"""Help of the stages: one screen each with the main options first; `--help all` lists every option.

The text is written by hand, so that it is shown without loading torch and in a useful order. A test parses all of its
commands and looks up all of its options.
"""

from __future__ import annotations

import textwrap

from racing_vpt.cli.configs import BASE, config_names

FIT = """usage: racing-vpt fit --config NAME [--name RUN] [--option value ...]

Train a model. Everything of a run lies in one folder, runs/MODEL/RUN.

  racing-vpt fit --config idm --name mine --data.train data/shards/labelled
  racing-vpt fit --config vpt --name mine --data.train data/shards/watched --trainer.max_steps 3000
  racing-vpt fit --config idm --name mine --ckpt_path last                  # go on with a run that was stopped

what
  --config NAME           a recipe, or a path to a YAML file; what is given later wins. Recipes:
                          {names}
  --name RUN              name of the run folder (default)
  --runs FOLDER           folder of all runs (runs)
  --ckpt_path last        resume this run; or a training checkpoint or run folder of the same configuration
  --model.init_from X     start from the weights of X (a run folder, a file or zoo:NAME) with a new training

data
  --data.train FOLDER     shards of `racing-vpt pack`, or a folder of recordings
  --data.val FOLDER       the same for validation (the held-out episodes of --data.train)
  --data.batch_size N     clips, pairs of frames or segments in a batch

length and machine
  --trainer.max_steps N             training steps
  --trainer.val_check_interval N    steps from one validation to the next
  --trainer.accelerator cpu|gpu     (auto)
  --model.optimizer.lr X            learning rate
  --seed_everything N               seed (0)

see more
  racing-vpt fit --config idm --print_config   the recipe with all its values, as YAML to save and edit
  racing-vpt fit --config idm --help all       every option of its model and its data, and Lightning's
"""

MEASURE = """usage: racing-vpt {stage} --ckpt_path CHECKPOINT [--option value ...]

Measure a checkpoint on the {split} data. The figures are printed and written to runs/{stage}/RUN.

  racing-vpt {stage} --ckpt_path runs/idm/mine --data.{option} data/judge
  racing-vpt {stage} --ckpt_path zoo:idm-carracing --data.{option} data/judge

  --ckpt_path CHECKPOINT    run folder, file, zoo:NAME or OpenAI's F.model; it says which model it is
  --data.{option} FOLDER{pad}      shards of `racing-vpt pack`, or a folder of recordings
  --data.clip_frames N      frames in a clip; an IDM does not measure its ends, so give it 256
  --data.batch_size N       clips in a batch
  --name RUN                name of that folder (name of the checkpoint)
  --trainer.accelerator X   cpu, gpu or auto
  --config FILE             these options as YAML

All options, Lightning's included: racing-vpt {stage} --help all
"""

PREDICT = """usage: racing-vpt predict --ckpt_path IDM --data.videos VIDEOS --out FOLDER [--option value ...]

Label videos: an inverse dynamics model writes which controls were used in each frame of each video.

  racing-vpt predict --config label --ckpt_path zoo:idm-carracing --data.videos data/watched --out data/labels
  racing-vpt predict --config label --ckpt_path runs/idm/mine --data.videos race.mp4 --out data/labels

  --ckpt_path IDM           zoo:idm-carracing, or a run folder or file of your own training
  --data.videos VIDEOS      a folder, a file or a glob
  --out FOLDER              receives NAME.jsonl, one line a frame; started again, videos that are done are passed over
  --on_error raise|skip     stop at a video that cannot be read, or report it and go on (raise)
  --license X               licence of the labels, such as CC-BY-4.0; --author: who made them
  --config label            window and batch sizes that suit long videos
  --data.decoder NAME       auto, decord, torchcodec or pyav (auto)
  --data.device cpu|cuda    where videos are decoded (cpu)
  --trainer.accelerator X   cpu, gpu or auto
  --trainer.devices N       several GPUs label different videos; with --config strategy/ddp

Look at labels:     racing-vpt view VIDEO --labels FOLDER
Train from labels:  racing-vpt pack --recordings VIDEOS --labels FOLDER --out SHARDS
All options, Lightning's included: racing-vpt predict --help all
"""


def stage_help(stage: str) -> str:
    """The short help of fit, validate, test or predict."""
    if stage == "fit":
        names = [name for name in config_names() if "/" not in name and name not in (BASE, "label")]
        lines = textwrap.wrap(", ".join(names), width=90)
        return FIT.format(names=f"\n{' ' * 26}".join(lines))
    if stage == "predict":
        return PREDICT
    split, option = {"validate": ("validation", "val"), "test": ("test", "test")}[stage]
    return MEASURE.format(stage=stage, split=split, option=option, pad=" " * (len("test") - len(option)))


def asks_for_help(words: list[str]) -> str | None:
    """`short` for `--help`, `all` for `--help all`, None without either."""
    for place, word in enumerate(words):
        if word in ("-h", "--help"):
            return "all" if words[place + 1 : place + 2] == ["all"] else "short"
    return None
