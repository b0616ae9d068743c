"""Proving that a declared ``history`` is long enough: what is computed must not change when more is seen.

Too short a history gives no error, only nulls and sums that are too small. So each computation is run at its history
and at a longer one, over generated rows that keep the contracts of its inputs, and over the home's rows at double
its history. Over generated rows every key has a row in every period: a query that counts rows (LAG, ROWS) reads
further back only over gaps, and is warned of by its text.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.engines.duckdb import DuckDBEngine
from mlops_assets.engines.query import Query
from mlops_assets.errors import ContractError, DefinitionError, Location
from mlops_assets.features.feature_tables import computed_rows, query_inputs
from mlops_assets.features.generated_rows import GeneratedPlatform, Shape, generate_rows, write_rows
from mlops_assets.features.labels import label_schema
from mlops_assets.features.states import is_computed
from mlops_assets.lakehouse.clock import StandingClock
from mlops_assets.lakehouse.content_hash import content_hash
from mlops_assets.lakehouse.home import Home
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.schema import TableSchema
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ProjectDefinition
from mlops_assets.project.python_function import PythonFunction

if TYPE_CHECKING:
    import pyarrow as pa

GENERATED_PERIODS = {"month": 37, "week": 160, "day": 400}
"""How many periods generated rows cover at least: enough for the same time three years or one year ago."""
SPREAD = 3
"""At how many periods of the home's data a history is tried."""
_TOLERANCE = 1e-6
"""Sums of floats over a frame depend in their last digits on where in its partition the frame lies."""
WHOLE = Shape(0.0, 0, False, (), frozenset(), seed=1)
"""Each key has one row in each period, without nulls."""
WITH_NULLS = Shape(0.3, 0, True, (), frozenset(), seed=2)
"""Each key has two where a period has several times, with many nulls."""

Answers = Callable[[int], "tuple[pa.Table, pa.Table]"]
"""Gives what is computed with so many periods of history, and what with the most."""


@dataclass(frozen=True)
class Subject:
    """Something that is computed for a period from the history of its inputs.

    Args:
        name: What people call it, such as ``feature table 'trend'``.
        computation: What computes it.
        inputs: The tables it reads.
        schema: What it gives.
        history: How many periods it sees.
        history_location: Where that is declared.
        first: Its first period.
        last: Its last period, if there is one.
        ahead: How many periods after the one it is about the last one lies that it sees.
    """

    name: str
    computation: Query | PythonFunction
    inputs: tuple[str, ...]
    schema: TableSchema
    history: int
    history_location: Location
    first: Period
    last: Period | None
    ahead: int

    def rows(self, platform: Platform, period: Period, history: int) -> "pa.Table":
        """Its rows for a period, by what the platform's clock says is known, with so many periods of history."""
        last = self.schema.calendar.shift(period, self.ahead)
        inputs, now = query_inputs(platform, self.inputs, last, history), platform.clock.now()
        engine, computation, schema = platform.engine, self.computation, self.schema
        found = computed_rows(platform, engine, computation, inputs, known_at=now, schema=schema, period=period)
        return engine.to_arrow(found.rows)


def subjects_of(project: ProjectDefinition) -> Iterator[Subject]:
    """Everything in a project that has a history: feature tables, populations and labels."""
    for table in project.feature_tables.values():
        span = (table.history, table.history_location, table.first, table.last)
        yield Subject(f"feature table '{table.name}'", table.computation, table.inputs, table.schema, *span, 0)
    for model in project.models.values():
        name, label, span = model.name, model.label, (model.history, model.history_location, model.first, model.last)
        keys, inputs = model.population_schema, model.population_inputs
        yield Subject(f"the population of '{name}'", model.population, inputs, keys, *span, 0)
        known = label_schema(model)
        yield Subject(f"the label of '{name}'", label.query, label.inputs, known, *span, label.known_after)


