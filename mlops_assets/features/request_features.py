"""Features of one request: computed as they are in training and in batch scoring, by the same engine."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

from mlops_assets.engines.limits import OverLimitError
from mlops_assets.errors import ContractError, PlatformError, nearest
from mlops_assets.lakehouse.periods import in_utc
from mlops_assets.lakehouse.schema import ColumnType, arrow_type
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition

if TYPE_CHECKING:
    import pyarrow as pa


def check_computed_features(platform: Platform, model: ModelDefinition) -> None:
    """Compute a model's features over no rows, which tells whether their types are those declared.

    Raises:
        ContractError: One has another type, or does not run over its columns.
    """
    import pyarrow as pa

    columns = {column.name: column.type for column in (*model.population_schema.columns, *model.features)}
    for feature in model.computed:
        del columns[feature.name]
    rows = pa.schema([(name, arrow_type(type_)) for name, type_ in columns.items()]).empty_table()
    try:
        platform.engine.compute(platform.engine.rows(rows), model.computed)
    except PlatformError as error:
        raise error.at(model.location) from None


def request_features(
    platform: Platform, model: ModelDefinition, rows: Sequence[Mapping[str, object]]
) -> list[dict[str, object]]:
    """All features of a model for some requests, in the model's order.

    Args:
        platform: The platform.
        model: The model.
        rows: The keys and columns of each request, and the features that were looked up for it, by name; None is null,
            and dates and timestamps may be ISO texts.

    Raises:
        ContractError: A value that is a feature, or that an expression reads, is missing or of another type, or an
            expression failed.
    """
    if not rows:
        return []
    computed = {feature.name for feature in model.computed}
    types = {column.name: column.type for column in model.request}
    given = {name: _typed(model, name, types[name], rows).to_pylist() for name in model.feature_names if name in types}
    made = computed_features(platform, model, rows) if computed else [{} for _ in rows]
    return [
        {
            name: made[place][name] if name in computed else given[name][place] if name in given else row[name]
            for name in model.feature_names
        }
        for place, row in enumerate(rows)
    ]


def computed_features(
    platform: Platform, model: ModelDefinition, rows: Sequence[Mapping[str, object]]
) -> list[dict[str, object]]:
    """What a model computes for some requests; values that no expression reads may be left out.

    Raises:
        ContractError: A value that an expression reads is missing or of another type, or an expression failed.
    """
    import pyarrow as pa

    types = {column.name: column.type for column in (*model.population_schema.columns, *model.features)}
    spelled = {name.lower(): name for name in types}
    read = {spelled[name.lower()]: None for feature in model.computed for name in feature.expression.columns}
    columns = {name: _typed(model, name, types[name], rows) for name in read}
    engine = platform.request_engine
    number = pa.array(range(len(rows)))  # rows there are, even where no expression reads a column
    asked = engine.rows(pa.table({**columns, "the request": number}))
    try:
        computed = engine.compute(asked, model.computed)
    except OverLimitError as error:
        raise error.at(model.location) from error.__cause__
    answer = engine.to_arrow(computed).select([one.name for one in model.computed])
    return answer.to_pylist()  # type: ignore[no-any-return]


def _typed(model: ModelDefinition, name: str, type_: ColumnType, rows: Sequence[Mapping[str, object]]) -> "pa.Array":
    """The values of a column of the request in its type."""
    import pyarrow as pa

    values = []
    for row in rows:
        if name not in row:
            raise ContractError(
                f"no value of '{name}', which {model.name} computes with",
                f"a value of type {type_}, or null",
                nearest(name, row, "send it with the request"),
            )
        value = row[name]
        try:
            if isinstance(value, str) and type_ in ("date", "timestamp"):
                value = date.fromisoformat(value) if type_ == "date" else in_utc(datetime.fromisoformat(value))
            values.append(pa.scalar(value, arrow_type(type_)))
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            raise ContractError(
                f"the value {row[name]!r} of '{name}'", f"a value of type {type_}", "correct the request"
            ) from None
    return pa.array(values, arrow_type(type_))
