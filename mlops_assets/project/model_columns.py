"""The columns of a model with how sensitive each is, which follows from where it comes from; see `sensitivity`."""

from collections.abc import Mapping, Sequence

from mlops_assets.engines.query import Query
from mlops_assets.lakehouse.schema import Column, Sensitivity
from mlops_assets.project import model_attributes as written
from mlops_assets.project.definition import ProjectDefinition, TableDefinition
from mlops_assets.project.model_parts import LabelDefinition
from mlops_assets.project.sensitivity import resolved, sql_origins
from mlops_assets.project.yaml_files import Document

PREDICTION = "prediction"


def require_own_names(document: Document, parsed: written.ModelAttributes, names: Sequence[str]) -> None:
    """See that ``columns`` names columns of the model that are declared nowhere else.

    Raises:
        DefinitionError: It names another.
    """
    known = [*names, parsed.label.column, PREDICTION]
    for name in parsed.columns:
        found = f"column '{name}', which is no key, timestamp, label, looked-up feature or prediction of the model"
        cure = "correct the name; of request and computed columns it is said where they stand"
        document.require_among(name, known, found, cure, "columns", name)


def population_columns(
    document: Document,
    parsed: written.ModelAttributes,
    population: Query,
    inputs: Mapping[str, TableDefinition],
    named: Sequence[tuple[str, Column]],
    request: Sequence[Column],
) -> tuple[tuple[Column, ...], tuple[Column, ...]]:
    """Keys and timestamp, and the columns of the request, with their sensitivity: that of the population's SQL.

    A key or timestamp is at least as sensitive as in the table that describes it (``named``).

    Raises:
        DefinitionError: One is declared less sensitive than what it comes from, without a reason.
    """
    asked = parsed.request.columns if parsed.request else {}
    declared = {**{column.name: parsed.columns.get(column.name) for _, column in named}, **asked}
    origins = sql_origins(population, inputs, declared)
    own = [
        resolved(
            column,
            declared[column.name],
            {**origins[column.name], f"{table}.{column.name}": column.sensitivity},
            document, "columns", column.name,
        )
        for table, column in named
    ]  # fmt: skip
    place = ("request", "columns")
    return tuple(own), tuple(
        resolved(column, declared[column.name], origins[column.name], document, *place, column.name)
        for column in request
    )


def looked_up_columns(
    document: Document,
    parsed: written.ModelAttributes,
    project: ProjectDefinition,
    lookups: Sequence[written.LookupDefinition],
    features: Sequence[Column],
    request: Sequence[Column],
) -> tuple[Column, ...]:
    """Looked-up features with their sensitivity: that of the table's column, and of request columns it is found by.

    Raises:
        DefinitionError: One is declared less sensitive than what it comes from, without a reason.
    """
    asked = {column.name: column.sensitivity for column in request}
    origins: dict[str, dict[str, Sensitivity]] = {}
    for lookup in lookups:
        schema = project.table(lookup.table).schema
        found_by = {name: asked[name] for name in lookup.lookup_key or schema.keys if name in asked}
        for column, name in zip(lookup.columns, lookup.names, strict=True):
            origins[name] = {f"{lookup.table}.{column}": schema.column(column).sensitivity, **found_by}
    return tuple(
        resolved(column, parsed.columns.get(column.name), origins[column.name], document, "columns", column.name)
        for column in features
    )


def label_and_prediction(
    document: Document,
    parsed: written.ModelAttributes,
    label: LabelDefinition,
    inputs: Mapping[str, TableDefinition],
    features: Sequence[Column],
) -> tuple[Column, Column]:
    """The label's column, and the prediction, which is computed from features by what learned from labels.

    Raises:
        DefinitionError: One is declared less sensitive than what it comes from, without a reason.
    """
    name, declared = label.column, parsed.columns
    column = resolved(
        Column(name, label.type, f"The label, {label.unit}".strip(", ")),
        declared.get(name),
        sql_origins(label.query, inputs, {name: declared.get(name)})[name],
        document, "columns", name,
    )  # fmt: skip
    about = ", ".join(text for text in ("What the champion predicted", label.unit) if text)
    learned = {of.name: of.sensitivity for of in (*features, column)}
    prediction = Column(PREDICTION, label.type, about)
    return column, resolved(prediction, declared.get(PREDICTION), learned, document, "columns", PREDICTION)
