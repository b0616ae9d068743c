"""What a user wrote, as plain values: what a definition is, and what it is hashed from.

A field that has its default is left out, written or not: a field that a later release adds changes no definition.
"""

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mlops_assets.errors import DefinitionError
from mlops_assets.lakehouse.periods import Duration
from mlops_assets.project.attributes import LENGTH

FOR_PEOPLE = frozenset({"description", "owners", "tags"})
"""Fields that people read and that decide nothing."""


def as_written(attributes: BaseModel) -> dict[str, Any]:
    """The fields of a document that decide something, by the YAML's own names, each value in one form."""
    found = {}
    for name, field in type(attributes).model_fields.items():
        value = _normal(getattr(attributes, name), field)
        if name in FOR_PEOPLE or (not field.is_required() and value == _default(field)):
            continue
        found[name] = value
    return found


def _default(field: FieldInfo) -> Any:
    return _normal(field.get_default(call_default_factory=True), field)


def _normal(value: Any, field: FieldInfo | None = None) -> Any:
    """A value in one form: nested documents as mappings, and lengths of time as days or months."""
    if isinstance(value, BaseModel):
        return as_written(value)
    if isinstance(value, Mapping):
        return {_key(name): _normal(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_normal(one) for one in value]
    if isinstance(value, str) and field is not None and _is_length(field):
        try:
            return str(Duration.parse(value))
        except DefinitionError:  # a word, such as expanding
            return value
    return value


def _key(name: object) -> str:
    """YAML reads true and false as booleans, and a class such as 1 as a number."""
    return str(name).lower() if isinstance(name, bool) else str(name)


def _is_length(field: FieldInfo) -> bool:
    choices = (getattr(choice, "__metadata__", ()) for choice in get_args(field.annotation))
    return LENGTH in field.metadata or any(LENGTH in metadata for metadata in choices)
