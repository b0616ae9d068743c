"""From DuckDB's dialect to Spark's, with the same answers, or not at all.

What both engines compute alike is written in Spark's words. Scalar functions of which Spark has another opinion (or
another last digit: its logarithms are not those of the C library) are computed by DuckDB itself, on the executors, a
batch of rows at a time. The rest is refused, with its line, before anything runs.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.engines.allow_list import CLOCK_TEXTS, words
from mlops_assets.engines.named_windows import windows_written_out
from mlops_assets.engines.sql_tree import line_of
from mlops_assets.errors import DefinitionError, Location
from mlops_assets.lakehouse.schema import Column, family

if TYPE_CHECKING:
    from sqlglot import exp


# Classes of sqlglot.exp that mean the same on both, written by sqlglot or by a rule below.
_SAME = words("""
        Select From Where Group Having Order Ordered Limit Offset Fetch Distinct With CTE Subquery Union Except
        Intersect Join Table TableAlias Alias Values Tuple Star Window WindowSpec Qualify Filter
        IgnoreNulls RespectNulls Rollup Cube GroupingSets
        Add Sub Mul Div Mod Neg Paren EQ NEQ GT GTE LT LTE Is Not And Or In Between Like NullSafeEQ NullSafeNEQ Exists
        Abs Column Identifier Literal Null Boolean Var Interval IntervalSpan DataType DataTypeParam
        Case If Cast TryCast Coalesce Nullif Greatest Least
        Sum Avg Min Max Count CountIf LogicalAnd LogicalOr Stddev StddevPop StddevSamp Variance VariancePop
        RowNumber Rank DenseRank PercentRank CumeDist Ntile Lag Lead FirstValue LastValue NthValue
        Year Quarter Month Day DayOfMonth Hour Minute TimestampTrunc DateTrunc MD5 Pi Extract Pow Dot""")
_BY_DUCKDB: Mapping[str, str] = {
    **dict.fromkeys(
        words("""
            Ceil Floor Round Trunc Sqrt Cbrt Exp Ln Log Pow Radians Degrees Sin Cos Tan Cot Asin Acos Atan Atan2
            round_even log10 log2 fmod fdiv gamma lgamma TimeToUnix epoch"""),
        "double",
    ),
    **dict.fromkeys(
        words("""
            Sign Length StrPosition Unicode Levenshtein DateDiff DateSub Extract date_part datepart datediff
            datesub Week WeekOfYear DayOfWeek DayOfYear DayOfWeekIso Second isoyear weekday yearweek millisecond
            microsecond decade century strlen instr"""),
        "bigint",
    ),
    **dict.fromkeys(
        words("""
            Lower Upper Trim Left Right Substring Replace Translate Reverse Repeat Pad SplitPart RegexpReplace
            RegexpExtract Concat ConcatWs DPipe TimeToStr Dayname Monthname SHA SHA2 sha256 sha1 Chr Overlay
            strip_accents ltrim rtrim"""),
        "string",
    ),
    **dict.fromkeys(
        words("""Contains StartsWith EndsWith prefix suffix RegexpLike RegexpFullMatch IsNan IsInf isfinite ILike"""),
        "boolean",
    ),
    **dict.fromkeys(words("StrToTime TimestampFromParts make_timestamp DateBin"), "timestamp"),
    **dict.fromkeys(words("DateFromParts LastDay"), "date"),
}
"""Functions that DuckDB computes on the executors, by class of sqlglot.exp or name, with their type."""

_WHOLE = words("TINYINT SMALLINT INT BIGINT")
_ROUNDS = words("Ceil Floor Round Trunc round_even")
"""Functions whose value is a decimal where their argument is one."""
_TYPES = {"DOUBLE": "double", "DATE": "date", "TIMESTAMPNTZ": "timestamp", "BOOLEAN": "boolean", "TEXT": "string"}
_TYPES |= dict.fromkeys(_WHOLE, "bigint")
_LOGIC = words("And Or Not EQ NEQ GT GTE LT LTE Is In Between Like NullSafeEQ NullSafeNEQ")
_CHOOSING = words("Case If Coalesce Nullif And Or")
"""They compute only what they choose; DuckDB on the executors is handed the whole, or it would compute all."""
_EXTRACTED = words("YEAR QUARTER MONTH DAY HOUR MINUTE")
_NULLS_DO_NOT_COUNT = words(
    "Sum Avg Min Max Count CountIf LogicalAnd LogicalOr Stddev StddevPop StddevSamp Variance VariancePop"
)
_CURE = "write it another way, or set engine: duckdb for the table"
_DECIMAL_CURE = "cast what it is of to DOUBLE, round with CAST(… AS DECIMAL(p, s)), or set engine: duckdb for the table"


@dataclass(frozen=True)
class DuckDBFunction:
    """A scalar expression that DuckDB computes on the executors.

    Args:
        name: What the Spark query calls it.
        sql: The expression in DuckDB's dialect, over the columns ``a0``, ``a1`` and so on.
        type: Logical type of its value.
        arguments: How many columns it takes.
    """

    name: str
    sql: str
    type: str
    arguments: int


@dataclass(frozen=True)
class SparkQuery:
    """A query in Spark's dialect, and the functions that it calls."""

    sql: str
    functions: tuple[DuckDBFunction, ...]


