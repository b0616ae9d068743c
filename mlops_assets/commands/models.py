"""``mlops-assets models …``."""

import click

from mlops_assets.commands import deciding, scoring, versions

models = click.Group("models", help="See the versions of models, predict by them, and decide which one serves.")
for command in (
    versions.list_models,
    versions.show,
    scoring.score,
    deciding.approve,
    deciding.reject,
    deciding.rollback,
    deciding.retire,
    deciding.delete,
    deciding.prune,
):
    models.add_command(command)
