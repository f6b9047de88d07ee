"""Stages that are parsed and not run: their options as they would be taken, and the help that lists them all."""

from __future__ import annotations

from contextlib import suppress

from jsonargparse import Namespace

from racing_vpt.cli.configs import with_config_paths
from racing_vpt.cli.parse_errors import ParseError
from racing_vpt.cli.runs import allow_imports, know_models
from racing_vpt.cli.stages import StageCLI, default_data


def parse_stage(stage: str, words: list[str]) -> Namespace:
    """The options of a stage as `run_stage` would take them; nothing is built and nothing runs.

    Raises:
        ParseError: they do not parse.
    """
    words = allow_imports(with_config_paths(stage, words))
    know_models(words)
    return ParsedOnly(stage, words).options


def print_every_option(stage: str, words: list[str]) -> None:
    """Print the options of a stage, of its data module, and of the model that a config names.

    Args:
        stage: fit, validate, test or predict.
        words: the configs and options that choose the classes.
    """
    words = allow_imports(words)
    try:
        chosen = ParsedOnly(stage, words).options
    except ParseError:  # `fit` without a config names no model
        chosen = Namespace()
    pages = ["--help", f"--data.help={chosen.get('data.class_path') or default_data(stage)}"]
    pages += [f"--model.help={chosen.model.class_path}"] if chosen.get("model") else []
    for page in pages:
        with suppress(SystemExit):
            ParsedOnly(stage, [*([] if page == "--help" else words), page])


class ParsedOnly(StageCLI):
    """The command line of a stage that stops after parsing."""

    def _set_seed(self) -> None:
        pass

    def before_instantiate_classes(self) -> None:
        """Nothing."""

    def instantiate_classes(self) -> None:
        """Nothing."""

    def _run_subcommand(self, subcommand: str) -> None:
        pass
