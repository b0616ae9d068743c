"""``mlops-assets backtest`` and ``policy tune``: what policies would have come to, by what the home has recorded."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlops_assets.commands.one_message import in_one_message
from mlops_assets.commands.opening import open_platform
from mlops_assets.commands.progress import shown_progress
from mlops_assets.errors import MissingDataError
from mlops_assets.lakehouse.working_alone import working_beside
from mlops_assets.markdown import as_table

if TYPE_CHECKING:
    from mlops_assets.monitoring.walk_forward import Policy
    from mlops_assets.operations.backtest import Backtest
    from mlops_assets.platform import Platform
    from mlops_assets.project.definition import ModelDefinition


def span(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of which periods, and how long."""
    for option in (
        click.option("--minutes", type=float, help="Begin no training after so many; run again, it goes on."),
        click.option("--to", "last", help="Last period; by default the newest in which labels became known."),
        click.option("--from", "first", help="First period to train at; by default the first that has labels."),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("model")
@span
@click.option(
    "--policy",
    "files",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="YAML with retrain and gates as a model has them, to try in their place; several times.",
)
@click.option("--gate", "gates", multiple=True, help="A gate as in YAML, to try in the place of the model's.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for table and picture.")
@click.pass_obj
@in_one_message
def backtest(
    folder: Path, model: str, first: str | None, last: str | None, minutes: float | None, files: Sequence[Path],
    gates: Sequence[str], out: Path | None,
) -> None:  # fmt: skip
    """Let retrain policies and gates of MODEL walk through recorded history; nothing of production is written."""
    from mlops_assets.monitoring.walk_forward import Policy, yardsticks
    from mlops_assets.operations.backtest_report import as_text, as_values, write_report
    from mlops_assets.project.load_policy import AS_DECLARED

    platform, begun = open_platform(folder), time.monotonic()
    definition = platform.project.model(model)
    policies = [*yardsticks(definition), Policy(AS_DECLARED, definition.retrain, definition.gates)]
    policies += _tried(platform, definition, files, gates)
    done = _run(platform, definition, policies, first, last, minutes)
    if done.left:
        return
    values = as_values(platform, definition, done)
    click.echo(as_text(values))
    click.echo(f"It took {time.monotonic() - begun:.0f} s.")
    for file in write_report(platform, out, values) if out else ():
        click.echo(f"Wrote {file}")


def _tried(
    platform: "Platform", model: "ModelDefinition", files: Sequence[Path], gates: Sequence[str]
) -> "Iterator[Policy]":
    from mlops_assets.monitoring.walk_forward import Policy
    from mlops_assets.project.load_policy import load_policy
    from mlops_assets.project.text_files import read_text
    from mlops_assets.project.yaml_files import read_attributes

    texts = [(file.name, file, read_text(file, "a policy in UTF-8")) for file in files]
    if gates:
        listed = ",\n".join(gates)  # a line each, which errors name
        texts.append(("with --gate", Path("--gate"), f"gates: [{listed}]"))
    root = platform.project.folder.parent.parent
    for name, file, text in texts:
        yield Policy(name, *load_policy(read_attributes(file, text, "policy"), model, root))


def _run(
    platform: "Platform", model: "ModelDefinition", policies: "Sequence[Policy]", first: str | None, last: str | None,
    minutes: float | None,
) -> "Backtest":  # fmt: skip
    from mlops_assets.operations.backtest import run_backtest

    home, count = platform.home.prepare(), len(os.sched_getaffinity(0))
    with working_beside(home, "a backtest"), shown_progress() as progress:
        done = run_backtest(
            platform, model, policies, first=first, last=last, minutes=minutes, processes=count, progress=progress
        )
    if done.left:
        click.echo(f"{done.left} of {len(done.steps)} trainings are left: run the same again, it goes on")
    return done


policy = click.Group("policy", help="Choose when a model is trained again.")


@policy.command("tune")
@click.argument("model")
@span
@click.pass_obj
@in_one_message
def tune(folder: Path, model: str, first: str | None, last: str | None, minutes: float | None) -> None:
    """Choose worse_by, persistence and a gate's by for MODEL on its past, judged on years that the choice never saw."""
    from mlops_assets.monitoring.walk_forward import A_YEAR, Policy, same_periods
    from mlops_assets.monitoring.walk_forward import tune as choose
    from mlops_assets.project.load_policy import AS_DECLARED, in_yaml, load_policy, policy_variants

    platform = open_platform(folder)
    definition = platform.project.model(model)
    variants, root = policy_variants(definition), platform.project.folder.parent.parent
    policies = [Policy(name, *load_policy(document, definition, root)) for name, document in variants.items()]
    done = _run(platform, definition, policies, first, last, minutes)
    if done.left:
        return
    tuned = choose(done.walks, A_YEAR[definition.schema.calendar.unit])
    if not tuned.periods:
        raise MissingDataError(
            f"{len(same_periods(done.walks))} periods in which every policy had a champion",
            "at least a year of them before the first year that is judged",
            "backtest more periods (--from, --to), or wait",
        )
    declared = next(one for one in done.walks if one.policy == AS_DECLARED)
    error, metric = declared.turned_out(tuned.periods)[0], definition.metric
    rows = [
        ["chosen each year on the periods before it", f"{tuned.error:.5f}", str(tuned.trainings)],
        [AS_DECLARED, f"{error:.5f}", str(declared.trainings_in(tuned.periods))],
    ]
    click.echo(as_table(["policy", metric, "trainings"], rows))
    click.echo(f"\nOn the {len(tuned.periods)} periods from {tuned.periods[0]} to {tuned.periods[-1]}:")
    for year, name in tuned.years.items():
        click.echo(f"  {year}: {name}")
    paid = tuned.error < error
    click.echo("Choosing by the past " + ("paid." if paid else "did not pay: what is declared stands as well."))
    click.echo(f"\nChosen on all periods, for what comes: {tuned.chosen}")
    if tuned.chosen != AS_DECLARED:
        click.echo(in_yaml(variants[tuned.chosen]))
