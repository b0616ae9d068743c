"""Evaluating a feature table for a period P at the moment K = as_of(P)."""

from typing import TYPE_CHECKING

from mlops_assets.engines.contract import QueryInput
from mlops_assets.errors import MissingDataError
from mlops_assets.features.states import Written, append_computed, is_computed
from mlops_assets.lakehouse.periods import Period
from mlops_assets.project.definition import FeatureTableDefinition, SourceDefinition
from mlops_assets.project.platform import Platform
from mlops_assets.sources.contract import CheckOutcome, require_contract
from mlops_assets.sources.ingest import require_delivered

if TYPE_CHECKING:
    import pyarrow as pa


def evaluate_feature_table(
    platform: Platform, table: FeatureTableDefinition, period: Period
) -> tuple[Written, list[CheckOutcome]]:
    """Compute a feature table's partition as it was known at as_of(P), and append what changed.

    Returns:
        What was written, and what the contract's checks found.

    Raises:
        MissingDataError: An input has no data for the period yet.
        ContractError: The rows break the declared contract; nothing was written.
    """
    require_inputs(platform, table.inputs, period)
    rows = feature_rows(platform, table, period, table.history)
    checks = require_contract(rows, table.schema, table.name)
    known_at = platform.feature_table_as_of(table, period)
    return append_computed(platform, platform.table(table.name), rows, period, known_at), checks


def feature_rows(platform: Platform, table: FeatureTableDefinition, period: Period, history: int) -> "pa.Table":
    """The rows of a feature table for a period, from so many periods of history, as known at as_of(P)."""
    inputs = query_inputs(platform, table.inputs, period, history)
    return platform.engine.evaluate(
        table.query,
        inputs,
        known_at=platform.feature_table_as_of(table, period),
        schema=table.schema,
        keep=period,
    )


def query_inputs(platform: Platform, names: tuple[str, ...], last: Period, history: int) -> list[QueryInput]:
    """What a query sees of its inputs: the ``history`` periods that end with ``last``; static tables whole."""
    inputs = []
    for name in names:
        table = platform.table(name)
        if table.schema.timestamp is None:
            inputs.append(QueryInput(table, None, None))
        else:
            inputs.append(QueryInput(table, table.schema.calendar.shift(last, 1 - history), last))
    return inputs


def require_inputs(platform: Platform, names: tuple[str, ...], period: Period) -> None:
    """See that every input was delivered or computed for a period.

    A failed check stops downstream assets in its own run only, so each step looks for itself.

    Raises:
        MissingDataError: One was not.
    """
    for name in names:
        definition = platform.project.table(name)
        if isinstance(definition, SourceDefinition):
            require_delivered(platform, definition, period)
        elif not is_computed(platform.table(name), period):
            raise MissingDataError(
                f"feature table '{name}' was not computed for {period.key}",
                "every input computed for the period",
                f"materialize {name} for {period.key} first; if its checks failed, mend their cause",
            )
