"""``mlops-assets verify``: read everything that the home holds, and say what is not what was written."""

from pathlib import Path

import click

from mlops_assets.commands.one_message import in_one_message
from mlops_assets.commands.opening import open_platform
from mlops_assets.commands.progress import shown_progress
from mlops_assets.errors import SeveralFailuresError


@click.command()
@click.pass_obj
@in_one_message
def verify(folder: Path) -> None:
    """Read everything that the home holds, and say what is not what was written; exit code 1 if anything is not.

    Every commit and data file of every table, of old versions, too; every delivery; the fits of every training; tokens,
    approvals, clock and databases. It writes nothing, and everything else may go on meanwhile.
    """
    from mlops_assets.operations.verify import verify_home

    platform = open_platform(folder)
    platform.home.require_format()
    faults = 0
    with shown_progress() as progress:
        for part in verify_home(platform, progress):
            click.echo(str(part))
            for fault in part.faults:
                click.echo(f"  {fault}")
            faults += len(part.faults)
    if faults:
        raise SeveralFailuresError(
            f"{faults} faults in {platform.home.folder}", "follow what is said of each fault above"
        )
