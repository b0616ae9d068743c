"""``mlops-assets monitor``: which word names a model, and which a command."""

import click
import pytest

from mlops_assets.commands.monitoring import monitor


@pytest.mark.parametrize(
    ("words", "command", "left"),
    [
        (["forecast", "--open"], "show", ["forecast", "--open"]),
        (["report", "forecast", "2024-02"], "report", ["forecast", "2024-02"]),
        (["show", "report"], "show", ["report"]),  # a model that is called like a command
    ],
)
def test_a_first_word_that_is_no_command_is_a_model_which_is_shown(
    words: list[str], command: str, left: list[str]
) -> None:
    name, found, rest = monitor.resolve_command(click.Context(monitor), words)
    assert (name, rest) == (command, left)
    assert found is monitor.get_command(click.Context(monitor), command)


def test_an_option_that_there_is_not_is_told_as_such() -> None:
    with pytest.raises(click.UsageError, match="No such option|No such command"):
        monitor.resolve_command(click.Context(monitor), ["--nothing"])
