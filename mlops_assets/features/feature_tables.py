"""Evaluating a feature table for a period P: at as_of(P), and at each correction of what it rests on."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from mlops_assets.engines.contract import Engine, QueryInput
from mlops_assets.engines.limits import told_of
from mlops_assets.engines.query import Query
from mlops_assets.errors import MissingDataError
from mlops_assets.features.finite import NO_FIGURES, FiniteRows, finite_rows
from mlops_assets.features.generations import missing_history, record_generation, require_history
from mlops_assets.features.python_functions import call_function
from mlops_assets.features.states import Written, compute, is_computed
from mlops_assets.governance.evidence import InputEvidence, window_evidence
from mlops_assets.lakehouse.periods import Calendar, Period
from mlops_assets.lakehouse.schema import TableSchema
from mlops_assets.platform import Platform
from mlops_assets.project.definition import FeatureTableDefinition, SourceDefinition
from mlops_assets.project.python_function import PythonFunction
from mlops_assets.project.reads import Reads
from mlops_assets.project.spans import periods_behind
from mlops_assets.quality.contract import BrokenContractError, CheckOutcome
from mlops_assets.quality.expectations import expected_figures, require_expected
from mlops_assets.sources.ingest import require_delivered


def evaluate_feature_table(
    platform: Platform, table: FeatureTableDefinition, period: Period
) -> tuple[Written, list[CheckOutcome]]:
    """Compute a feature table's partition as known at as_of(P) and at each correction since, and append what changed.

    Returns:
        What was written, and what the checks of the contract and of expectations found in the rows as known last.

    Raises:
        MissingDataError: An input has no data for the period yet, or lacks a period of the history since its
            definition is new.
        ContractError: The rows break the contract, or an expectation that blocks; nothing was written.
        DefinitionError: The definition is new and retypes a column that a model looks up.
    """
    require_inputs(platform, table.inputs, period, table.history)
    record_generation(platform, table)
    inputs = query_inputs(platform, table.inputs, period, table.history)
    checks: list[CheckOutcome] = []
    engine, states = platform.engine_of(table.name), platform.table(table.name)
    before = table.schema.calendar.shift(period, -1)
    figures = expected_figures(table.schema, table.expectations)

    def rows_at(moment: datetime) -> FiniteRows:
        computed = feature_rows(platform, table, period, inputs, moment, figures)
        _require_finite(table, computed.not_finite)
        checks[:] = require_expected(
            engine,
            computed.rows,
            computed.measured,
            table.schema,
            table.name,
            table.expectations,
            last_count=lambda: engine.known_at(states, moment, first=before, last=before).num_rows,
        )
        return computed

    as_of = platform.feature_table_as_of(table, period)
    return compute(platform, states, period, as_of, inputs, rows_at), checks


def feature_rows(
    platform: Platform,
    table: FeatureTableDefinition,
    period: Period,
    inputs: Sequence[QueryInput],
    known_at: datetime,
    figures: Mapping[str, str] = NO_FIGURES,
) -> FiniteRows:
    """The rows of a feature table for a period, from what was known of its inputs at a moment; as `computed_rows`."""
    engine, schema = platform.engine_of(table.name), table.schema
    with told_of(f"feature table '{table.name}'"):
        return computed_rows(
            platform,
            engine,
            table.computation,
            inputs,
            known_at=known_at,
            schema=schema,
            period=period,
            figures=figures,
        )


def computed_rows(
    platform: Platform,
    engine: Engine,
    computation: Query | PythonFunction,
    inputs: Sequence[QueryInput],
    *,
    known_at: datetime,
    schema: TableSchema,
    period: Period,
    figures: Mapping[str, str] = NO_FIGURES,
) -> FiniteRows:
    """What SQL or a Python function gives for a period, from what was known of its inputs at a moment.

    Returns:
        The rows, with null in place of numbers that are not finite, and the ``figures`` of them.
    """
    if isinstance(computation, PythonFunction):
        rows = engine.rows(
            call_function(platform, computation, inputs, known_at=known_at, schema=schema, period=period)
        )
    else:
        rows = engine.evaluate(computation, inputs, known_at=known_at, schema=schema, keep=period)
    return finite_rows(engine, rows, schema.columns, figures)


def _require_finite(table: FeatureTableDefinition, counts: Mapping[str, int]) -> None:
    """See that no number is infinite or NaN in a column that refuses them.

    Raises:
        ContractError: One is.
    """
    refused = {name: count for name, count in counts.items() if table.schema.column(name).not_finite == "refuse"}
    if refused:
        found = "; ".join(f"{count} values of '{name}' that are not finite" for name, count in refused.items())
        raise BrokenContractError.of(
            [CheckOutcome("values_allowed", False, found, sum(refused.values()))],
            table.name,
            "finite numbers, as declared",
            "correct the computation (nullif keeps a division from 0), or take not_finite out; nothing was written",
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


def has_history(platform: Platform, names: tuple[str, ...], period: Period, history: int) -> bool:
    """Whether no table lacks one of the ``history`` periods that end with a period since its definition is new."""
    first = {name: platform.table(name).schema.calendar.shift(period, 1 - history) for name in names}
    return not any(missing_history(platform.table(name), first[name], period) for name in names)


def require_inputs(platform: Platform, names: Iterable[str], period: Period, history: int) -> None:
    """See that every input was delivered or computed for a period, and has the ``history`` periods that end with it.

    A failed check stops downstream assets in its own run only, so each step looks for itself. Of an input with other
    periods, those that end in the period are needed, or the newest before.

    Raises:
        MissingDataError: One was not, or has a new definition under which its history was not computed.
    """
    for name in names:
        definition, states = platform.project.table(name), platform.table(name)
        behind = periods_behind(definition, period, period)
        for one in behind:
            if isinstance(definition, SourceDefinition):
                require_delivered(platform, definition, one)
            elif not is_computed(states, one):
                raise MissingDataError(
                    f"feature table '{name}' was not computed for {one.key}",
                    "every input computed for the period",
                    f"materialize {name} for {one.key} first; if its checks failed, mend their cause",
                )
        if behind:
            require_history(states, states.schema.calendar.shift(behind[0], 1 - history), behind[-1])


def missing_inputs(platform: Platform, names: Iterable[str], period: Period) -> str:
    """Which of some tables was not delivered or computed for a period, in words; empty where all were."""
    try:
        require_inputs(platform, names, period, history=1)
    except MissingDataError as error:
        return error.found
    return ""


def tables_evidence(platform: Platform, reads: Reads, first: Period, last: Period) -> list[InputEvidence]:
    """Evidence of reading of each table the periods behind those from one to another; of static tables all."""
    return [
        window_evidence(
            platform.table(name),
            periods_behind(platform.project.table(name), first, last),
            platform.engine.data_versions,
            columns,
        )
        for name, columns in reads.items()
    ]


def history_evidence(
    platform: Platform, reads: Reads, last: Period, history: int, calendar: Calendar
) -> list[InputEvidence]:
    """Evidence of reading the ``history`` periods that end with one, as `tables_evidence`."""
    return tables_evidence(platform, reads, calendar.shift(last, 1 - history), last)
