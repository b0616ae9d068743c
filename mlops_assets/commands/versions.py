"""``mlops-assets models list`` and ``show``: versions, their states, and what was decided about them."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from mlops_assets.commands.one_message import in_one_message
from mlops_assets.commands.opening import open_platform
from mlops_assets.commands.options import AS_TEXT_OR_JSON


@click.command("list")
@AS_TEXT_OR_JSON
@click.pass_obj
@in_one_message
def list_models(folder: Path, form: str) -> None:
    """Show every model: its champion, what waits, and how many versions it has."""
    from mlops_assets.models.shown import shown_models

    shown = [asdict(model) for model in shown_models(open_platform(folder))]
    if form == "json":
        click.echo(json.dumps(shown, indent=2))
        return
    for item in shown:
        named = ", ".join(
            f"{state} version {item[state]}" for state in ("champion", "challenger", "previous") if item[state]
        )
        click.echo(f"{item['model']}: {named or 'nothing serves'}; {item['versions']} versions")


@click.command()
@click.argument("model")
@click.argument("version", type=int, required=False)
@AS_TEXT_OR_JSON
@click.pass_obj
@in_one_message
def show(folder: Path, model: str, version: int | None, form: str) -> None:
    """Show the versions of MODEL (state, training, gates, decisions), or VERSION with its whole evaluation."""
    from mlops_assets.models.shown import as_text, shown_versions

    platform = open_platform(folder)
    found = shown_versions(platform, platform.project.model(model), version)
    if form == "json":
        click.echo(json.dumps([asdict(item) for item in found], indent=2, default=str))
        return
    click.echo("\n".join(as_text(item, whole=version is not None) for item in found) or f"{model} has no version yet")
