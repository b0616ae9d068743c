"""``mlops-assets features …``."""

import click

from mlops_assets.commands import catalog, online, pages

features = click.Group("features", help="Find features, and see to what applications read.")
for command in (catalog.search, catalog.show, pages.page, online.verify_online, online.rebuild_online):
    features.add_command(command)
