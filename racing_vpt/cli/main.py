"""racing-vpt: learn to drive in racing games by watching video.

usage: racing-vpt VERB [--option value ...]
       racing-vpt VERB --help

try it: trained networks come with it (zoo:vpt-carracing drives, zoo:idm-carracing labels, zoo:iris-carracing dreams)
  drive      let a network or another agent drive tracks: scores and a film; --checkpoint zoo:vpt-carracing
  play       watch it drive, take the wheel from it, drive inside its world model: play zoo:iris-carracing
  predict    label videos by an inverse dynamics model: --ckpt_path zoo:idm-carracing --data.videos FOLDER --out FOLDER
  view       a video with its labels, and the truth beside them: in a window or as a film
  demo       the whole circle on CarRacing in minutes: record, train, label, clone, drive
  circle     the same on a game of the NES, beside its driver, other clones and chance
  doctor     what works on this machine, what does not, and what to do about it

data
  collect    drive an environment and record it: video, with or without the controls
  record     record any window of the screen, with the keys that are held in each frame
  pack       turn recordings, or videos with labels, into shards to train from
  renditions encode recordings again as ordinary tools write video: codecs, qualities, sizes, rates
  inspect    show what is in recordings, labels or shards, as text and one picture
  verify     check recordings, labels, shards or checkpoints: counts, bytes, sha256; --idm: controls that lag
  import     turn data in the formats of others into recordings: tables, LeRobot, OpenAI's contractors
  adopt      look at recordings of others: the game file and the import that fit them
  read-overlay  labels from displays of the controls in the picture: pedal bars, keys, a wheel
  export     write recordings, labels or shards in the formats of others

training: racing-vpt fit --config NAME --name RUN, where NAME is a shipped recipe (idm, vpt, dqn, iris, ...) or a file
  fit        train a model: runs/MODEL/RUN; --ckpt_path last resumes it
  validate   measure a checkpoint on the validation data
  test       measure a checkpoint on the test data
  returns    learning curves of runs that learn by driving

comparing and exchanging checkpoints
  ladder     judge an IDM on the same recordings in a ladder of encodings: codecs, sizes, rates, light
  compare    several drivers on the same tracks, with paired differences
  export-weights  turn a checkpoint into a small folder of weights, as in the zoo
  push       publish a checkpoint or data on the Hugging Face Hub, with its card; read anywhere as hf:OWNER/NAME
  import-vpt turn OpenAI VPT's F.model and F.weights into a checkpoint
  export-vpt turn a checkpoint with Minecraft's controls into F.model and F.weights

studies
  dream      returns of a controller of World Models in its dream and in the environment
  seam       whether a world model's long imagination jumps where its memory is emptied
  iris-experiments  tokenizers and world models that differ in one setting each, measured
  bench      measure speeds on this machine

A checkpoint is a run folder, a file, zoo:NAME, hf:OWNER/NAME, or an OpenAI F.model. Every verb takes --config
FILE.yaml; what is given later wins. --version shows the version, --debug the traceback of an error. Errors end with
status 2.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from types import FrameType
from typing import TYPE_CHECKING

from racing_vpt.cli.words import STAGES
from racing_vpt.free_cores import share_cores
from racing_vpt.free_memory import keep_freed_memory

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser


@dataclass(frozen=True)
class Tool:
    """A verb other than the training stages.

    Args:
        module: module of its function, which imports heavy packages inside the function, so that help is quick.
        function: name of the function; its signature and docstring become the options and the help.
        positional: whether required arguments are given without `--name` (`inspect PATH`).
    """

    module: str
    function: str
    positional: bool = False


TOOLS = {
    "collect": Tool("racing_vpt.verbs.collect", "collect"),
    "record": Tool("racing_vpt.verbs.record", "record"),
    "import": Tool("racing_vpt.verbs.import_data", "import_data", positional=True),
    "read-overlay": Tool("racing_vpt.verbs.read_overlay", "read_overlay", positional=True),
    "adopt": Tool("racing_vpt.verbs.adopt", "adopt", positional=True),
    "export": Tool("racing_vpt.verbs.export_data", "export_data", positional=True),
    "pack": Tool("racing_vpt.verbs.pack", "pack"),
    "renditions": Tool("racing_vpt.verbs.renditions", "renditions", positional=True),
    "ladder": Tool("racing_vpt.verbs.ladder", "ladder", positional=True),
    "inspect": Tool("racing_vpt.verbs.inspect", "inspect_data", positional=True),
    "view": Tool("racing_vpt.verbs.view", "view", positional=True),
    "verify": Tool("racing_vpt.verbs.verify", "verify", positional=True),
    "export-weights": Tool("racing_vpt.verbs.export_weights", "export_weights", positional=True),
    "push": Tool("racing_vpt.verbs.push", "push", positional=True),
    "import-vpt": Tool("racing_vpt.verbs.import_vpt", "import_vpt"),
    "export-vpt": Tool("racing_vpt.verbs.export_vpt", "export_vpt"),
    "drive": Tool("racing_vpt.verbs.drive", "drive"),
    "play": Tool("racing_vpt.verbs.play", "play", positional=True),
    "compare": Tool("racing_vpt.verbs.compare", "compare"),
    "returns": Tool("racing_vpt.verbs.returns", "returns", positional=True),
    "dream": Tool("racing_vpt.verbs.dream", "dream", positional=True),
    "seam": Tool("racing_vpt.verbs.seam", "seam", positional=True),
    "iris-experiments": Tool("racing_vpt.verbs.iris_experiments", "iris_experiments"),
    "demo": Tool("racing_vpt.verbs.demo", "demo"),
    "circle": Tool("racing_vpt.verbs.circle", "circle"),
    "bench": Tool("racing_vpt.verbs.bench", "bench"),
    "doctor": Tool("racing_vpt.verbs.doctor", "doctor"),
}


def console() -> None:
    """Entry point of the command `racing-vpt`."""
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # pygame prints a banner otherwise
    from racing_vpt.cli.errors import escape_unprintable

    escape_unprintable(sys.stdout, sys.stderr)
    keep_freed_memory()
    sys.exit(main())


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return the exit status: 0, or 2 for a mistake of the user's.

    SIGTERM, SIGINT and SIGUSR1 end it with 143, 130 and 138 after it has cleaned up; `fit` saves a checkpoint before.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    if words[:1] == ["help"]:  # `help VERB` is `VERB --help`
        words = [*words[1:], "--help"]
    if not words or words[0] in ("-h", "--help"):
        print(__doc__.strip())
        return 0
    if words[0] == "--version":
        from racing_vpt import __version__

        print(__version__)
        return 0
    verb, *rest = words
    if verb not in STAGES and verb not in TOOLS:
        from racing_vpt.cli.errors import nearest
        from racing_vpt.cli.renamed import renamed_verb

        renamed, known = renamed_verb(verb), [*TOOLS, *STAGES]
        if renamed is not None:
            return _fail(verb, renamed, named=False)
        return _fail(verb, f"there is no verb {verb!r}{nearest(verb, known)}; see: racing-vpt --help", named=False)
    if verb == "export":
        from racing_vpt.cli.renamed import export_of_weights

        moved = export_of_weights(rest)
        if moved is not None:
            return _fail(verb, moved)
    log, handler = logging.getLogger("racing_vpt"), logging.StreamHandler()
    level = log.level
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    try:
        with _ended_by_signals(verb):
            if verb not in ("demo", "circle", "doctor") and not {"-h", "--help"} & set(
                rest
            ):  # these measure by themselves
                share_cores()
            return _run(verb, rest)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `racing-vpt inspect X | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        if debug:
            raise
        from racing_vpt.cli.errors import explain

        message = explain(error, rest)
        if message is None:  # a defect: show its traceback
            raise
        return _fail(verb, message)
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


def tool_parser(verb: str) -> tuple[ArgumentParser, Callable[..., object]]:
    """The parser of a tool's options and the function that it calls; imports neither torch nor lightning."""
    from jsonargparse import ActionConfigFile, ArgumentParser

    from racing_vpt.cli.lists import takes_list

    tool = TOOLS[verb]
    function = getattr(import_module(tool.module), tool.function)
    parser = ArgumentParser(prog=f"racing-vpt {verb}", description=function.__doc__, exit_on_error=False)
    parser.description = (function.__doc__ or "").split("Args:")[0].split("Returns:")[0].strip()
    parser.add_argument("--config", action=ActionConfigFile, help="YAML file with these options; what follows wins.")
    parser.add_function_arguments(function, as_positional=tool.positional, fail_untyped=True)
    parser._action_groups[-1].title = "arguments"  # would repeat the description
    for action in parser._actions:
        if getattr(action, "_typehint", None) is bool and action.option_strings:
            action.nargs, action.const = "?", True  # `--flag` alone means true
        if not action.option_strings and takes_list(action):
            action.metavar = f"{action.dest.upper()}..."
    return parser, function


