"""Parsing of stages without running them, and the help that lists all options."""

from __future__ import annotations

from contextlib import suppress

from jsonargparse import Namespace

from racing_vpt.cli.configs import with_config_paths
from racing_vpt.cli.parse_errors import ParseError
from racing_vpt.cli.runs import allow_imports, know_models
from racing_vpt.cli.stages import StageCLI, default_data


def parse_stage(stage: str, words: list[str]) -> Namespace:
    """Options of a stage as `run_stage` takes them; nothing is built or run.

    Raises:
        ParseError: they do not parse.
    """
    words = allow_imports(with_config_paths(stage, words))
    know_models(words)
    return ParsedOnly(stage, words).options


def print_every_option(stage: str, words: list[str]) -> None:
    """Print all options of a stage, its data module, and the model of its config.

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
        """Do nothing."""

    def instantiate_classes(self) -> None:
        """Do nothing."""

    def _run_subcommand(self, subcommand: str) -> None:
        pass
