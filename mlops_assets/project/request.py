"""Request-time features of a model: the columns that come with a request, and what is computed from them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from mlops_assets.engines.contract import ComputedFeature
from mlops_assets.engines.expression import parse_expression
from mlops_assets.errors import DefinitionError, nearest
from mlops_assets.lakehouse.schema import Column
from mlops_assets.project import model_attributes as written
from mlops_assets.project.sensitivity import resolved
from mlops_assets.project.yaml_files import Document

OWN_COLUMNS = (
    "predicted_at", "prediction", "baseline", "version", "feature_versions", "request_id", "request_row", "asked_at",
    "asked_by",
)  # fmt: skip
"""Columns that the platform adds to a model's labels, predictions and requests."""


def taken_names(parsed: written.ModelAttributes) -> set[str]:
    """Names that no feature of a model may have: those of its other columns."""
    found = (f"found_{lookup.table}" for lookup in parsed.features)
    return {
        *parsed.primary_keys, parsed.timestamp, parsed.label.column, *OWN_COLUMNS, *found, *further_answers(parsed)
    }  # fmt: skip


def further_answers(parsed: written.ModelAttributes) -> tuple[str, ...]:
    """Names of the columns that a model's answers have by its task, beside those that all have."""
    if parsed.task == "binary":
        return ("probability",)
    if parsed.task == "multiclass":
        return tuple(f"{of}_{name}" for of in ("probability", "baseline") for name in parsed.label.classes)
    return written.INTERVAL_COLUMNS if parsed.intervals else ()


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
        _require_free(document, name, {*taken_names(parsed), *features}, "request", "columns", name)
    return tuple(_column(name, column) for name, column in columns.items())


def computed_features(
    document: Document, parsed: written.ModelAttributes, columns: Sequence[Column]
) -> tuple[tuple[ComputedFeature, ...], tuple[Column, ...]]:
    """The features that are computed, and the same as columns, as sensitive as what their expressions read.

    Args:
        document: Where they stand.
        parsed: The model.
        columns: The keys, the request's columns, and what is looked up: what expressions may read.

    Raises:
        DefinitionError: An expression is refused or reads something else, a name is taken, or one is declared less
            sensitive than what it comes from, without a reason.
    """
    features: list[ComputedFeature] = []
    made: list[Column] = []
    names = [column.name for column in columns]
    known = [name.lower() for name in names]
    for number, computed in enumerate(parsed.computed):
        place = ("computed", number, "expression")
        taken = {*taken_names(parsed), *names, *(feature.name for feature in features)}
        _require_free(document, computed.name, taken, "computed", number, "name")
        with document.located(*place):
            expression = parse_expression(computed.expression, file=document.file)
        for name in expression.columns:
            if name.lower() not in known:
                raise DefinitionError(
                    f"column '{name}' in the expression of '{computed.name}', which is no key, request column or "
                    "looked-up feature",
                    f"one of: {', '.join(names)}",
                    nearest(name, names, "look it up in features, or declare it in request"),
                    where=document.at(*place),
                )
        feature = with_read(ComputedFeature(computed.name, computed.type, expression), columns)
        origins = {column.name: column.sensitivity for column in feature.read}
        features.append(feature)
        made.append(resolved(_column(computed.name, computed), computed, origins, document, "computed", number))
    return tuple(features), tuple(made)


def with_read(feature: ComputedFeature, columns: Iterable[Column]) -> ComputedFeature:
    """A computed feature with the columns that its expression reads, which may spell them otherwise."""
    spelled = {column.name.lower(): column for column in columns}
    return replace(feature, read=tuple(spelled[name.lower()] for name in feature.expression.columns))


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


def _require_free(document: Document, name: str, taken: set[str], *place: str | int) -> None:
    if name in taken:
        raise DefinitionError(
            f"a second column '{name}' of the model",
            "one name for each column of the model",
            "choose another name",
            where=document.at(*place),
        )


def _column(name: str, column: written.RequestColumnAttributes) -> Column:
    return Column(name, column.type, column.description, column.used_as)
