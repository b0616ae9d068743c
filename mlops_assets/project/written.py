"""What a user wrote, as plain values: what a definition is, and what it is hashed from.

A field that has its default is left out, written or not: a field that a later release adds changes no definition.
"""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import timedelta
from typing import Any

from pydantic import BaseModel

from mlops_assets.lakehouse.periods import Duration
from mlops_assets.project.field_types import Quantity

FOR_PEOPLE = frozenset({"description", "owners", "tags"})
"""Fields that people read and that decide nothing."""


def as_written(attributes: object) -> dict[str, Any]:
    """The fields of a document that decide something, by the YAML's own names, each value in one form."""
    found = {}
    for name, default in _defaults(attributes):
        value = _normal(getattr(attributes, name))
        if name not in FOR_PEOPLE and (default is MISSING or value != _normal(default)):
            found[name] = value
    return found


def _defaults(attributes: object) -> Iterator[tuple[str, object]]:
    """The fields of a document with their defaults, or `MISSING`."""
    if isinstance(attributes, BaseModel):
        for name, info in type(attributes).model_fields.items():
            yield name, MISSING if info.is_required() else info.get_default(call_default_factory=True)
    elif is_dataclass(attributes):
        for of in fields(attributes):
            yield of.name, of.default if of.default_factory is MISSING else of.default_factory()


def _normal(value: Any) -> Any:
    """A value in one form: nested documents as mappings, lengths of time as days or months, quantities as written."""
    if isinstance(value, timedelta):
        return str(Duration(rest=value))
    if isinstance(value, Duration | Quantity):
        return str(value)
    if isinstance(value, BaseModel) or is_dataclass(value):
        return as_written(value)
    if isinstance(value, Mapping):
        return {_key(name): _normal(one) for name, one in value.items()}
    return [_normal(one) for one in value] if isinstance(value, list | tuple) else value


def _key(name: object) -> str:
    """YAML reads true and false as booleans, and a class such as 1 as a number."""
    return str(name).lower() if isinstance(name, bool) else str(name)
