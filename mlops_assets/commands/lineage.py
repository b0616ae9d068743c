"""``mlops-assets lineage`` and ``corrections``: what comes from what, and what a correction changed."""

from pathlib import Path

import click

from mlops_assets.commands.one_message import in_one_message
from mlops_assets.commands.opening import open_platform
from mlops_assets.errors import UnusableEnvironmentError
from mlops_assets.project.folder import find_project
from mlops_assets.storage.files import write_atomically


@click.command()
@click.argument("name", metavar="TABLE[.COLUMN]")
@click.option("--up", is_flag=True, help="Only what it comes from.")
@click.option("--down", is_flag=True, help="Only what comes from it.")
@click.option("--rows", is_flag=True, help="Follow also the columns that only decide which rows are used.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "svg"]), default="text", show_default=True,
    help="A tree for people, a graph for programs, or a drawing.",
)  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to a file.")
@click.pass_obj
@in_one_message
def lineage(folder: Path, name: str, up: bool, down: bool, rows: bool, form: str, output: Path | None) -> None:
    """Show what the columns of TABLE, or one of them, come from, and what comes from them, up to the predictions.

    TABLE is a source, a feature table, or MODEL.labels, MODEL.training_set or MODEL.predictions.
    """
    from mlops_assets.features.lineage import lineage_graph
    from mlops_assets.features.lineage_drawing import as_svg
    from mlops_assets.features.lineage_text import as_json, as_tree

    graph = lineage_graph(find_project(folder).read())
    asked = graph.named(name)
    up, down = up or not down, down or not up  # neither means both
    part = graph.around(asked, up=up, down=down, rows=rows)
    if form == "text":
        text = as_tree(part, asked, up=up, down=down)
    else:
        text = as_json(part, asked) if form == "json" else as_svg(part, asked)
    if output is None:
        click.echo(text)
        return
    try:
        write_atomically(output, f"{text}\n".encode())
    except OSError as error:
        raise UnusableEnvironmentError(
            f"{output} cannot be written ({error.strerror})", "a file that can be written", "name another file with -o"
        ) from error
    click.echo(f"Wrote {output}")


@click.command()
@click.argument("table")
@click.option("--since", help="Only what became known from this time on, such as 2001-03 or 2001-03-05.")
@click.pass_obj
@in_one_message
def corrections(folder: Path, table: str, since: str | None) -> None:
    """Show what was corrected in TABLE, and what each correction changed in features, labels and models."""
    from mlops_assets.features.correction_report import as_text, corrections_of
    from mlops_assets.lakehouse.periods import parse_moment

    platform = open_platform(folder)
    found = corrections_of(platform, table, parse_moment(since) if since else None)
    for correction in found:
        click.echo(as_text(platform, correction))
    if not found:
        click.echo(f"{table}: nothing was corrected{f' since {since}' if since else ''}")
