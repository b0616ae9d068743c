"""``mlops-assets features page``: a page as a file."""

import os
from pathlib import Path

import click

from mlops_assets.commands.one_message import in_one_message
from mlops_assets.commands.opening import open_platform, principal_of_command
from mlops_assets.errors import UnusableEnvironmentError
from mlops_assets.storage.files import write_atomically


@click.command()
@click.argument("table")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The file to write."
)
@click.pass_obj
@in_one_message
def page(folder: Path, table: str, output: Path) -> None:
    """Write the page of TABLE, as the server shows it, to one file that needs no other.

    Values of personal columns are masked, unless MLOPS_TOKEN is a token that may read them.
    """
    from mlops_assets.features.catalog.entries import catalog
    from mlops_assets.serving.pages.content import table_content
    from mlops_assets.serving.pages.rendering import Frame
    from mlops_assets.serving.pages.table import table_page

    platform = open_platform(folder)
    now = platform.clock.now()
    principal = principal_of_command(platform)
    principal.require("features:read", platform.tokens.roles)
    content = table_content(platform, catalog(platform.project), table)
    text = table_page(content, Frame.of(principal, now, os.environ, served=False))
    write_page(output, text)


def write_page(file: Path, text: str) -> None:
    """Write a page to a file, and say so.

    Raises:
        UnusableEnvironmentError: The file cannot be written.
    """
    try:
        write_atomically(file, text.encode())
    except OSError as error:
        raise UnusableEnvironmentError(
            f"{file} cannot be written ({error.strerror})", "a file that can be written", "name another file with -o"
        ) from error
    click.echo(f"Wrote {file}")
