"""Options that several commands have."""

import click

AS_TEXT_OR_JSON = click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
"""For people, or for programs; the command is given it as ``form``."""