def translate(sql: str, file: Path, columns: Iterable[Column] = ()) -> SparkQuery:
    """Translate a query from DuckDB's dialect to Spark's.

    Args:
        sql: What `parse_query` accepted.
        file: Where it stands, for the message of an error.
        columns: Those of the tables that it reads.

    Raises:
        DefinitionError: Something in it would not, or not surely, give the same answers on Spark.
    """
    from sqlglot import ErrorLevel, exp, parse
    from sqlglot.errors import UnsupportedError

    trees = [tree for tree in parse(sql, read="duckdb") if tree is not None]
    tree = trees[0]
    if len(trees) != 1 or not isinstance(tree, exp.Query):
        raise DefinitionError("a statement that is not one SELECT", "one SELECT", "write one", where=Location(file))
    _logarithms_as_written(tree, sql)
    translation = _Translation(file, _names_of_decimals(tree, columns))
    translation.check(tree)
    try:
        text = translation.of(windows_written_out(tree)).sql("spark", unsupported_level=ErrorLevel.RAISE)
    except UnsupportedError as error:
        raise translation.refused(tree, str(error).splitlines()[0].rstrip(".")) from error
    return SparkQuery(text, tuple(translation.functions))


def spark_figures(figures: Mapping[str, str]) -> list[str]:
    """The aggregate expressions of `Engine.measure` in Spark's dialect, under plain names."""
    from sqlglot import exp, parse_one

    def exact(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.PercentileCont):  # which sqlglot gives a form that Spark does not have
            return exp.Anonymous(this="percentile", expressions=[node.this, node.expression])
        return node

    return [f"{parse_one(sql, read='duckdb').transform(exact).sql('spark')} AS {name}" for name, sql in figures.items()]