def prove_history(project: ProjectDefinition, subject: Subject, folder: Path, home: Platform | None) -> Iterator[str]:
    """See that a subject computes the same when it sees more than its history.

    Args:
        project: The project.
        subject: What is computed.
        folder: Where generated rows may be put.
        home: The platform of a home that may hold data.

    Yields:
        Warnings, a sentence each: where nothing could be proven, and where keys repeat over inputs that keep theirs.

    Raises:
        DefinitionError: It computes something else; with the line of ``history`` and the least that would do, or a
            Python function answers differently the second time.
        ContractError: A Python function fails over rows without nulls, or gives other columns or types than declared.
    """
    most = max(2 * subject.history, GENERATED_PERIODS[subject.schema.calendar.unit])
    function = subject.computation if isinstance(subject.computation, PythonFunction) else None
    seen_rows, failures = False, []
    for with_nulls in (False, True):

        def answers(history: int, with_nulls: bool = with_nulls) -> "tuple[pa.Table, pa.Table]":
            # Where there are nulls, some columns have nothing else in all of the history, so that a last value must
            # be sought before it.
            shape = replace(WITH_NULLS, silent_periods=history) if with_nulls else WHOLE
            platform, period = generated_platform(project, subject, most, shape, folder)
            if function and not with_nulls:
                _require_same_twice(subject, function, platform, period)
            return subject.rows(platform, period, history), subject.rows(platform, period, most)

        try:
            answered = _require_same(subject, answers, most, "over generated rows")
            seen_rows = seen_rows or bool(answered.num_rows)
            if not with_nulls:
                yield from _repeated(subject, answered)
        except ContractError as error:
            if function and not with_nulls:
                raise
            failures.append(error.found)
    double = 2 * subject.history
    for period in _periods_with_data(home, subject) if home else []:

        def seen(history: int, period: Period = period) -> "tuple[pa.Table, pa.Table]":
            assert home is not None
            return subject.rows(home, period, history), subject.rows(home, period, double)

        answered = _require_same(subject, seen, double, f"in the home's data of {period.key}")
        seen_rows = seen_rows or bool(answered.num_rows)
    if not seen_rows:
        reason = failures[0] if failures else "it gives no rows"
        yield (
            f"{subject.history_location}: the history of {subject.name} is not proven long enough: over generated "
            f"rows {reason}. It is tried again over the home's rows once there are some."
        )


