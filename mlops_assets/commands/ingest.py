"""``mlops-assets ingest``: what arrived or is due, brought into the lakehouse by hand."""

from pathlib import Path

import click

from mlops_assets.commands.one_message import in_one_message
from mlops_assets.commands.opening import open_definitions, open_platform, quiet
from mlops_assets.commands.progress import shown_progress
from mlops_assets.errors import SeveralFailuresError
from mlops_assets.lakehouse.working_alone import working_beside
from mlops_assets.project.folder import find_project
from mlops_assets.sources.landing import passed_over_in_words


@click.command()
@click.argument("source")
@click.argument("period", required=False)
@click.pass_obj
@in_one_message
def ingest(folder: Path, source: str, period: str | None) -> None:
    """Ingest what waits of SOURCE, or what came for PERIOD; runs in Dagster, as the sensor's do."""
    project, platform = find_project(folder), open_platform(folder)
    chosen = platform.project.source(source)
    home = platform.home.prepare()
    from mlops_assets.operations.in_process import enter, open_instance

    enter(home, project)
    quiet()
    from mlops_assets.operations.ingestion import run_ingestion

    definitions, failures, count = open_definitions(project), 0, 0
    with working_beside(home, "an ingestion"), open_instance(home) as instance, shown_progress() as progress:
        for done in run_ingestion(platform, definitions, instance, chosen, period, progress):
            count += 1
            failures += bool(done.failure)
            click.echo(f"{source} {done.period}: {done.failure or f'{done.rows} rows, {done.states} states appended'}")
    if unread := passed_over_in_words(platform, chosen):
        click.echo(unread)
    if failures:
        raise SeveralFailuresError(
            f"{failures} of {count} periods of '{source}' were not ingested",
            "correct what is told above, then run it again",
        )
    if not count:
        click.echo(f"{source}: nothing waits")
