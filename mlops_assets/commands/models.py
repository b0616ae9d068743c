"""``mlops-assets models …``."""

import click

from mlops_assets.commands import deciding, scoring, training, versions

models = click.Group("models", help="Train models, see their versions, predict by them, and decide which one serves.")
for command in (
    versions.list_models,
    versions.show,
    training.train,
    training.reproduce,
    scoring.score,
    deciding.approve,
    deciding.reject,
    deciding.rollback,
    deciding.retire,
    deciding.delete,
    deciding.prune,
):
    models.add_command(command)
