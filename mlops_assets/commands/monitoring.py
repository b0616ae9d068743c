"""``mlops-assets monitor …``: what is watched of models."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlops_assets.commands.one_message import in_one_message
from mlops_assets.commands.opening import open_platform, principal_of_command
from mlops_assets.commands.pages import write_page

if TYPE_CHECKING:
    from mlops_assets.governance.access import Principal
    from mlops_assets.platform import Platform
    from mlops_assets.project.definition import ModelDefinition


class _OfModels(click.Group):
    """Its first word may be a model, which is then shown; a model that is called like a command needs ``show``."""

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = not args or self.get_command(context, args[0]) or args[0].startswith("-")
        return super().resolve_command(context, args if known else ["show", *args])


monitor = _OfModels("monitor", help="See how a model does: `monitor MODEL` is `monitor show MODEL`.")


@monitor.command("show")
@click.argument("model")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write its page to a file.")
@click.option("--open", "opens", is_flag=True, help="Open its page in a browser, from a file.")
@click.pass_obj
@in_one_message
def show(folder: Path, model: str, output: Path | None, opens: bool) -> None:
    """Tell how MODEL stands, and of each period how it erred, what drifted, and what was trained.

    Its page is one file that needs no other. Values of personal columns are masked, unless MLOPS_TOKEN is a token that
    may read them.
    """
    platform = open_platform(folder)
    principal = principal_of_command(platform)
    principal.require("features:read", platform.tokens.roles)
    definition = platform.project.model(model)
    if output or opens:
        file = output or platform.home.scratch / f"{model}.html"
        write_page(file, _page(platform, model, principal))
        if opens:
            click.launch(file.resolve().as_uri())
    else:
        click.echo(_text(platform, definition, principal))


def _page(platform: "Platform", model: str, principal: "Principal") -> str:
    from mlops_assets.serving.pages.content import model_content
    from mlops_assets.serving.pages.model import model_page
    from mlops_assets.serving.pages.rendering import Frame

    content = model_content(platform, model, whole=True)
    return model_page(content, Frame.of(principal, platform.clock.now(), os.environ, served=False))


def _text(platform: "Platform", model: "ModelDefinition", principal: "Principal") -> str:
    from mlops_assets.features.catalog.shown import masked_columns
    from mlops_assets.monitoring.policy_history import policy_history
    from mlops_assets.monitoring.retrain_policy import decide
    from mlops_assets.monitoring.timeline import timeline_of
    from mlops_assets.monitoring.timeline_text import as_text

    history = policy_history(platform, model)
    policy = decide(model.retrain, history).reason if history else ""
    return as_text(timeline_of(platform, model), masked_columns(model.predictions_schema, principal), policy)


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


@monitor.command("explain")
@click.argument("model")
@click.argument("period")
@click.pass_obj
@in_one_message
def explain(folder: Path, model: str, period: str) -> None:
    """Tell what the drift of MODEL in PERIOD comes from, and whether it were there without a correction.

    Columns and segments that are off, the sources behind them, and which corrections and late deliveries are among
    their rows. Without each of the first five the period is computed again; nothing of it is kept.
    """
    from mlops_assets.features.catalog.shown import masked_columns
    from mlops_assets.monitoring.explaining import as_lines
    from mlops_assets.monitoring.explaining import explain as explained

    platform = open_platform(folder)
    principal = principal_of_command(platform)
    principal.require("features:read", platform.tokens.roles)
    definition = platform.project.model(model)
    found = explained(platform, definition, definition.schema.calendar.at_key(period))
    for line in as_lines(found, masked_columns(definition.predictions_schema, principal)):
        click.echo(line)


@monitor.command("skew")
@click.argument("model")
@click.pass_obj
@in_one_message
def skew(folder: Path, model: str) -> None:
    """Tell of each period of MODEL whether requests were answered with what the lakehouse knew, and which were not."""
    from mlops_assets.monitoring.skew import skew_history

    platform = open_platform(folder)
    history = skew_history(platform, platform.project.model(model))
    if not history:
        click.echo(f"{model}: no requests were compared yet; serve: {{log_share: 1}} in its YAML keeps all of them")
    for record in history:
        click.echo(f"{record.period} {record.words}")
        for one in record.differences:
            what = f"{one.feature} answered {one.answered}, known {one.known}"
            click.echo(f"    {one.asked_at} {one.request_id} row {one.request_row}: {what}: {one.cause}, {one.why}")
