"""``mlops-assets models list`` and ``show``: versions, their states, and what was decided about them."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from mlops_assets.commands.one_message import in_one_message
from mlops_assets.commands.options import AS_TEXT_OR_JSON
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.platform import Platform


def platform_and_model(folder: Path, name: str) -> tuple[Platform, ModelDefinition]:
    """The platform of the project in a folder, and its model of a name.

    Raises:
        DefinitionError: There is no such model.
    """
    from mlops_assets.lakehouse.home import Home
    from mlops_assets.project.folder import find_project

    project = find_project(folder)
    definition = project.read()
    return Platform.of(definition, Home.find(project.folder)), definition.model(name)


@click.command("list")
@AS_TEXT_OR_JSON
@click.pass_obj
@in_one_message
def list_models(folder: Path, form: str) -> None:
    """Show every model: its champion, what waits, and how many versions it has."""
    from mlops_assets.lakehouse.home import Home
    from mlops_assets.models.states import version_states
    from mlops_assets.project.folder import find_project

    project = find_project(folder)
    definition = project.read()
    platform = Platform.of(definition, Home.find(project.folder))
    shown = []
    for model in definition.models.values():
        states = version_states(platform, model)
        of_state = {state: version for version, state in states.items()}
        shown.append(
            {
                "model": model.name,
                "champion": of_state.get("champion"),
                "previous": of_state.get("previous"),
                "challenger": of_state.get("challenger"),
                "approval": model.approval,
                "versions": len(states),
            }
        )
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
    """Show the versions of MODEL, or one of them: its state, training and gates, and what was decided about it."""
    from mlops_assets.models.shown import as_text, shown_versions

    platform, definition = platform_and_model(folder, model)
    found = shown_versions(platform, definition, version)
    if form == "json":
        click.echo(json.dumps([asdict(item) for item in found], indent=2, default=str))
        return
    click.echo("\n".join(as_text(item) for item in found) or f"{model} has no version yet")
