"""Request-time features of a model: the columns that come with a request, and what is computed from them."""

from collections.abc import Sequence

from mlops_assets.engines.contract import ComputedFeature
from mlops_assets.engines.expression import parse_expression
from mlops_assets.errors import DefinitionError, nearest
from mlops_assets.lakehouse.schema import Column, ColumnKind
from mlops_assets.project import model_attributes as written
from mlops_assets.project.yaml_files import Document

OWN_COLUMNS = (
    "predicted_at", "prediction", "baseline", "version", "feature_versions", "request_id", "request_row", "asked_at",
    "asked_by",
)  # fmt: skip
"""Columns that the platform adds to a model's labels, predictions and requests."""


def taken_names(parsed: written.ModelAttributes) -> set[str]:
    """Names that no feature of a model may have: those of its other columns."""
    found = (f"found_{lookup.table}" for lookup in parsed.features)
    return {*parsed.primary_keys, parsed.timestamp, parsed.label.column, *OWN_COLUMNS, *found}


def request_columns(document: Document, parsed: written.ModelAttributes, features: Sequence[str]) -> tuple[Column, ...]:
    """The columns that come with a request.

    Args:
        document: Where they stand.
        parsed: The model.
        features: Names of what it looks up.

    Raises:
        DefinitionError: One has the name of another column.
    """
    columns = parsed.request.columns if parsed.request else {}
    for name in columns:
        _check_name(document, name, {*taken_names(parsed), *features}, "request", "columns", name)
    return tuple(_column(name, column) for name, column in columns.items())


def computed_features(
    document: Document, parsed: written.ModelAttributes, columns: Sequence[str]
) -> tuple[tuple[ComputedFeature, ...], tuple[Column, ...]]:
    """The features that are computed, and the same as columns.

    Args:
        document: Where they stand.
        parsed: The model.
        columns: Names of the keys, the request's columns, and what is looked up: what expressions may read.

    Raises:
        DefinitionError: An expression is refused or reads something else, or a name is taken.
    """
    features: list[ComputedFeature] = []
    known = {name.lower() for name in columns}
    for number, computed in enumerate(parsed.computed):
        place = ("computed", number, "expression")
        names = {*taken_names(parsed), *columns, *(feature.name for feature in features)}
        _check_name(document, computed.name, names, "computed", number, "name")
        with document.located(*place):
            expression = parse_expression(computed.expression, file=document.file)
        for name in expression.columns:
            if name.lower() not in known:
                raise DefinitionError(
                    f"column '{name}' in the expression of '{computed.name}', which is no key, request column or "
                    "looked-up feature",
                    f"one of: {', '.join(columns)}",
                    nearest(name, columns, "look it up in features, or declare it in request"),
                    where=document.at(*place),
                )
        features.append(ComputedFeature(computed.name, computed.type, expression))
    return tuple(features), tuple(_column(computed.name, computed) for computed in parsed.computed)


def request_parts(
    request: Sequence[Column], computed: Sequence[ComputedFeature], columns: Sequence[Column]
) -> dict[str, str]:
    """What of a model's definition comes with a request or is computed from it, in the order its estimator sees."""
    asked = {f"request {number}": f"{column.name} {column.kind}" for number, column in enumerate(request, start=1)}
    made = zip(computed, columns, strict=True)
    return asked | {
        f"computed {number}": f"{feature.name} {feature.type} {column.kind}: {feature.expression.canonical}"
        for number, (feature, column) in enumerate(made, start=1)
    }


def _check_name(document: Document, name: str, taken: set[str], *place: str | int) -> None:
    if name in taken:
        raise DefinitionError(
            f"a second column '{name}' of the model",
            "one name for each column of the model",
            "choose another name",
            where=document.at(*place),
        )


def _column(name: str, column: written.RequestColumnAttributes) -> Column:
    kind: ColumnKind = column.kind or ("category" if column.type in ("string", "boolean") else "number")
    return Column(name, column.type, column.description, kind)
