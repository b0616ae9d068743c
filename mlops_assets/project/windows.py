"""Declared time windows, written out as the SQL that they stand for.

A window of length N ends with the row's own period and holds the rows with a time in [end of the period − N, end of
the period); it is the lookback of a feature lookup, so months are calendar months. Every row in a window counts once,
several of one key and period too, and a period without rows adds nothing.

A lookup finds the newest row of a key, so that row has to hold until the next one. Each period has a row for every key
with a row in the windows of it or of the period before: one more is written when all windows have become empty, and
from then on the newest one is right for ever. Its time is the period's last instant: it also says what did not
happen up to then. What a key without any row has in sums and counts is 0, which its columns say (`Column.absent_as`).
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from mlops_assets.engines.contract import PERIOD_TABLE
from mlops_assets.engines.query import Query, parse_query
from mlops_assets.errors import DefinitionError
from mlops_assets.lakehouse.periods import Calendar, Duration
from mlops_assets.lakehouse.schema import MAX_DIGITS, Column, ColumnType, digits, family, is_number
from mlops_assets.project import attributes as written
from mlops_assets.project.definition import TableDefinition
from mlops_assets.project.field_types import Window
from mlops_assets.project.yaml_files import Document

_NUMERIC = ("sum", "mean", "stddev")
_ZERO_OF_NOTHING = ("sum", "count", "distinct_count")
_WORDS = {"distinct_count": "number of distinct values", "count": "number of values", "last": "last value"} | {
    "mean": "mean", "sum": "sum", "min": "least", "max": "greatest", "stddev": "standard deviation of the sample"
}  # fmt: skip


@dataclass(frozen=True)
class WindowColumn:
    """One column that a window gives.

    Args:
        name: Column, function and window, such as ``units_sum_7_days``.
        attributes: As if it had been declared.
        sql: The aggregate, in DuckDB's dialect.
        window: Its length.
        is_zero: Whether it is 0 of no rows, and not null.
    """

    name: str
    attributes: written.ColumnAttributes
    sql: str
    window: Duration
    is_zero: bool


@dataclass(frozen=True)
class Windows:
    """What declared windows stand for.

    Args:
        query: The SQL.
        columns: Every column that it gives, as if they had been declared.
        history: Fewest periods that it must see, the period itself included.
        zeros: The columns that are 0 for a key without rows; the others are null.
    """

    query: Query
    columns: Mapping[str, written.ColumnAttributes]
    history: int
    zeros: frozenset[str]


def expand_windows(document: Document, parsed: written.FeatureTableAttributes, source: TableDefinition) -> Windows:
    """Write declared windows out as SQL over their source.

    Raises:
        DefinitionError: A column, function or window cannot be, two columns have one name, or ``where`` is refused.
    """
    assert parsed.windows is not None  # the caller asks for tables of windows only
    schema, where = source.schema, parsed.windows.where
    assert schema.timestamp is not None  # a calendar was found among the inputs
    if parsed.timestamp != schema.timestamp:
        raise DefinitionError(
            f"timestamp '{parsed.timestamp}' of windows over '{source.name}'",
            f"'{schema.timestamp}', the time of '{source.name}'",
            "use the time of what is aggregated",
            where=document.at("timestamp"),
        )
    for key in parsed.primary_keys:
        _column(document, source, key, "primary_keys")
    made: dict[str, WindowColumn] = {}
    for place, column in _window_columns(document, parsed, source):
        if column.name in made or column.name in (*parsed.primary_keys, parsed.timestamp):
            raise DefinitionError(
                f"a second column '{column.name}'",
                "each column, function and window once",
                "take one of them out",
                where=document.at(*place),
            )
        made[column.name] = column
    if where is not None:
        probe = f"SELECT 1 AS one FROM {source.name} WHERE (\n{where}\n)"
        with document.located("windows", "where"):
            asked = parse_query(probe, file=document.file)
        for name in sorted(asked.tables - {source.name}):
            raise DefinitionError(
                f"a condition that reads '{name}'",
                f"a condition on the rows of '{source.name}'",
                "use `sql` where several tables are needed",
                where=document.at("windows", "where"),
            )
    text = _sql(source, parsed, schema.timestamp, made.values())
    columns = {name: _as_written(schema.column(name)) for name in (*parsed.primary_keys, schema.timestamp)}
    columns |= {name: column.attributes for name, column in made.items()}
    for name, override in parsed.columns.items():
        if name not in columns or override.type != columns[name].type:
            raise DefinitionError(
                f"column '{name}' of type {override.type}, which the windows do not give",
                f"one of: {', '.join(f'{name} ({column.type})' for name, column in columns.items())}",
                "correct it, or leave it out: windows describe their columns themselves",
                where=document.at("columns", name),
            )
        columns[name] = override
    before = max(periods_spanned(column.window, schema.calendar) for column in made.values())
    zeros = frozenset(name for name, column in made.items() if column.is_zero)
    return Windows(parse_query(text, file=document.file), columns, before + 1, zeros)


def periods_spanned(window: Duration, calendar: Calendar) -> int:
    """How many periods must be seen so that a window that ends with the last of them is seen whole.

    Never too few; a month counts as 28 days where a window of days lies over months, and as 31 the other way.
    """
    if calendar.unit == "month":
        return max(1, window.months or -(-window.rest // timedelta(days=28)))
    years, months = divmod(window.months, 12)
    length = window.rest or timedelta(days=366 * years + 31 * months)
    return max(1, -(-length // timedelta(days=7 if calendar.unit == "week" else 1)))


def _window_columns(
    document: Document, parsed: written.FeatureTableAttributes, source: TableDefinition
) -> Iterator[tuple[tuple[str | int, ...], WindowColumn]]:
    """Every column with its place in the YAML, in the order in which they are declared."""
    assert parsed.windows is not None
    for number, aggregation in enumerate(parsed.windows.aggregations):
        place = ("windows", "aggregations", number)
        column = _column(document, source, aggregation.column, *place, "column")
        for position, function in enumerate(aggregation.functions):
            at = (*place, "functions", position)
            if function in _NUMERIC and not is_number(column.type):
                raise DefinitionError(
                    f"{function} of '{column.name}', which is of type {column.type}",
                    f"{function} of a number",
                    "use count, distinct_count, min, max or last, or another column",
                    where=document.at(*at),
                )
            if function == "last" and not set(source.schema.keys) <= set(parsed.primary_keys):
                raise DefinitionError(
                    f"last of '{column.name}', where '{source.name}' may have several rows at one time",
                    f"one row for each key and time, with the keys {', '.join(source.schema.keys)}",
                    "use another function, or `sql` to say which row is the last",
                    where=document.at(*at),
                )
            for window in aggregation.windows:
                yield at, _window_column(column, function, window, source.schema.timestamp or "")


def _window_column(column: Column, function: str, window: Window, timestamp: str) -> WindowColumn:
    value, moment = f"seen.{_quoted(column.name)}", f"seen.{_quoted(timestamp)}"
    within = f'{moment} >= {PERIOD_TABLE}."end" - {_interval(window.length)}'
    call = {
        "mean": f"avg(CAST({value} AS DOUBLE))" if family(column.type) == "decimal" else f"avg({value})",
        "stddev": f"stddev_samp({value})",
        "distinct_count": f"count(DISTINCT {value})",
        "last": f"max(seen.{_quoted(_last(column.name))})",
    }.get(function, f"{function}({value})")
    if function == "last":  # the one last value of the key, in every window that reaches back to it
        within += f" AND {value} IS NOT NULL"
    type_: ColumnType = column.type
    if function in ("mean", "stddev"):
        type_ = "double"
    elif function in ("count", "distinct_count"):
        type_ = "bigint"
    elif function == "sum" and family(type_) == "decimal":
        type_ = f"decimal({MAX_DIGITS},{digits(type_)[1]})"
    sql = f"{call} FILTER (WHERE {within})"
    return WindowColumn(
        f"{column.name}_{function}_{window.words.replace(' ', '_')}",
        written.ColumnAttributes(
            type=type_,
            description=f"{column.description or column.name}: {_WORDS[function]} over the last {window.words}",
        ),
        f"coalesce({sql}, 0)" if function == "sum" else sql,
        window.length,
        function in _ZERO_OF_NOTHING,
    )


def _sql(
    source: TableDefinition, parsed: written.FeatureTableAttributes, timestamp: str, columns: Collection[WindowColumn]
) -> str:
    """Only one period is grouped: the platform shows a query the periods that end with the one it keeps."""
    assert parsed.windows is not None
    names = [aggregation.column for aggregation in parsed.windows.aggregations]
    needed = [_quoted(name) for name in dict.fromkeys([*parsed.primary_keys, timestamp, *names])]
    by_key = f"PARTITION BY {', '.join(map(_quoted, parsed.primary_keys))} ORDER BY {_quoted(timestamp)}"
    whole = "RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING"
    needed += [
        f"last_value({_quoted(part.column)} IGNORE NULLS) OVER ({by_key} {whole}) AS {_quoted(_last(part.column))}"
        for part in parsed.windows.aggregations
        if "last" in part.functions
    ]
    read = ",\n        ".join(dict.fromkeys(needed))
    where = f"\n    WHERE (\n{parsed.windows.where}\n    )" if parsed.windows.where else ""
    keys = [f"seen.{_quoted(key)}" for key in parsed.primary_keys]
    time = f'CAST({PERIOD_TABLE}."anchor" AS {source.schema.column(timestamp).type.upper()})'
    selected = [*keys, f"{time} AS {_quoted(timestamp)}"]
    selected += [f"{column.sql} AS {_quoted(column.name)}" for column in columns]
    listed = ",\n    ".join(selected)
    return f"""\