@dataclass
class _Translation:
    """One translation, with the functions that it found."""

    file: Path
    decimals: frozenset[str]
    functions: list[DuckDBFunction] = field(default_factory=list)

    def refused(self, node: "exp.Expr", found: str, cure: str = _CURE) -> DefinitionError:
        """The error for something that Spark does not do alike."""
        line, around = line_of(node), node
        while line is None and around.parent is not None:
            around = around.parent
            line = line_of(around)
        return DefinitionError(
            f"{found}, which Spark does not have with the same answers",
            "SQL that both engines answer alike, where the engine is spark",
            cure,
            where=Location(self.file, line),
        )

    def check(self, tree: "exp.Expr") -> None:
        """Refuse what is not known to mean the same."""
        from sqlglot import exp

        for node in tree.walk():
            name = _name(node)
            if name not in _SAME and name not in _BY_DUCKDB:
                written = node.sql("duckdb")
                raise self.refused(node, written if len(written) <= 60 else f"{name} ({written[:50]}…)")
            if found := _other_rows(node) or _other_value(node):
                raise self.refused(node, found)
            if isinstance(node, exp.Order) and isinstance(node.parent, exp.Func):
                raise self.refused(node.parent, f"{node.parent.sql('duckdb')} with an order of its own")
            if (isinstance(node, exp.Avg) or name in _ROUNDS) and any(
                _may_be_decimal(part, self.decimals) for part in node.iter_expressions()
            ):
                raise self.refused(node, f"{node.sql('duckdb')} of a decimal", _DECIMAL_CURE)

    def of(self, node: "exp.Expr") -> "exp.Expr":
        """A node in Spark's words."""
        from sqlglot import exp

        if isinstance(node, exp.Join) and isinstance(node.args.get("on"), exp.And):
            node.set("on", exp.and_(*(self.of(part.copy()) for part in node.args["on"].flatten()), copy=False))
            node.set("this", self.of(node.this))
            return node
        if self._is_duckdbs(node):
            return self._by_duckdb(node)
        _change_parts(node, self.of)
        rule = getattr(self, f"_{type(node).__name__.lower()}", None)
        return rule(node) if rule else node

    def _is_duckdbs(self, node: "exp.Expr") -> bool:
        name = _name(node)
        if _is_function_of_duckdb(node):
            return True
        return name in _CHOOSING and any(_is_function_of_duckdb(below) for below in _scalars(node))

    def _by_duckdb(self, node: "exp.Expr") -> "exp.Expr":
        """A call of DuckDB on the executors; what is no scalar below it is an argument."""
        from sqlglot import exp

        type_ = _type_of(node)
        if type_ is None:
            raise DefinitionError(
                f"{node.sql('duckdb')}, whose type cannot be told",
                "a type that is written out, where the engine is spark",
                "write CAST(… AS DOUBLE) around the values that it chooses from",
                where=Location(self.file, None),
            )
        arguments: dict[str, exp.Expr] = {}

        def taken(part: "exp.Expr") -> "exp.Expr":
            if _is_scalar(part):
                _change_parts(part, taken)
                return part
            text = part.sql("duckdb")
            if text not in arguments:
                arguments[text] = part
            return exp.column(f"a{list(arguments).index(text)}")

        sql = taken(node.copy()).sql("duckdb")
        given = [self.of(argument.copy()) for argument in arguments.values()] or [exp.Literal.number(1)]
        found = next((known for known in self.functions if (known.sql, known.type) == (sql, type_)), None)
        if found is None:
            found = DuckDBFunction(f"by_duckdb_{len(self.functions)}", sql, type_, len(given))
            self.functions.append(found)
        return exp.Anonymous(this=found.name, expressions=given)

    def _div(self, node: "exp.Expr") -> "exp.Expr":
        """Division is of doubles, and by zero it gives infinity or NaN as floats do."""
        from sqlglot import exp

        left, right = (exp.cast(side, "double") for side in (node.this, node.expression))
        if isinstance(node.expression, exp.Literal) and float(node.expression.name) != 0:
            return exp.Paren(this=exp.Div(this=left, expression=right, typed=True))
        by_zero = exp.Mul(
            this=left.copy(), expression=exp.Anonymous(this="POWER", expressions=[right.copy(), exp.Literal.number(-1)])
        )
        quotient = exp.Anonymous(this="TRY_DIVIDE", expressions=[left, right])
        return exp.Coalesce(this=quotient, expressions=[by_zero])

    def _avg(self, node: "exp.Expr") -> "exp.Expr":
        from sqlglot import exp

        if not isinstance(node.this, exp.Distinct):
            node.set("this", exp.cast(node.this, "double"))
        return node

    def _cast(self, node: "exp.Expr") -> "exp.Expr":
        from sqlglot import exp

        if node.args["to"].this.name == "TIMESTAMPNTZ":
            node.set("to", exp.DataType.build("TIMESTAMPTZ"))  # Spark's TIMESTAMP, in the session's zone: UTC
        return node

    _trycast = _cast

    def _whole(self, node: "exp.Expr") -> "exp.Expr":
        """DuckDB counts in 64 bits what Spark counts in 32."""
        from sqlglot import exp

        return exp.cast(node, "bigint")

    _year = _quarter = _month = _day = _dayofmonth = _hour = _minute = _extract = _whole

    def _filter(self, node: "exp.Expr") -> "exp.Expr":
        """Spark has no FILTER in windows; an aggregate that passes nulls over can be given nulls."""
        from sqlglot import exp

        aggregate, condition = node.this, node.expression.this
        holder, key = aggregate, "this"
        if isinstance(aggregate.this, exp.Distinct) and len(aggregate.this.expressions) == 1:
            holder, key = aggregate.this, "expressions"
        elif type(aggregate).__name__ not in _NULLS_DO_NOT_COUNT or isinstance(aggregate.this, exp.Distinct):
            return node
        value = aggregate.this.expressions[0] if key == "expressions" else aggregate.this
        value = exp.Literal.number(1) if isinstance(value, exp.Star) else value
        chosen = exp.Case(ifs=[exp.If(this=condition, true=value)])
        holder.set(key, [chosen] if key == "expressions" else chosen)
        node.replace(aggregate)
        if isinstance(aggregate, exp.Count):
            return self._count(aggregate)
        return self._spread(aggregate) if _name(aggregate) in _SPREADS else aggregate

    def _window(self, node: "exp.Expr") -> "exp.Expr":
        """Spark counts no distinct values in windows, but it collects them."""
        from sqlglot import exp

        counted = node.this
        if isinstance(counted, exp.Count) and isinstance(counted.this, exp.Distinct):
            node.set("this", _distinct_values(counted))
            return _size(node)
        if _name(counted) in _SPREADS:
            node.set("this", _collected(counted))
            return _spread(node, *_SPREADS[_name(counted)])
        if _name(counted) in {"RowNumber", "Rank", "DenseRank", "Ntile"}:
            return exp.cast(node, "bigint")
        return node

    def _count(self, node: "exp.Expr") -> "exp.Expr":
        """Beside a count of distinct values Spark would add up everything else in another order."""
        from sqlglot import exp

        distinct = isinstance(node.this, exp.Distinct) and len(node.this.expressions) == 1
        if not distinct or isinstance(node.parent, exp.Window | exp.Filter):
            return node
        return _size(_distinct_values(node))

    def _spread(self, node: "exp.Expr") -> "exp.Expr":
        """Variances; below a window or a FILTER they wait for it."""
        from sqlglot import exp

        if isinstance(node.parent, exp.Window | exp.Filter):
            return node
        return _spread(_collected(node), *_SPREADS[_name(node)])

    _stddev = _stddevsamp = _stddevpop = _variance = _variancepop = _spread


