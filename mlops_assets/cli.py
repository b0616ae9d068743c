"""The command line: ``mlops-assets …``. Errors of ours become one message and exit code 1."""

import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from mlops_assets.commands.features import features
from mlops_assets.commands.ingest import ingest
from mlops_assets.commands.migrate import migrate
from mlops_assets.commands.models import models
from mlops_assets.commands.one_message import in_one_message
from mlops_assets.commands.opening import (
    open_definitions,
    open_platform,
    principal_of_command,
    quiet,
    require_loadable,
)
from mlops_assets.commands.options import AS_TEXT_OR_JSON
from mlops_assets.commands.progress import shown_progress
from mlops_assets.commands.serve import serve
from mlops_assets.commands.tokens import tokens
from mlops_assets.commands.verify import verify
from mlops_assets.errors import PlatformError, SeveralFailuresError, SurroundingsError
from mlops_assets.lakehouse.files import write_atomically
from mlops_assets.lakehouse.home import Home
from mlops_assets.lakehouse.working_alone import working_alone, working_beside
from mlops_assets.progress import Step
from mlops_assets.project.folder import find_project


@click.group()
@click.option(
    "--project",
    "folder",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path(),
    help="Folder of the project; by default the working folder.",
)
@click.pass_context
def main(context: click.Context, folder: Path) -> None:
    """An MLOps platform on Dagster."""
    context.obj = folder.resolve()


main.add_command(features)
main.add_command(ingest)
main.add_command(migrate)
main.add_command(models)
main.add_command(serve)
main.add_command(tokens)
main.add_command(verify)


@main.command()
@click.pass_obj
@in_one_message
def check(folder: Path) -> None:
    """Validate a whole project without running anything."""
    from mlops_assets.operations.check import check_project

    project = find_project(folder)
    definition = project.read()
    home = Home.find(project.folder)
    with shown_progress() as progress:
        warnings = check_project(definition, home, progress)
        progress(Step("load", 0, 1, project.package, minor=True))
        require_loadable(project, home)
    for warning in warnings:
        click.echo(f"warning: {warning}")
    click.echo(
        f"ok: {len(definition.sources)} sources, {len(definition.feature_tables)} feature tables, "
        f"{len(definition.models)} models"
    )


@main.command()
@AS_TEXT_OR_JSON
@click.pass_obj
@in_one_message
def plan(folder: Path, form: str) -> None:
    """Say what changed definitions would recompute, where and at what cost; writes nothing."""
    from mlops_assets.operations import plan as planning
    from mlops_assets.operations.check import check_home
    from mlops_assets.project.platform import Platform

    project = find_project(folder)
    definition, home = project.read(), Home.find(project.folder)
    check_home(definition, home)
    from mlops_assets.operations.in_process import recorded_durations

    planned = planning.plan(definition, Platform.of(definition, home), recorded_durations(home))
    click.echo(planning.as_text(planned) if form == "text" else _as_json(planned))


@main.command()
@click.argument("table")
@AS_TEXT_OR_JSON
@click.pass_obj
@in_one_message
def generations(folder: Path, table: str, form: str) -> None:
    """Show the generations of the feature table TABLE: definition, periods, and what was trained on each."""
    from mlops_assets.models import shown_generations as shown

    platform = open_platform(folder)
    found = shown.shown_generations(platform, platform.project.feature_table(table))
    click.echo(shown.as_text(found) if form == "text" else _as_json(found))


def _as_json(items: Sequence[Any]) -> str:
    return json.dumps([asdict(item) for item in items], indent=2, default=str)


@main.command()
@click.argument("target", type=click.Path(path_type=Path))
@in_one_message
def init(target: Path) -> None:
    """Write a small project of your own into the folder TARGET."""
    from mlops_assets.starter import write_project

    write_project(target)
    click.echo(f"Wrote a project to {target}. Go there, then: mlops-assets check, and mlops-assets dev")