WITH {source.name}_rows AS (
    SELECT
        {read}
    FROM {_quoted(source.name)}{where}
)
SELECT
    {listed}
FROM {source.name}_rows AS seen
CROSS JOIN {PERIOD_TABLE}
GROUP BY {", ".join([*keys, *(f'{PERIOD_TABLE}."{moment}"' for moment in ("start", "end", "anchor"))])}
HAVING max(seen.{_quoted(timestamp)}) >= {_begin_before([column.window for column in columns])}
"""


def _begin_before(windows: Collection[Duration]) -> str:
    """Where the longest window of the period before begins; which of months and days are longer is the month's."""
    longest = (Duration(months=max(one.months for one in windows)), Duration(rest=max(one.rest for one in windows)))
    begins = [f'{PERIOD_TABLE}."start" - {_interval(one)}' for one in longest if one != Duration()]
    return begins[0] if len(begins) == 1 else f"least({', '.join(begins)})"


def _last(column: str) -> str:
    """What the last value of a column is called within the SQL."""
    return f"last {column}"


def _interval(window: Duration) -> str:
    if window.months:
        return f"INTERVAL {window.months} MONTH"
    hours = window.rest // timedelta(hours=1)
    return f"INTERVAL {hours} HOUR" if hours % 24 else f"INTERVAL {hours // 24} DAY"


def _column(document: Document, source: TableDefinition, name: str, *place: str | int) -> Column:
    found = f"column '{name}', which '{source.name}' does not have"
    document.require_among(name, source.schema.names, found, "correct the name", *place)
    return source.schema.column(name)


def _as_written(column: Column) -> written.ColumnAttributes:
    return written.ColumnAttributes(type=column.type, description=column.description)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