_SPREADS = {
    "Stddev": ("SQRT(s.d / (s.n - 1))", 2),
    "StddevSamp": ("SQRT(s.d / (s.n - 1))", 2),
    "StddevPop": ("SQRT(s.d / s.n)", 1),
    "Variance": ("s.d / (s.n - 1)", 2),
    "VariancePop": ("s.d / s.n", 1),
}
"""From the count n and the sum of squares d to each measure, and how many values it takes."""


def _change_parts(node: "exp.Expr", change: "Callable[[exp.Expr], exp.Expr]") -> None:
    """Put something else in the place of each part of a node."""
    from sqlglot import exp

    for key, value in list(node.args.items()):
        if isinstance(value, exp.Expr):
            node.set(key, change(value))
        elif isinstance(value, list):
            node.set(key, [change(item) if isinstance(item, exp.Expr) else item for item in value])


def _distinct_values(count: "exp.Expr") -> "exp.Expr":
    from sqlglot import exp

    return exp.Anonymous(this="COLLECT_SET", expressions=count.this.expressions)


def _size(values: "exp.Expr") -> "exp.Expr":
    from sqlglot import exp

    return exp.cast(exp.Anonymous(this="SIZE", expressions=[values]), "bigint")


def _collected(node: "exp.Expr") -> "exp.Expr":
    from sqlglot import exp

    return exp.Anonymous(this="COLLECT_LIST", expressions=[exp.cast(node.this, "double")])


