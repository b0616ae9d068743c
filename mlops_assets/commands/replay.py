"""``mlops-assets replay``: the past, lived through once more."""

from pathlib import Path

import click

from mlops_assets.commands.one_message import in_one_message
from mlops_assets.commands.opening import open_definitions, quiet
from mlops_assets.commands.progress import shown_progress
from mlops_assets.errors import PlatformError, SeveralFailuresError
from mlops_assets.lakehouse.home import Home
from mlops_assets.lakehouse.working_alone import working_alone
from mlops_assets.progress import Step
from mlops_assets.project.folder import find_project


@click.command()
@click.option("--from", "first", required=True, help="First period to live through, such as 1998-01.")
@click.option("--to", "last", required=True, help="Last period to live through, such as 2001-12.")
@click.pass_obj
@in_one_message
def replay(folder: Path, first: str, last: str) -> None:
    """Live through the past once more; running it again goes on where it stopped."""
    project = find_project(folder)
    definition = project.read()
    home = Home.find(project.folder)
    from mlops_assets.operations.replay.span import span_of
    from mlops_assets.operations.replay.state import read_state, write_state

    span = span_of(definition, first, last)
    begun = read_state(home, first)
    home.prepare()
    with working_alone(home, "a replay"), shown_progress() as progress:
        write_state(home, begun)
        progress(Step("load", 0, 1, project.package, minor=True))
        from mlops_assets.components.loading import while_the_clock_moves
        from mlops_assets.operations.in_process import enter, open_instance

        enter(home, project)
        from mlops_assets.operations.replay.session import run_replay, said_by_policy
        from mlops_assets.operations.replay.summary import as_table, nothing_yet, summarize
        from mlops_assets.platform import Platform

        quiet()
        with while_the_clock_moves():
            definitions = open_definitions(project)
        with open_instance(home) as instance:
            state = run_replay(definition, definitions, home, instance, span=span, progress=progress)
        platform, models = Platform.of(definition, home), list(definition.models.values())
        said = said_by_policy(state)
        told, missing = list[str](), list[str]()
        for number, model in enumerate(models):
            progress(Step("summary", number, len(models), model.name, minor=True))
            try:
                summary = summarize(platform, model)
                told.append(as_table(summary) if summary else nothing_yet(platform, model, said.get(model.name, "")))
            except PlatformError as error:  # of one model; what the others did, and what failed, is told all the same
                missing.append(f"the figures of '{model.name}': {error}")
        progress(Step("summary", len(models), len(models), minor=True))
    click.echo(f"Where to look: `mlops-assets dev`; drift reports in {home.reports}")
    for text in told:
        click.echo(text)
    if state.failed or missing:
        what = f"{len(state.failed)} of the replay's runs" if state.failed else "the replay's figures"
        raise SeveralFailuresError(
            f"{what} failed",
            "mend the cause, then run the same command again: it begins with them",
            [*state.failed, *missing],
        )
