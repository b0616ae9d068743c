"""Features of one request: computed as they are in training and in batch scoring, by the same engine."""

from collections.abc import Mapping

from mlops_assets.errors import ContractError, PlatformError
from mlops_assets.lakehouse.schema import arrow_type
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.lookups import nearest
from mlops_assets.project.platform import Platform


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


def computed_features(platform: Platform, model: ModelDefinition, values: Mapping[str, object]) -> dict[str, object]:
    """What a model computes for one request.

    Args:
        platform: The platform.
        model: The model.
        values: The request's keys and columns, and the features that were looked up for it, by name; None is null.
            Those that no expression reads may be left out.

    Raises:
        ContractError: A value that an expression reads is missing or of another type, or an expression failed.
    """
    import pyarrow as pa

    types = {column.name: column.type for column in (*model.population_schema.columns, *model.features)}
    spelled = {name.lower(): name for name in types}
    columns = {}
    for name in {spelled[name.lower()]: None for feature in model.computed for name in feature.expression.columns}:
        if name not in values:
            raise ContractError(
                f"no value of '{name}', which {model.name} computes with",
                f"a value of type {types[name]}, or null",
                nearest(name, values, "send it with the request"),
            )
        try:
            columns[name] = pa.array([values[name]], arrow_type(types[name]))
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            raise ContractError(
                f"the value {values[name]!r} of '{name}'", f"a value of type {types[name]}", "correct the request"
            ) from None
    engine = platform.engine
    rows = pa.table({**columns, "the request": pa.array([0])})  # one row, even where no expression reads a column
    (row,) = engine.to_arrow(engine.compute(engine.rows(rows), model.computed)).to_pylist()
    return {feature.name: row[feature.name] for feature in model.computed}