def _spread(values: "exp.Expr", figure: str, least: int) -> "exp.Expr":
    """A variance by DuckDB's recurrence: Spark's own has other last digits."""
    from sqlglot import exp, parse_one

    mean = "(s.m + (x - s.m) / (s.n + 1))"
    start = "NAMED_STRUCT('n', CAST(0 AS BIGINT), 'm', CAST(0 AS DOUBLE), 'd', CAST(0 AS DOUBLE))"
    step = f"NAMED_STRUCT('n', s.n + 1, 'm', {mean}, 'd', s.d + (x - {mean}) * (x - s.m))"
    end = f"(s) -> CASE WHEN s.n >= {least} THEN {figure} END"
    steps = parse_one(f"STEPS({start}, (s, x) -> {step}, {end})", read="spark").expressions
    return exp.Anonymous(this="AGGREGATE", expressions=[values, *steps])


def _logarithms_as_written(tree: "exp.Expr", sql: str) -> None:
    """Tell log10 and log2 from a logarithm to a base, which sqlglot takes for the same; their last digits differ."""
    from sqlglot import exp

    for node in tree.find_all(exp.Log):
        written = re.match(r"\w+", sql[node.meta.get("start", len(sql)) :])
        if written and written.group().lower() in {"log10", "log2"}:
            node.replace(exp.Anonymous(this=written.group().lower(), expressions=[node.expression]))


def _other_rows(node: "exp.Expr") -> str | None:
    """What a part of a query is, if Spark would take other rows by it, or has it not."""
    from sqlglot import exp

    if isinstance(node, exp.Join) and (node.method or "").upper() in {"ASOF", "POSITIONAL"}:
        return f"{node.method} JOIN"
    if isinstance(node, exp.SetOperation) and node.args.get("by_name"):
        return "BY NAME"
    if isinstance(node, exp.Distinct) and node.args.get("on"):
        return "DISTINCT ON"
    if isinstance(node, exp.Star) and (node.args.get("replace") or node.args.get("rename")):
        return "* REPLACE or * RENAME"
    if isinstance(node, exp.Table) and not isinstance(node.this, exp.Identifier):
        return node.sql("duckdb")
    if not isinstance(node, exp.WindowSpec):
        return None
    if (node.args["kind"] or "").upper() == "GROUPS":
        return "a GROUPS frame"
    if _months_and_days(node):
        return "a frame from months to days"
    return "EXCLUDE in a window" if node.args.get("exclude") else None


def _other_value(node: "exp.Expr") -> str | None:
    """What an expression is, if Spark would compute another value, or cannot."""
    from sqlglot import exp

    if isinstance(node, exp.Like) and not (node.expression.is_string and "\\" not in node.expression.name):
        return "LIKE with a pattern that is no plain text"
    if node.is_string and CLOCK_TEXTS.fullmatch(node.name):  # also where nobody wrote a cast
        return f"{node.name!r}, which is the clock beside a time"
    if isinstance(node, exp.Cast) and _type(node.to) is None:
        return f"a cast to {node.to.sql('duckdb')}"
    return node.sql("duckdb") if isinstance(node, exp.Min | exp.Max) and node.expressions else None


def _months_and_days(frame: "exp.Expr") -> bool:
    """Whether one side of a frame is an interval of months or years, and the other of days or less."""
    from sqlglot import exp

    sides = [frame.args[side] for side in ("start", "end") if isinstance(frame.args.get(side), exp.Interval)]
    return len({side.text("unit").upper().rstrip("S") in {"MONTH", "QUARTER", "YEAR"} for side in sides}) > 1


def _name(node: "exp.Expr") -> str:
    """How the tables above call a node."""
    from sqlglot import exp

    return node.name.lower() if isinstance(node, exp.Anonymous) else type(node).__name__


def _is_function_of_duckdb(node: "exp.Expr") -> bool:
    from sqlglot import exp

    if isinstance(node, exp.Extract):
        return node.name.upper() not in _EXTRACTED
    if isinstance(node, exp.Cast):
        return (
            node.to.this.name == "DECIMAL"
            or node.to.this.name in _WHOLE
            and not _is_whole(node.this)
            or node.to.this.name in {"TEXT"}
            and not (node.this.is_string or isinstance(node.this, exp.Null))
        )
    return _name(node) in _BY_DUCKDB


def _is_whole(node: "exp.Expr") -> bool:
    """Whether a value is certainly a whole number or null, which a cast to whole numbers leaves as it is."""
    from sqlglot import exp

    return isinstance(node, exp.Null | exp.Count) or (isinstance(node, exp.Literal) and node.is_int)