def differing_columns(fewer: "pa.Table", more: "pa.Table", schema: TableSchema) -> list[str]:
    """The columns in which two answers for a period differ; keys and timestamp where the rows are others."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    names = list(schema.identity)
    order = [(name, "ascending") for name in (*names, *schema.value_names)]  # generated rows may repeat a key
    fewer, more = fewer.sort_by(order), more.sort_by(order)
    if not fewer.select(names).equals(more.select(names)):
        return names
    found = []
    for name in schema.value_names:
        left, right = fewer.column(name), more.column(name)
        same = left.equals(right)
        if not same and pa.types.is_floating(left.type) and pc.is_null(left).equals(pc.is_null(right)):
            numbers = left.to_numpy(), right.to_numpy()
            same = bool(np.allclose(numbers[0], numbers[1], rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True))
        if not same:
            found.append(name)
    return found


def min_history(agrees: Callable[[int], bool], history: int, most: int) -> int | None:
    """The least history that agrees with the longest, or None where only the longest does.

    Args:
        agrees: Whether so many periods give the same as ``most`` of them.
        history: A history that does not.
        most: The longest there are rows for.

    Example:
        >>> min_history(lambda periods: periods >= 13, 6, 37)
        13
    """
    short, long = history, min(2 * history, most)
    while long < most and not agrees(long):
        short, long = long, min(2 * long, most)
    while long - short > 1:
        middle = (short + long) // 2
        short, long = (short, middle) if agrees(middle) else (middle, long)
    return long if long < most else None


def _repeated(subject: Subject, rows: "pa.Table") -> Iterator[str]:
    """A warning where rows have the key and time of another, though each key of the inputs has one row in a period."""
    names = list(subject.schema.identity)
    repeated = rows.num_rows - rows.group_by(names).aggregate([]).num_rows
    if repeated and subject.schema.value_names:  # of keys and times alone, the same row twice says nothing else
        written = subject.computation
        where = written.location if isinstance(written, PythonFunction) else Location(written.file)
        yield (
            f"{where}: {subject.name} gives {repeated} of {rows.num_rows} rows the {', '.join(names)} of another (over "
            "generated rows), and of such rows only one can be kept: aggregate, or join on whole keys."
        )


def _require_same(subject: Subject, answers: Answers, most: int, where: str) -> "pa.Table":
    """Refuse a history with which a subject gives something else than with more; gives what it answers with these.

    Args:
        subject: What is computed.
        answers: What it gives with so many periods of history, and what with ``most``.
        most: The longest history.
        where: Over which rows, in words.
    """
    fewer, more = answers(subject.history)
    columns = differing_columns(fewer, more, subject.schema)
    if not columns:
        return more

    def agrees(history: int) -> bool:
        return not differing_columns(*answers(history), subject.schema)

    least, unit = min_history(agrees, subject.history, most), subject.schema.calendar.unit
    found = f"{subject.name} gives another {', '.join(columns)} when it sees more than its {subject.history} {unit}s"
    if least is None:
        expected, cure = "a look back that ends", "bound how far it looks back, such as by a RANGE frame"
        found += f", up to {most} {unit}s"
    else:
        expected, cure = f"a history of at least {least} {unit}s", f"write 'history: {least} {unit}s'"
    raise DefinitionError(f"{found} ({where})", expected, cure, where=subject.history_location)


def _require_same_twice(subject: Subject, function: PythonFunction, platform: Platform, period: Period) -> None:
    hashes = {
        content_hash(subject.rows(platform, period, subject.history), subject.schema.names) for _ in ("once", "again")
    }
    if len(hashes) > 1:
        raise DefinitionError(
            f"'{function.name}' answers differently when it is called again with the same rows",
            "a function that depends on its arguments only",
            "take out randomness, the clock and what it keeps between calls",
            where=function.location,
        )


def generated_platform(
    project: ProjectDefinition,
    subject: Subject,
    most: int,
    shape: Shape,
    folder: Path,
    kept: "Callable[[pa.Table, TableSchema, Period], pa.Table]" = lambda rows, schema, last: rows,
) -> tuple[Platform, Period]:
    """A platform with generated rows of a subject's inputs, and the period that they are enough for.

    Args:
        project: The project.
        subject: What is computed.
        most: How many periods there are rows of.
        shape: What they look like; its texts and keys are those of the project.
        folder: Where they may be put.
        kept: Which rows of a table, given its schema and the last period that there are rows of, are kept.
    """
    quoted = re.findall(r"'([^'\n]{1,40})'|\"([^\"\n]{1,40})\"", subject.computation.text)
    texts = tuple(dict.fromkeys(text for pair in quoted for text in pair if text))
    keys = frozenset(key for name in subject.inputs for key in project.table(name).schema.keys)
    calendar = subject.schema.calendar
    last = calendar.shift(subject.last or calendar.shift(subject.first, most), subject.ahead)
    periods = list(calendar.between(calendar.shift(last, 1 - most), last))
    tables = {}
    for name in subject.inputs:
        schema = project.table(name).schema
        rows = generate_rows(schema, periods, replace(shape, texts=texts, keys=keys))
        tables[name] = write_rows(folder, name, schema, kept(rows, schema, last))
    engine = DuckDBEngine(folder, limits=project.engine.evaluation)
    clock = StandingClock(datetime(2200, 1, 1, tzinfo=UTC))
    platform = GeneratedPlatform(project, Home(folder), clock, engine, tables)
    return platform, calendar.shift(last, -subject.ahead)


def _periods_with_data(home: Platform, subject: Subject) -> list[Period]:
    """The newest period that the home has all inputs of, and some that lie before it."""
    calendar = subject.schema.calendar
    tables = [home.table(name) for name in subject.inputs if home.table(name).schema.timestamp]
    newest = [period for table in tables if (period := table.newest_period())]
    if not newest or len(newest) < len(tables):
        return []
    last = min(newest)
    count = calendar.distance(subject.first, last) + 1 - subject.ahead
    offsets = dict.fromkeys(number * max(count, 0) // SPREAD for number in range(SPREAD)) if count > 0 else {}
    candidates = [calendar.shift(last, -offset) for offset in offsets]
    complete = [period for period in candidates if all(is_computed(table, period) for table in tables)]
    return [calendar.shift(period, -subject.ahead) for period in complete]
