"""``mlops-assets features …``."""

import click

features = click.Group("features", help="Find features, and see to what applications read.")
