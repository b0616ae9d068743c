"""``mlops-assets features verify-online`` and ``rebuild-online``."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from mlops_assets.commands.one_message import in_one_message
from mlops_assets.commands.opening import open_platform
from mlops_assets.commands.options import AS_TEXT_OR_JSON
from mlops_assets.commands.progress import shown_progress
from mlops_assets.errors import DefinitionError, PlatformError
from mlops_assets.platform import Platform

TABLE = click.argument("table", required=False)


@click.command("verify-online")
@TABLE
@AS_TEXT_OR_JSON
@click.pass_obj
@in_one_message
def verify_online(folder: Path, table: str | None, form: str) -> None:
    """Compare the online store with the lookup's answer for now, key by key: of TABLE, or of every online table."""
    from mlops_assets.features.online.store import open_store
    from mlops_assets.features.online.verifying import verify

    platform = open_platform(folder)
    store = open_store(platform)
    names = _online(platform, table)
    with shown_progress() as progress:
        found = [verify(platform, store, name, progress) for name in names]
    if form == "json":
        click.echo(json.dumps([asdict(one) for one in found], indent=2, default=str))
    else:
        for one in found:
            words = f"{one.different} differ" if one.different else "all as in the lakehouse"
            click.echo(f"{one.table}: {one.keys} keys, {one.rows} with a row now, {words}")
            for difference in one.first:
                click.echo(f"    {difference}")
    different = sum(one.different for one in found)
    if different:
        raise PlatformError(
            f"{different} keys that the online store {store} answers otherwise than the lookup",
            "the lookup's answer for now",
            "materialize TABLE/TABLE_online for the periods that were not published, or run: "
            "mlops-assets features rebuild-online",
        )


@click.command("rebuild-online")
@TABLE
@click.pass_obj
@in_one_message
def rebuild_online(folder: Path, table: str | None) -> None:
    """Publish TABLE, or every online table, from the lakehouse; applications read the old rows until that is done."""
    from mlops_assets.features.online.publishing import publish
    from mlops_assets.features.online.store import open_store

    platform = open_platform(folder)
    store = open_store(platform)
    for name in _online(platform, table):
        with shown_progress() as progress:
            done = publish(platform, store, name, rebuild=True, progress=progress)
        click.echo(f"{name}: {done.outcome.written} rows in {store}, generation {done.generation}")


def _online(platform: Platform, table: str | None) -> tuple[str, ...]:
    """The table asked for, or all that are online."""
    online = platform.project.online_tables
    if not online or (table and not platform.project.table(table).online):
        raise DefinitionError(
            f"table '{table}', which is not published" if table else "no table that is published",
            f"one of: {', '.join(online)}" if online else "online: true in the YAML of a table",
            "write online: true in the table's YAML, and publish it",
        )
    return (table,) if table else online