def _run(verb: str, words: list[str]) -> int:
    from racing_vpt.cli.configs import with_config_paths

    words = with_config_paths(verb, words)
    if verb in STAGES:
        from racing_vpt.cli.stage_help import asks_for_help, stage_help

        asked = asks_for_help(words)
        if asked == "short":
            print(stage_help(verb), end="")
            return 0
        from racing_vpt.cli.parsing import print_every_option
        from racing_vpt.cli.stages import run_stage

        if asked == "all":
            print_every_option(verb, [word for word in words if word not in ("-h", "--help", "all")])
            return 0

        return run_stage(verb, words)
    from racing_vpt.cli.hub_names import with_hub
    from racing_vpt.cli.lists import with_lists

    parser, function = tool_parser(verb)
    try:
        options = parser.parse_args(with_lists(parser, words))
    except Exception as error:
        from racing_vpt.cli.parse_errors import ParseError

        raise ParseError(error, parser, verb, words) from error
    arguments = parser.instantiate(options).as_dict()
    arguments.pop("config", None)
    arguments.pop("__path__", None)
    status = function(**with_hub(verb, arguments))
    return status if type(status) is int else 0


@contextmanager
def _ended_by_signals(verb: str) -> Iterator[None]:
    """Turn signals that ask for an end into SystemExit, so that unfinished files are removed."""

    def leave(number: int, frame: FrameType | None) -> None:
        if os.getpid() == ours:  # forked workers are ended by their parent
            os.write(2, f"racing-vpt {verb}: stopped by {signal.Signals(number).name}\n".encode())
        raise SystemExit(128 + number)

    ours = os.getpid()
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, leave) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _fail(verb: str, message: str, named: bool = True) -> int:
    print(f"racing-vpt{f' {verb}' if named else ''}: error: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    console()
