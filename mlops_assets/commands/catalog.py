"""``mlops-assets features search`` and ``show``: the catalog in the terminal."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlops_assets.commands.one_message import in_one_message
from mlops_assets.commands.opening import open_platform, principal_of_command
from mlops_assets.commands.options import AS_TEXT_OR_JSON

if TYPE_CHECKING:
    from mlops_assets.governance.access import Principal
    from mlops_assets.platform import Platform


@click.command("search")
@click.argument("text", required=False, default="")
@click.option("--owner", help="Only what this owner answers for, such as team:analytics.")
@click.option("--sensitivity", type=click.Choice(["public", "internal", "personal"]), help="Only what is so.")
@click.option("--freshness", type=click.Choice(["fresh", "late", "never"]), help="Only tables that are so.")
@click.option("--model", help="Only what this model uses.")
@click.option("--limit", type=click.IntRange(0), default=50, show_default=True, help="How many hits to show.")
@AS_TEXT_OR_JSON
@click.pass_obj
@in_one_message
def search(
    folder: Path,
    text: str,
    owner: str | None,
    sensitivity: str | None,
    freshness: str | None,
    model: str | None,
    limit: int,
    form: str,
) -> None:
    """Find tables, columns and models by the words of TEXT, in names, descriptions, tags and owners.

    The beginning of a word is enough. Without TEXT everything is listed.
    """
    from mlops_assets.features.catalog.current import CurrentCatalog
    from mlops_assets.features.catalog.shown import found_as_json
    from mlops_assets.features.catalog.text import found_as_text

    platform, principal = _opened(folder)
    principal.require("features:read", platform.project.roles)
    now = CurrentCatalog(platform)
    found = now.index().search(
        text, owner=owner, sensitivity=sensitivity, freshness=freshness, model=model, limit=limit
    )
    if form == "json":
        _echo_json(found_as_json(found, now.catalog, now.freshness()))
    else:
        click.echo(found_as_text(found, now.catalog, lambda word: click.style(word, bold=True)))


@click.command("show")
@click.argument("table")
@AS_TEXT_OR_JSON
@click.pass_obj
@in_one_message
def show(folder: Path, table: str, form: str) -> None:
    """Show TABLE: its columns with sample values, freshness, the models that use it, and lines to paste into one.

    Values of personal columns are masked, unless MLOPS_TOKEN holds a token that may read them.
    """
    from mlops_assets.features.catalog.duplicates import repeats_of
    from mlops_assets.features.catalog.entries import catalog
    from mlops_assets.features.catalog.shown import table_as_json
    from mlops_assets.features.catalog.statistics import table_statistics
    from mlops_assets.features.catalog.text import table_as_text

    platform, principal = _opened(folder)
    principal.require("features:read", platform.project.roles)
    entry = catalog(platform.project).table(table)
    statistics, repeats = table_statistics(platform, table), repeats_of(platform.project, table)
    schema = platform.project.table(table).schema
    if form == "json":
        _echo_json(table_as_json(entry, statistics, repeats, schema, principal))
    else:
        click.echo(table_as_text(entry, statistics, repeats, schema, principal))


def _opened(folder: Path) -> "tuple[Platform, Principal]":
    """The platform of a project, and who uses the command line."""
    platform = open_platform(folder)
    return platform, principal_of_command(platform)


def _echo_json(document: Any) -> None:
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))
