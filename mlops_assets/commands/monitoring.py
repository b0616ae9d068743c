"""``mlops-assets monitor …``: what is watched of models."""

from pathlib import Path

import click

from mlops_assets.commands.one_message import in_one_message
from mlops_assets.commands.opening import open_platform

monitor = click.Group("monitor", help="See how a model does, and what is off in what it was asked.")


@monitor.command("drift")
@click.argument("model")
@click.pass_obj
@in_one_message
def drift(folder: Path, model: str) -> None:
    """Tell of each period of MODEL whether its features were as usual, and where something moved."""
    from mlops_assets.monitoring.drift import drift_history

    platform = open_platform(folder)
    definition = platform.project.model(model)
    history = drift_history(platform, definition)
    if not history:
        click.echo(f"{model}: no drift was measured yet")
    for record in history:
        click.echo(f"{record.period} version {record.version}, {record.rows} rows: {record.words}")
        if record.moved:
            click.echo(f"    {record.segment_words}")


@monitor.command("report")
@click.argument("model")
@click.argument("period")
@click.pass_obj
@in_one_message
def report(folder: Path, model: str, period: str) -> None:
    """Make Evidently's page of MODEL in PERIOD, with our verdict beside its own."""
    from mlops_assets.monitoring.drift import write_page

    platform = open_platform(folder)
    definition = platform.project.model(model)
    click.echo(f"Wrote {write_page(platform, definition, definition.schema.calendar.at_key(period))}")