def _is_scalar(node: "exp.Expr") -> bool:
    """Whether a node is a part of an expression that DuckDB can be handed with it."""
    from sqlglot import exp

    if isinstance(
        node, exp.Column | exp.AggFunc | exp.Window | exp.Query | exp.Subquery | exp.Exists | exp.Filter | exp.Star
    ):
        return False
    return not (isinstance(node, exp.In) and node.args.get("query")) and not isinstance(
        node, exp.IgnoreNulls | exp.RespectNulls
    )


def _scalars(node: "exp.Expr") -> "Iterator[exp.Expr]":
    """A node and what lies below it, as far as it is handed to DuckDB together."""
    return node.walk(prune=lambda part: not _is_scalar(part))


def _names_of_decimals(tree: "exp.Expr", columns: Iterable[Column]) -> frozenset[str]:
    """The names, in lower case, under which a query may have decimals: those of columns, and what they are called."""
    from sqlglot import exp

    names = {column.name.lower() for column in columns if family(column.type) == "decimal"}
    before = None
    while names != before:
        before = set(names)
        names |= {alias.alias.lower() for alias in tree.find_all(exp.Alias) if _may_be_decimal(alias.this, before)}
    if names:  # WITH a(x) AS …: which of them is which column is not looked at
        names |= {column.name.lower() for alias in tree.find_all(exp.TableAlias) for column in alias.columns}
    return frozenset(names)


def _may_be_decimal(node: "exp.Expr", names: Collection[str]) -> bool:
    """Whether the value of an expression is a decimal of one of some columns, or is cast to one."""
    from sqlglot import exp

    def is_none(part: "exp.Expr") -> bool:
        other = isinstance(part, exp.Cast) or (_name(part) in _BY_DUCKDB and _name(part) not in _ROUNDS)
        return other or isinstance(part, exp.Div | exp.Avg | exp.Count) or _name(part) in _LOGIC

    return any(
        part.name.lower() in names if isinstance(part, exp.Column) else _is_decimal_cast(part)
        for part in node.walk(prune=is_none)
    )


def _is_decimal_cast(node: "exp.Expr") -> bool:
    from sqlglot import exp

    return isinstance(node, exp.Cast) and node.to.this.name == "DECIMAL"


def _type(data_type: "exp.Expr") -> str | None:
    if getattr(data_type.this, "name", "") == "DECIMAL":
        written = [part.name for part in data_type.expressions] or ["18", "3"]
        return f"decimal({','.join([*written, '0'][:2])})"
    return _TYPES.get(data_type.this.name if hasattr(data_type.this, "name") else "")


def _type_of(node: "exp.Expr") -> str | None:
    """The logical type of an expression, where it shows without knowing its columns."""
    from sqlglot import exp

    name = _name(node)
    if isinstance(node, exp.Cast):
        return _type(node.to)
    if name in _BY_DUCKDB and (not isinstance(node, exp.Extract) or _is_function_of_duckdb(node)):
        return _BY_DUCKDB[name]
    if name in _LOGIC or isinstance(node, exp.Boolean):
        return "boolean"
    if isinstance(node, exp.Literal):
        return "string" if node.is_string else None
    if isinstance(node, exp.Div | exp.Avg):
        return "double"
    if isinstance(node, exp.Paren | exp.Neg | exp.Abs | exp.Nullif):
        return _type_of(node.this)
    if isinstance(node, exp.Add | exp.Sub | exp.Mul):
        return "double" if "double" in (_type_of(node.this), _type_of(node.expression)) else None
    if isinstance(node, exp.Coalesce):
        return _first_type([node.this, *node.expressions])
    if isinstance(node, exp.Case):
        return _first_type([*(branch.args["true"] for branch in node.args["ifs"]), node.args.get("default")])
    if isinstance(node, exp.If):
        return _first_type([node.args["true"], node.args.get("false")])
    return None


def _first_type(nodes: "list[exp.Expr | None]") -> str | None:
    types = [type_ for node in nodes if node is not None and (type_ := _type_of(node)) is not None]
    if "double" in types:
        return "double"
    decimals = [type_ for type_ in types if family(type_) == "decimal"]
    return (decimals or types)[0] if types else None
