"""``mlops-assets backfill`` and ``compact``: the past of tables, computed, and kept in fewer files."""

from pathlib import Path

import click

from mlops_assets.commands.one_message import in_one_message
from mlops_assets.commands.opening import open_definitions, quiet
from mlops_assets.commands.progress import shown_progress
from mlops_assets.errors import SeveralFailuresError
from mlops_assets.lakehouse.home import Home
from mlops_assets.lakehouse.working_alone import working_alone
from mlops_assets.project.folder import find_project


@click.command()
@click.argument("table")
@click.option("--from", "first", help="First period, such as 1998-01; by default the table's first.")
@click.option("--to", "last", help="Last period; by default the newest whose inputs are known.")
@click.option("--upstream", is_flag=True, help="The feature tables that it rests on before it.")
@click.pass_obj
@in_one_message
def backfill(folder: Path, table: str, first: str | None, last: str | None, upstream: bool) -> None:
    """Compute the past of TABLE (a feature table, or MODEL/labels) where it is due; run again, it goes on."""
    project = find_project(folder)
    definition = project.read()
    home = Home.find(project.folder).prepare()
    from mlops_assets.operations.in_process import enter, held_open, open_instance

    enter(home, project)
    from mlops_assets.components.loading import platform_of
    from mlops_assets.operations.backfill import run_backfill, with_upstream

    platform = platform_of(definition)
    names = with_upstream(platform, table) if upstream else (table,)
    quiet()
    failed: list[str] = []
    with working_alone(home, f"a backfill of '{table}'"), open_instance(home) as instance, held_open(home.dagster):
        for name in names:
            with shown_progress() as progress:
                done = run_backfill(
                    platform, open_definitions(project), instance, name, first=first, last=last, progress=progress
                )
            waits = f", {len(done.waiting)} wait ({next(iter(done.waiting.values()))})" if done.waiting else ""
            click.echo(f"{name}: {len(done.computed)} computed, {done.current} were current{waits}")
            failed += done.failed
    if failed:
        raise SeveralFailuresError(
            f"{len(failed)} of the backfill's runs failed", "mend the cause, then run the backfill again", failed
        )


@click.command()
@click.argument("table", required=False)
@click.pass_obj
@in_one_message
def compact(folder: Path, table: str | None) -> None:
    """Put the small files of each period of TABLE, or of every table that has too many, into one.

    No answer changes, at no moment and no version; old files stay for the versions that name them. TABLE is a source,
    a feature table, or a table of a model such as MODEL.labels. Everything else may go on meanwhile.
    """
    from mlops_assets.lakehouse.compaction import compact_tables

    home = Home.find(find_project(folder).folder).require_format()
    with shown_progress() as progress:
        compacted = list(compact_tables(home.tables, table, progress))
    for done in compacted:
        click.echo(str(done))
    if not compacted:
        click.echo(f"{table or 'all tables'}: nothing to compact")
