"""``mlops-assets quarantine``: rows that were put aside."""

from pathlib import Path

import click

from mlops_assets.commands.one_message import in_one_message
from mlops_assets.commands.opening import open_platform, principal_of_command, quiet
from mlops_assets.commands.options import AS_TEXT_OR_JSON, listed_as_json
from mlops_assets.commands.progress import shown_progress
from mlops_assets.lakehouse.home import Home
from mlops_assets.lakehouse.working_alone import working_beside
from mlops_assets.project.folder import find_project


@click.group()
def quarantine() -> None:
    """Show rows that were put aside, and ingest them after a fix."""


@quarantine.command("list")
@click.argument("source")
@click.argument("period", required=False)
@click.option("--all", "settled", is_flag=True, help="Also rows that were ingested after all, or superseded.")
@AS_TEXT_OR_JSON
@click.pass_obj
@in_one_message
def list_quarantine(folder: Path, source: str, period: str | None, settled: bool, form: str) -> None:
    """Show the rows of SOURCE (or of its deliveries for PERIOD) that wait in quarantine, and why.

    Values of personal columns are masked, unless MLOPS_TOKEN holds a token that may read them.
    """
    from mlops_assets.sources.quarantine import quarantined, shown_to

    platform = open_platform(folder)
    principal, definition = principal_of_command(platform), platform.project.source(source)
    principal.require("features:read", platform.project.roles)
    rows = [
        shown_to(principal, definition.schema, row)
        for row in quarantined(platform, definition, period)
        if settled or row.waits
    ]
    if form == "json":
        click.echo(listed_as_json(rows))
        return
    for row in rows:
        outcome = "" if row.waits else f" ({row.outcome})"
        click.echo(f"{row.period} delivery {row.delivery}, {row.place}{outcome}: {row.reason}")
        click.echo(f"    {row.original}")
    click.echo(f"{len(rows)} rows")


@quarantine.command("replay")
@click.argument("source")
@click.argument("period", required=False)
@click.pass_obj
@in_one_message
def replay_quarantined(folder: Path, source: str, period: str | None) -> None:
    """Read what waits of SOURCE against today's contract, and ingest what passes as corrections."""
    project = find_project(folder)
    home = Home.find(project.folder)
    from mlops_assets.operations.in_process import enter, open_instance

    enter(home, project)
    quiet()
    from mlops_assets.components.source import report_replayed
    from mlops_assets.platform import Platform
    from mlops_assets.sources.quarantine_replay import replay_quarantine

    platform = Platform.of(project.read(), home)
    definition = platform.project.source(source)
    with working_beside(home, "a replay of the quarantine"):
        with shown_progress() as progress:
            done = replay_quarantine(platform, definition, period, progress)
        with open_instance(home) as instance:
            report_replayed(instance, platform, definition, done)
    for item in done:
        click.echo(
            f"{item.period}: {item.ingested} rows ingested, {item.superseded} superseded, {item.waiting} still wait"
        )
    click.echo(f"{sum(item.ingested for item in done)} rows ingested")
