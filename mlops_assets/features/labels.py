"""Labels: what became known in a period Q about the period that lies horizon + delay before it."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from mlops_assets.engines.contract import QueryInput
from mlops_assets.engines.limits import told_of
from mlops_assets.errors import ContractError
from mlops_assets.features.feature_tables import query_inputs, require_inputs
from mlops_assets.features.finite import FiniteRows, finite_table
from mlops_assets.features.generations import newest_earlier
from mlops_assets.features.states import Written, compute
from mlops_assets.lakehouse.masking import told
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.schema import TableSchema
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition

if TYPE_CHECKING:
    import pyarrow as pa


def labelled_period(model: ModelDefinition, known_in: Period) -> Period:
    """The period that is predicted from, whose labels become known in ``known_in``."""
    return model.schema.calendar.shift(known_in, -model.label.known_after)


def label_inputs(model: ModelDefinition) -> tuple[str, ...]:
    """The tables that a model's labels rest on: what its population and its label read."""
    return tuple(dict.fromkeys([*model.population_inputs, *model.label.inputs]))


def label_history(model: ModelDefinition) -> int:
    """How many periods labels see, ending with the one in which they become known."""
    return model.history + model.label.known_after


def newest_labelled(platform: Platform, model: ModelDefinition) -> Period | None:
    """The newest period in which labels became known, in any generation; None where none has."""
    labels = platform.labels(model)
    newest = max(filter(None, (labels.newest_period(), newest_earlier(labels))), default=None)
    return model.schema.calendar.shift(newest, model.label.known_after) if newest else None


def population(platform: Platform, model: ModelDefinition, period: Period) -> "pa.Table":
    """The keys (with timestamp and request) to train on and to score in a period, as known at its as_of.

    A number that is not finite is null.
    """
    with told_of(f"the population of '{model.name}'"):
        rows = platform.engine.evaluate(
            model.population,
            query_inputs(platform, model.population_inputs, period, model.history),
            known_at=platform.model_as_of(model, period),
            schema=model.population_schema,
            keep=period,
        )
    return finite_table(platform.engine.to_arrow(rows))[0]


def label_schema(model: ModelDefinition) -> TableSchema:
    """What a model's label SQL answers: keys, timestamp and the label's column."""
    columns = (*model.schema.columns, model.label_column)
    return TableSchema(model.schema.keys, model.schema.timestamp, columns, model.schema.calendar)


def compute_labels(platform: Platform, model: ModelDefinition, known_in: Period) -> Written:
    """Compute the labels that become known in a period: at the as_of of that period, and at each correction since.

    One row for each key of the population; the label is null where there is none, or none that is finite.

    Raises:
        MissingDataError: An input has no data for the period yet.
        ContractError: Labels would be known before the time they are predicted from, or repeat keys.
    """
    import pyarrow as pa

    require_inputs(platform, label_inputs(model), known_in, label_history(model))
    period = labelled_period(model, known_in)
    known_at = platform.labels_as_of(model, known_in)
    predicted_at = platform.model_as_of(model, period)
    require_not_early(model, period, known_at, predicted_at)
    keys = population(platform, model, period)
    inputs = query_inputs(platform, model.label.inputs, known_in, model.history)
    table = platform.labels(model)

    def rows_at(moment: datetime) -> FiniteRows:
        found, counts = finite_table(_label_rows(platform, model, period, inputs, moment))
        names = [(name, "ascending") for name in model.schema.names]
        joined = keys.join(found, keys=list(model.schema.names), join_type="left outer").sort_by(names)
        predicted = pa.array([predicted_at] * joined.num_rows, pa.timestamp("us", "UTC"))
        rows = joined.append_column("predicted_at", predicted)
        given = platform.engine.rows(rows.select(list(table.schema.names)).cast(table.schema.arrow()))
        return FiniteRows(given, counts, {})

    return compute(platform, table, period, known_at, inputs, rows_at)


def _label_rows(
    platform: Platform, model: ModelDefinition, period: Period, inputs: Sequence[QueryInput], known_at: datetime
) -> "pa.Table":
    with told_of(f"the label of '{model.name}'"):
        rows = platform.engine.evaluate(
            model.label.query, inputs, known_at=known_at, schema=label_schema(model), keep=period
        )
    labels = platform.engine.to_arrow(rows)
    if labels.group_by(list(model.schema.names)).aggregate([]).num_rows < labels.num_rows:
        raise ContractError(
            f"{model.label.query.file.name} gives a key of '{model.name}' more than one label in {period.key}",
            "one label for each key and time",
            "aggregate, or join on the whole key",
        )
    strange = set(labels.column(model.label.column).unique().to_pylist()) - {None, *model.label.classes}
    if model.task == "multiclass" and strange:
        found = told(model.label_column, ", ".join(sorted(strange)))
        raise ContractError(
            f"the class {found} in what {model.label.query.file.name} gives for {period.key}",
            f"one of: {', '.join(model.label.classes)}",
            "add it to label.classes, or correct the SQL",
        )
    return labels


def require_not_early(model: ModelDefinition, period: Period, known_at: datetime, predicted_at: datetime) -> None:
    """The blocking check of every label: it is not known before the as_of that it is predicted from.

    Raises:
        ContractError: It would be.
    """
    if known_at <= predicted_at:
        raise ContractError(
            f"labels of '{model.name}' for {period.key} are known at {known_at}, and predicted at {predicted_at}",
            "labels that become known after the prediction",
            "give the label a longer horizon or delay, or the features a shorter lag",
        )
