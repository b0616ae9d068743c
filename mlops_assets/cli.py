"""The command line: ``mlops-assets …``. Errors of ours become one message and exit code 1."""

from pathlib import Path

import click

from mlops_assets.commands.backfill import backfill, compact
from mlops_assets.commands.backtesting import backtest, policy
from mlops_assets.commands.definitions import check, generations, init, plan
from mlops_assets.commands.dev import dev
from mlops_assets.commands.features import features
from mlops_assets.commands.incidents import incidents
from mlops_assets.commands.ingest import ingest
from mlops_assets.commands.lineage import corrections, lineage
from mlops_assets.commands.migrate import migrate
from mlops_assets.commands.models import models
from mlops_assets.commands.monitoring import monitor
from mlops_assets.commands.quarantine import quarantine
from mlops_assets.commands.replay import replay
from mlops_assets.commands.serve import serve
from mlops_assets.commands.tokens import tokens
from mlops_assets.commands.verify import verify


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


for command in (
    backfill, backtest, check, compact, corrections, dev, features, generations, incidents, ingest, init, lineage,
    migrate, models, monitor, plan, policy, quarantine, replay, serve, tokens, verify,
):  # fmt: skip
    main.add_command(command)
