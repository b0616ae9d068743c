"""Options that several commands have."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click

AS_TEXT_OR_JSON = click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
"""For people, or for programs; the command is given it as ``form``."""


def listed_as_json(items: Sequence[Any]) -> str:
    """Records as a list of JSON, for programs."""
    return json.dumps([asdict(item) for item in items], indent=2, default=str)