@main.command()
@click.option("--from", "first", required=True, help="First period to live through, such as 1998-01.")
@click.option("--to", "last", required=True, help="Last period to live through, such as 2001-12.")
@click.pass_obj
@in_one_message
def replay(folder: Path, first: str, last: str) -> None:
    """Live through the past once more; running it again goes on where it stopped."""
    project = find_project(folder)
    definition = project.read()
    home = Home.find(project.folder)
    from mlops_assets.operations.replay.span import span_of
    from mlops_assets.operations.replay.state import read_state, write_state

    span = span_of(definition, first, last)
    begun = read_state(home, first)
    home.prepare()
    with working_alone(home, "a replay"), shown_progress() as progress:
        write_state(home, begun)
        progress(Step("load", 0, 1, project.package, minor=True))
        from mlops_assets.components.loading import while_the_clock_moves
        from mlops_assets.operations.in_process import enter, open_instance

        enter(home, project)
        from mlops_assets.operations.replay.session import run_replay, said_by_policy
        from mlops_assets.operations.replay.summary import as_table, nothing_yet, summarize
        from mlops_assets.project.platform import Platform

        quiet()
        with while_the_clock_moves():
            definitions = open_definitions(project)
        with open_instance(home) as instance:
            state = run_replay(definition, definitions, home, instance, span=span, progress=progress)
        platform, models = Platform.of(definition, home), list(definition.models.values())
        said = said_by_policy(state)
        told, missing = list[str](), list[str]()
        for number, model in enumerate(models):
            progress(Step("summary", number, len(models), model.name, minor=True))
            try:
                summary = summarize(platform, model)
                told.append(as_table(summary) if summary else nothing_yet(platform, model, said.get(model.name, "")))
            except PlatformError as error:  # of one model; what the others did, and what failed, is told all the same
                missing.append(f"the figures of '{model.name}': {error}")
        progress(Step("summary", len(models), len(models), minor=True))
    click.echo(f"Where to look: `mlops-assets dev`; drift reports in {home.reports}")
    for text in told:
        click.echo(text)
    if state.failed or missing:
        what = f"{len(state.failed)} of the replay's runs" if state.failed else "the replay's figures"
        raise SeveralFailuresError(
            f"{what} failed",
            "mend the cause, then run the same command again: it begins with them",
            [*state.failed, *missing],
        )


@main.command()
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


@main.group()
def quarantine() -> None:
    """Show rows that were put aside, and ingest them after a fix."""


@quarantine.command("list")
@click.argument("source")
@click.argument("period", required=False)
@click.option("--all", "settled", is_flag=True, help="Also rows that were ingested after all, or superseded.")
@AS_TEXT_OR_JSON
@click.pass_obj
@in_one_message
def list_quarantine(folder: Path, source: str, period: str | None, settled: bool, form: str) -> None:
    """Show the rows of SOURCE (or of its deliveries for PERIOD) that wait in quarantine, and why.

    Values of personal columns are masked, unless MLOPS_TOKEN holds a token that may read them.
    """
    from mlops_assets.sources.quarantine import quarantined, shown_to

    platform = open_platform(folder)
    principal, definition = principal_of_command(platform), platform.project.source(source)
    principal.require("features:read", platform.project.roles)
    rows = [
        shown_to(principal, definition.schema, row)
        for row in quarantined(platform, definition, period)
        if settled or row.waits
    ]
    if form == "json":
        click.echo(_as_json(rows))
        return
    for row in rows:
        outcome = "" if row.waits else f" ({row.outcome})"
        click.echo(f"{row.period} delivery {row.delivery}, {row.place}{outcome}: {row.reason}")
        click.echo(f"    {row.original}")
    click.echo(f"{len(rows)} rows")


@quarantine.command("replay")
@click.argument("source")
@click.argument("period", required=False)
@click.pass_obj
@in_one_message
def replay_quarantined(folder: Path, source: str, period: str | None) -> None:
    """Read what waits of SOURCE against today's contract, and ingest what passes as corrections."""
    project = find_project(folder)
    home = Home.find(project.folder)
    from mlops_assets.operations.in_process import enter, open_instance

    enter(home, project)
    quiet()
    from mlops_assets.components.source import report_replayed
    from mlops_assets.project.platform import Platform
    from mlops_assets.sources.quarantine_replay import replay_quarantine

    platform = Platform.of(project.read(), home)
    definition = platform.project.source(source)
    with working_beside(home, "a replay of the quarantine"):
        with shown_progress() as progress:
            done = replay_quarantine(platform, definition, period, progress)
        with open_instance(home) as instance:
            report_replayed(instance, platform, definition, done)
    for item in done:
        click.echo(
            f"{item.period}: {item.ingested} rows ingested, {item.superseded} superseded, {item.waiting} still wait"
        )
    click.echo(f"{sum(item.ingested for item in done)} rows ingested")


@main.command()
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
        raise SurroundingsError(
            f"{output} cannot be written ({error.strerror})", "a file that can be written", "name another file with -o"
        ) from error
    click.echo(f"Wrote {output}")


@main.command()
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


@main.command()
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


@main.command()
@click.option("--port", default=3000, show_default=True, help="Port of the user interface.")
@click.pass_obj
@in_one_message
def dev(folder: Path, port: int) -> None:
    """Start Dagster's user interface and daemon on the home's state."""
    project = find_project(folder)
    home = Home.find(project.folder).prepare()
    _require_port(port)
    from mlops_assets.operations.in_process import end_what_was_killed, enter, open_instance

    enter(home, project)
    with open_instance(home) as instance:
        end_what_was_killed(instance)  # else the pages show it as at work for ever
    command = [sys.executable, "-m", "dagster", "dev", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)]
    click.echo(f"User interface: http://127.0.0.1:{port} (state in {home.folder})")
    os.chdir(project.folder)
    signal.signal(
        signal.SIGINT, signal.SIG_DFL
    )  # ignored in the background of a script, and Dagster could not be ended
    os.execv(sys.executable, command)


def _require_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise SurroundingsError(
                f"port {port} is in use ({error.strerror})", "a free port", "choose another with --port"
            ) from error
