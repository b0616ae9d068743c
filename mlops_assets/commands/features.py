"""``mlops-assets features …``."""

import click

from mlops_assets.commands import catalog

features = click.Group("features", help="Find features, and see to what applications read.")
for command in (catalog.search, catalog.show):
    features.add_command(command)
