"""``mlops-assets init``, ``check``, ``plan`` and ``generations``: what a project declares, before anything runs."""

from pathlib import Path

import click

from mlops_assets.commands.one_message import in_one_message
from mlops_assets.commands.opening import open_platform, require_loadable
from mlops_assets.commands.options import AS_TEXT_OR_JSON, listed_as_json
from mlops_assets.commands.progress import shown_progress
from mlops_assets.lakehouse.home import Home
from mlops_assets.progress import Step
from mlops_assets.project.folder import find_project


@click.command()
@click.argument("target", type=click.Path(path_type=Path))
@in_one_message
def init(target: Path) -> None:
    """Write a small project of your own into the folder TARGET."""
    from mlops_assets.starter import write_project

    write_project(target)
    click.echo(f"Wrote a project to {target}. Go there, then: mlops-assets check, and mlops-assets dev")


@click.command()
@click.option("--leaks", is_flag=True, help="Compute rows of training sets again without all that became known later.")
@click.pass_obj
@in_one_message
def check(folder: Path, leaks: bool) -> None:
    """Validate a whole project without running anything."""
    from mlops_assets.operations.check import check_project, leak_words

    project = find_project(folder)
    definition = project.read()
    home = Home.find(project.folder)
    with shown_progress() as progress:
        warnings = check_project(definition, home, progress)
        progress(Step("load", 0, 1, project.package, minor=True))
        require_loadable(project, home)
    for warning in warnings:
        click.echo(f"warning: {warning}")
    for words in leak_words(definition, home) if leaks else ():
        click.echo(words)
    click.echo(
        f"ok: {len(definition.sources)} sources, {len(definition.feature_tables)} feature tables, "
        f"{len(definition.models)} models"
    )


@click.command()
@AS_TEXT_OR_JSON
@click.pass_obj
@in_one_message
def plan(folder: Path, form: str) -> None:
    """Say what changed definitions would recompute, where and at what cost; writes nothing."""
    from mlops_assets.operations import plan as planning
    from mlops_assets.operations.check import check_home
    from mlops_assets.platform import Platform

    project = find_project(folder)
    definition, home = project.read(), Home.find(project.folder)
    check_home(definition, home)
    from mlops_assets.operations.in_process import recorded_durations

    planned = planning.plan(definition, Platform.of(definition, home), recorded_durations(home))
    click.echo(planning.as_text(planned) if form == "text" else listed_as_json(planned))


@click.command()
@click.argument("table")
@AS_TEXT_OR_JSON
@click.pass_obj
@in_one_message
def generations(folder: Path, table: str, form: str) -> None:
    """Show the generations of the feature table TABLE: definition, periods, and what was trained on each."""
    from mlops_assets.models import shown_generations as shown

    platform = open_platform(folder)
    found = shown.shown_generations(platform, platform.project.feature_table(table))
    click.echo(shown.as_text(found) if form == "text" else listed_as_json(found))
