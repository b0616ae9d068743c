"""``mlops-assets models train|reproduce``: training on request, and proof that a version can be made again."""

import os
from pathlib import Path

import click

from mlops_assets.commands.deciding import MODEL, VERSION
from mlops_assets.commands.one_message import in_one_message
from mlops_assets.commands.opening import open_definitions, open_platform, principal_of_command, quiet
from mlops_assets.commands.progress import shown_progress
from mlops_assets.lakehouse.working_alone import working_beside
from mlops_assets.project.folder import find_project

OF_ANOTHER_RUN = ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID")
"""What `mlflow run` sets: its own run, which may lie in another registry than the home's."""


@click.command()
@MODEL
@click.argument("period")
@click.option("--reason", default="asked for on the command line", show_default=True, help="Why, in words; recorded.")
@click.pass_obj
@in_one_message
def train(folder: Path, model: str, period: str, reason: str) -> None:
    """Train MODEL at PERIOD: training set, candidate, and what its gates and approval allow; a run in Dagster."""
    project, platform = find_project(folder), open_platform(folder)
    chosen = platform.project.model(model)
    at = chosen.schema.calendar.at_key(period)
    by = principal_of_command(platform).name
    from mlops_assets.features.training_sets import require_labels

    require_labels(platform, chosen, at)
    home = platform.home.prepare()
    from mlops_assets.operations.in_process import enter, open_instance

    enter(home, project)
    for name in OF_ANOTHER_RUN:
        os.environ.pop(name, None)
    quiet()
    from mlops_assets.models.promotion import version_of
    from mlops_assets.models.states import version_states
    from mlops_assets.operations.training import run_training

    definitions = open_definitions(project)
    with working_beside(home, "a training"), open_instance(home) as instance, shown_progress() as progress:
        trained = run_training(
            platform, definitions, instance, chosen, at, reason=reason, requested_by=by, progress=progress
        )
    click.echo(f"{model}: trained at {trained.at} on {trained.figure_values['rows']:.0f} rows: {trained.verdict}")
    version = version_of(platform, chosen, trained)
    if version is None:
        click.echo(f"{model}: no version, for its gates said no")
    else:
        click.echo(f"{model}: version {version.version} is {version_states(platform, chosen)[version.version]}")


@click.command()
@MODEL
@VERSION
@click.pass_context
@in_one_message
def reproduce(context: click.Context, model: str, version: int) -> None:
    """Make VERSION of MODEL again from what was known then, and compare it bit for bit; exit code 1 if it differs."""
    from mlops_assets.models.reproduction import reproduce as make_again

    platform = open_platform(context.obj)
    with shown_progress() as progress:
        made = make_again(platform, platform.project.model(model), version, progress)
    click.echo(made.as_text())
    if not made.is_equal:
        context.exit(1)
