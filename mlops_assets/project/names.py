"""What tables, models and owners may be called, and the tags they carry: what Dagster, files and SQL all take."""

import keyword
import re
from typing import Annotated

from pydantic import AfterValidator, Field

MAX_NAME = 60
_DAGSTERS = "context conf config meta arg_dict dict input_arg_dict output_arg_dict int str float bool input output type"
TAKEN_NAMES = frozenset({"templates", *_DAGSTERS.split(), *keyword.kwlist})
"""What Dagster, Python or the platform's own records are called."""


def _free_name(value: str) -> str:
    if value in TAKEN_NAMES:
        raise ValueError("another name: this one has Dagster, Python or the platform taken")
    if len(value) > MAX_NAME:
        raise ValueError(f"a name of at most {MAX_NAME} characters: files are called by it")
    return value


def _tag(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,63}", value):
        raise ValueError("up to 63 Latin letters, digits, underscores, points and dashes, as Dagster takes them")
    return value


Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
TableName = Annotated[Name, AfterValidator(_free_name)]
"""What a table or model may be called."""

TagText = Annotated[str, AfterValidator(_tag)]
Owner = Annotated[str, Field(pattern=r"^(team:[A-Za-z0-9_-]+|[^@\s]+@[^@\s]+\.[^@\s]+)$")]
