"""The features of a model by a definition that was recorded, read from the parts that its loading made of it."""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal

from mlops_assets.engines.contract import ComputedFeature
from mlops_assets.engines.expression import parse_expression
from mlops_assets.errors import ContractError
from mlops_assets.lakehouse.periods import Duration
from mlops_assets.lakehouse.schema import Column
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.model_attributes import LookupDefinition
from mlops_assets.project.request import with_read

_CHOSEN = re.compile(
    r"(?P<column>\S+) (?P<type>\S+) (?P<kind>\S+) as (?P<name>\S+) default "
    r"(?P<default>'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|datetime\.\w+\([^)]*\)|[^,;]+)(?:, |(?P<last>; by ))"
)


@dataclass(frozen=True)
class RecordedLookup:
    """A lookup as it was recorded.

    Args:
        definition: The lookup; its ``lookup_key`` names the columns in the order of ``keys``.
        keys: The keys that its table had.
        columns: The columns chosen, as its table had them.
    """

    definition: LookupDefinition
    keys: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def features(self) -> tuple[Column, ...]:
        """The columns as the model called them."""
        named = zip(self.columns, self.definition.names, strict=True)
        return tuple(replace(column, name=name) for column, name in named)


@dataclass(frozen=True)
class RecordedFeatures:
    """What a model's estimator saw by a recorded definition.

    Args:
        lookups: What was looked up.
        request: What came with each row.
        computed: What was computed from both.
        features: All that the estimator saw, in order.
    """

    lookups: tuple[RecordedLookup, ...]
    request: tuple[Column, ...]
    computed: tuple[ComputedFeature, ...]
    features: tuple[Column, ...]


def recorded_features(model: ModelDefinition, parts: Mapping[str, str]) -> RecordedFeatures:
    """Read the features of a model from the parts of an earlier definition of it.

    Args:
        model: The model as it is defined now.
        parts: Canonical text of each part of the earlier definition.

    Raises:
        ContractError: The parts are not of the form that this release writes.
    """
    try:
        lookups = tuple(_lookup(name.partition(" in ")[2], text) for name, text in _numbered(parts, "lookup"))
        request = tuple(_request(parts, text) for _, text in _numbered(parts, "request"))
        made = [_computed(model, text) for _, text in _numbered(parts, "computed")]
    except (ValueError, KeyError, SyntaxError) as error:
        raise ContractError(
            f"a recorded definition of '{model.name}' that this release does not read ({error})",
            "lookups, request and computed features as they are recorded",
            "use the release that recorded it",
        ) from None
    found = [column for lookup in lookups for column in lookup.features]
    computed = tuple(with_read(feature, [*model.schema.columns, *request, *found]) for feature, _ in made)
    by = {own for lookup in lookups for own in _only_looked_up_by(model, lookup)}
    asked = (column for column in request if column.name not in by)
    return RecordedFeatures(lookups, request, computed, (*found, *asked, *(column for _, column in made)))


def _only_looked_up_by(model: ModelDefinition, lookup: RecordedLookup) -> Iterator[str]:
    """The columns that a lookup takes its key from and that are no features for that reason.

    Whether a key's own name was written out was not recorded: then the present definition tells.
    """
    for key, own in zip(lookup.keys, lookup.definition.lookup_key or (), strict=True):
        if key != own or own not in model.feature_names:
            yield own


def _numbered(parts: Mapping[str, str], what: str) -> list[tuple[str, str]]:
    """The parts of a kind, in the order of their numbers."""
    named = [(int(name.split()[1]), name) for name in parts if re.match(rf"{what} \d+( in |$)", name)]
    return [(name, parts[name]) for _, name in sorted(named)]


def _lookup(table: str, text: str) -> RecordedLookup:
    columns: list[Column] = []
    rename, default, place = {}, {}, 0
    while True:
        chosen = _CHOSEN.match(text, place)
        if chosen is None:
            raise ValueError(text)
        name, place = chosen["column"], chosen.end()
        columns.append(Column(name, chosen["type"], kind=chosen["kind"]))  # type: ignore[arg-type]
        if chosen["name"] != name:
            rename[name] = chosen["name"]
        if (value := _value(chosen["default"])) is not None:
            default[name] = value
        if chosen["last"]:
            break
    by, _, lookback = text[place:].rpartition("; ")
    pairs = [pair.split(" = ") for pair in by.split(", ") if pair]
    definition = LookupDefinition(
        table,
        tuple(column.name for column in columns),
        None if lookback == "None" else Duration.parse(lookback),
        tuple(own for _, own in pairs),
        rename,
        default,
    )
    return RecordedLookup(definition, tuple(key for key, _ in pairs), tuple(columns))


def _value(text: str) -> object:
    """What `repr` made a text of."""
    if text.startswith("datetime."):
        numbers = [int(number) for number in re.findall(r"\d+", text)]
        if text.startswith("datetime.datetime"):
            return datetime(*numbers, tzinfo=UTC)  # type: ignore[arg-type,misc]
        return date(*numbers)
    if decimal := re.fullmatch(r"Decimal\('(.*)'\)", text):
        return Decimal(decimal[1])
    return float(text) if text in ("nan", "inf", "-inf") else ast.literal_eval(text)


def _request(parts: Mapping[str, str], text: str) -> Column:
    name, kind = text.split(" ")
    return Column(name, parts[f"column {name}"], kind=kind)  # type: ignore[arg-type]


def _computed(model: ModelDefinition, text: str) -> tuple[ComputedFeature, Column]:
    head, _, expression = text.partition(": ")
    name, type_, kind = head.split(" ")
    feature = ComputedFeature(name, type_, parse_expression(expression, file=model.location.file))
    return feature, Column(name, feature.type, kind=kind)  # type: ignore[arg-type]
