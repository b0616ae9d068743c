"""``mlops-assets migrate``: bring the home of an earlier release forward."""

from pathlib import Path

import click

from mlops_assets.commands.one_message import in_one_message
from mlops_assets.lakehouse import formats
from mlops_assets.lakehouse.home import Home
from mlops_assets.lakehouse.working_alone import working_alone
from mlops_assets.project.folder import find_project


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would be changed; change nothing.")
@click.option(
    "--backup", type=click.Path(path_type=Path), help="The folder that the backup becomes; by default beside the home."
)
@click.pass_obj
@in_one_message
def migrate(folder: Path, dry_run: bool, backup: Path | None) -> None:
    """Bring the home of an earlier release to the format of this one, after a backup; run again, it goes on."""
    from mlops_assets.operations.migration import running

    home = Home.find(find_project(folder).folder)
    number = running.needs_migration(home)
    if number is None:
        click.echo(f"{home.folder}: in format {formats.HOME}, nothing to do")
        return
    click.echo(f"{home.folder}: from format {number} to {formats.HOME}")
    if dry_run:
        for planned in running.plan(home):
            click.echo(f"would {planned}")
        return
    with working_alone(home, "a migration"):
        running.migrate(home, backup, click.echo)
    click.echo(
        f"{home.folder}: in format {formats.HOME}. Should anything be wrong, docs/migration.md says how to go back"
    )
