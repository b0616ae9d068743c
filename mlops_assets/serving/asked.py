"""What a request for features asks: its form, and the plan that is made of it once and kept."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Annotated, Any

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from mlops_assets.errors import DefinitionError, nearest
from mlops_assets.features.created_training_sets import FeatureLookup
from mlops_assets.features.online.reading import OnlineAnswer
from mlops_assets.governance.access import Principal
from mlops_assets.lakehouse.exact import WrittenNumber, object_of_names
from mlops_assets.lakehouse.schema import ColumnType
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.serving.context import ServingContext
from mlops_assets.serving.problems import ProblemError, found_by_pydantic
from mlops_assets.serving.values import NotOfTypeError, reader_of

_KEPT_PLANS, _MAX_KEPT_LENGTH = 1_000, 20_000
Names = Annotated[list[str] | str, Field(min_length=1)]


class AskedLookup(BaseModel):
    """A choice of columns from one table."""

    model_config = ConfigDict(extra="forbid", strict=True)

    table: str = Field(description="A source or feature table that is published online")
    features: Names | None = Field(None, description="Columns wanted; all that are neither key nor timestamp")
    lookup_key: Names | None = Field(
        None, description="Members of the rows that hold the table's keys, in their order; those of the same names"
    )
    rename: dict[str, str] = Field({}, description="What the answer calls a feature, by feature")
    lookback: str | None = Field(None, description="How old a row may be, such as 30 days or 2 months; any age")
    default: dict[str, Any] = Field({}, description="What fills a null of a feature, by feature")


class AskedFeatures(BaseModel):
    """Rows to answer, and either what to look up for them or the model whose features are wanted."""

    model_config = ConfigDict(extra="forbid", strict=True)

    rows: list[dict[str, Any]] = Field(description="Keys, and values that come with a request; others are ignored")
    lookups: list[AskedLookup] | None = Field(None, min_length=1, description="What to look up; or model")
    model: str | None = Field(None, description="A model, for all its features; or lookups")


class AnsweredRow(BaseModel):
    """Which row of a table answered."""

    event_time: str | None = Field(description="Its event_time, UTC; null in a static table")
    age_seconds: float | None = Field(description="Platform time since then; null in a static table")


class AnsweredFeatures(BaseModel):
    """The answer to one row."""

    features: dict[str, Any] = Field(description="Values by name; null where none was found, or masked")
    found: dict[str, AnsweredRow | None] = Field(description="By table what answered; null where nothing did")


class Answer(BaseModel):
    """The answer to a request."""

    now: str = Field(description="The platform's clock, UTC")
    masked: list[str] = Field(description="Features that are null because the token may not read personal columns")
    rows: list[AnsweredFeatures] = Field(description="One for each row asked, in their order")


_LOOKUPS = TypeAdapter(Annotated[list[AskedLookup], Field(min_length=1)])


@dataclass(frozen=True, eq=False)
class Plan:
    """What a request asks, checked against the project as far as it does not depend on its rows.

    Args:
        answer: What answers rows at a moment.
        computes: Whether an engine computes features of the request, which takes milliseconds.
        types: Types of the members of a row that are read.
        needed: Those of them that every row must have.
        personal: Names of the features that are masked without the scope.
        personal_times: The tables of which then is not told either from when the row is that answered.
    """

    answer: Callable[[Sequence[Mapping[str, object]], datetime], list[OnlineAnswer]]
    computes: bool
    types: Mapping[str, ColumnType]
    needed: tuple[str, ...]
    personal: tuple[str, ...]
    personal_times: frozenset[str]

    def hidden_from(self, principal: Principal) -> tuple[tuple[str, ...], frozenset[str]]:
        """The features that somebody does not see, and the tables of whose rows not the times."""
        seen = principal.may("features:read_personal")
        return ((), frozenset()) if seen else (self.personal, self.personal_times)

    def read(self, rows: Any, most: int) -> list[dict[str, object]]:
        """The rows of a request, typed; what nothing reads is left out.

        Raises:
            ProblemError: They are no rows, too many, without a key, or a value is not of its type.
        """
        if not isinstance(rows, list):
            raise ProblemError(422, "no rows", 'rows, such as {"rows": [{"shop": "s1"}]}', "send a list of objects")
        if len(rows) > most:
            raise ProblemError(422, f"{len(rows)} rows", f"at most {most}", "send them in several requests")
        readers = [(name, reader_of(type_)) for name, type_ in self.types.items()]
        return [self._row(number, row, readers) for number, row in enumerate(rows)]

    def _row(
        self, number: int, row: Any, readers: Sequence[tuple[str, Callable[[object], object]]]
    ) -> dict[str, object]:
        if not isinstance(row, dict):
            raise ProblemError(422, f"rows[{number}], which is no object", "keys and values by name", "correct it")
        for name in self.needed:
            if name not in row:
                raise ProblemError(
                    422, f"rows[{number}] without '{name}'", f"a value of each of: {', '.join(self.needed)}", "add it"
                )
        where = f"rows[{number}]"
        return {name: typed(reader, row[name], where, name) for name, reader in readers if name in row}


class Plans:
    """Makes plans, and keeps them: an application asks the same thing of other rows again and again."""

    def __init__(self, context: ServingContext) -> None:
        self._context = context
        self._project = context.platform.project
        self._most = context.settings.max_lookups
        self._kept: dict[object, Plan] = {}

    def of_request(self, lookups: Any, model: Any) -> Plan:
        """The plan of a request's ``lookups`` or ``model``.

        Raises:
            ProblemError: It has neither or both, too many, or one of another form.
            DefinitionError: They name something that is not there.
        """
        key = f"{model!r} {lookups!r}"
        plan = self._kept.get(key)
        return plan or self._keep(key, self._planned(lookups, model))

    def of_model(self, model: ModelDefinition) -> Plan:
        """The plan of all features of a model."""
        key = (model.name,)
        return self._kept.get(key) or self._keep(key, self._of_model(model))

    def of_table(self, table: str, features: tuple[str, ...] | None) -> Plan:
        """The plan of a lookup in one table, by its own keys."""
        key = (table, features)
        return self._kept.get(key) or self._keep(key, self._of_lookups((FeatureLookup(table, features),)))

    def _keep(self, key: object, plan: Plan) -> Plan:
        if isinstance(key, str) and len(key) > _MAX_KEPT_LENGTH:
            return plan
        if len(self._kept) >= _KEPT_PLANS:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = plan
        return plan

    def _planned(self, lookups: Any, model: Any) -> Plan:
        if (lookups is None) == (model is None):
            found = "neither" if model is None else "both"
            raise ProblemError(422, f"{found} lookups and model", "one of the two", "say what is wanted")
        if model is not None:
            if not isinstance(model, str):
                raise ProblemError(422, "a model that is no text", "the name of a model", "correct it")
            return self._of_model(self._project.model(model))
        try:
            asked = _LOOKUPS.validate_python(lookups)
        except ValidationError as error:
            found = found_by_pydantic("lookups", error.errors())
            raise ProblemError(422, found, "lookups as /openapi.json describes them", "correct them") from None
        if len(asked) > self._most:
            raise ProblemError(422, f"{len(asked)} lookups", f"at most {self._most}", "send several requests")
        return self._of_lookups(tuple(self._lookup(one) for one in asked))

    def _lookup(self, asked: AskedLookup) -> FeatureLookup:
        schema = self._project.table(asked.table).schema
        default = dict(asked.default)
        for name, value in default.items():
            if value is None or name not in schema.names or schema.column(name).type not in ("date", "timestamp"):
                continue  # whoever looks up says what is wrong with it
            try:
                default[name] = reader_of(schema.column(name).type)(value)
            except NotOfTypeError as error:
                raise ProblemError(
                    422, f"the default {json.dumps(value)} of '{name}'", str(error), "correct it"
                ) from None
        return FeatureLookup(
            asked.table, asked.features, asked.lookup_key, dict(asked.rename), asked.lookback, default
        )  # fmt: skip

    def _of_lookups(self, lookups: tuple[FeatureLookup, ...]) -> Plan:
        types: dict[str, ColumnType] = {}
        personal: list[str] = []
        for lookup in lookups:
            schema = self._project.table(lookup.table).schema
            keys = _names(lookup.lookup_key) or schema.keys
            for key, name in zip(schema.keys, keys, strict=False):  # their number is checked by who looks up
                type_ = schema.column(key).type
                if types.setdefault(name, type_) != type_:
                    raise DefinitionError(
                        f"'{name}' as a key of type {types[name]} and of type {type_}",
                        "keys of one type for each member of a row",
                        "name another member in lookup_key",
                    )
            features = _names(lookup.features) or schema.value_names
            personal += [
                lookup.rename.get(name, name)
                for name in features
                if name in schema.names and schema.column(name).is_personal
            ]
        times = self._personal_times(lookup.table for lookup in lookups)
        return Plan(self._context.online.prepare(lookups), False, types, tuple(types), tuple(personal), times)

    def _of_model(self, model: ModelDefinition) -> Plan:
        types = {column.name: column.type for column in model.population_schema.columns}
        keys = dict.fromkeys(column.name for column in model.request if column.name in model.feature_names)
        for lookup in model.lookups:
            keys |= dict.fromkeys(lookup.lookup_key or self._project.table(lookup.table).schema.keys)
        for feature in model.computed:
            read = {name.lower() for name in feature.expression.columns}
            keys |= dict.fromkeys(name for name in types if name.lower() in read)
        personal = tuple(name for name in model.feature_names if name in model.personal_names)
        answer = partial(self._context.online.of_model, model.name)
        times = self._personal_times(model.feature_tables)
        return Plan(answer, bool(model.computed), types, tuple(keys), personal, times)

    def _personal_times(self, tables: Iterable[str]) -> frozenset[str]:
        schemas = {table: self._project.table(table).schema for table in tables}
        return frozenset(
            table
            for table, schema in schemas.items()
            if schema.timestamp and schema.column(schema.timestamp).is_personal
        )


def _names(names: str | Sequence[str] | None) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names or ())


def typed(reader: Callable[[object], object], value: object, where: str, name: str) -> object:
    """A value of a row in its type; null stays null.

    Raises:
        ProblemError: It is of another type; it may be personal, and is not shown.
    """
    try:
        return None if value is None else reader(value)
    except NotOfTypeError as error:
        raise ProblemError(422, f"another value in {where}.{name}", f"{error}, or null", "correct it") from None


def require_members(content: Mapping[str, object], members: Sequence[str]) -> None:
    """See that a body has no other members than these.

    Raises:
        ProblemError: It has one.
    """
    for name in content:
        if name not in members:
            raise ProblemError(
                422, f"a member '{name}'", f"one of: {', '.join(members)}", nearest(name, members, "leave it out")
            )


async def json_of(request: Request) -> dict[str, Any]:
    """The JSON object in a request's body.

    Raises:
        ProblemError: It is of another media type, no JSON, or no object.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise ProblemError(
            415, f"a body of type '{media_type}'" if media_type else "a body without a type", "application/json",
            "send JSON, with the header 'Content-Type: application/json'",
        )  # fmt: skip
    body = await request.body()
    try:
        content = _DECODER.decode(body.decode())
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise ProblemError(400, f"a body that is no JSON ({reason})", "one JSON object", "correct it") from None
    if not isinstance(content, dict):
        raise ProblemError(422, "a body that is no JSON object", "one JSON object", "correct it")
    return content


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is none of its values")


_DECODER = json.JSONDecoder(
    parse_float=WrittenNumber, parse_constant=_refuse_constant, object_pairs_hook=object_of_names
)
