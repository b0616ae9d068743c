"""Numbers that are not finite (NaN, infinity) in what was computed: null, and counted by column."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mlops_assets.engines.contract import Engine, Rows
from mlops_assets.engines.figures import count_where, is_not_finite
from mlops_assets.lakehouse.exact import finite
from mlops_assets.lakehouse.schema import Column

if TYPE_CHECKING:
    import pyarrow as pa


NO_FIGURES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Finite:
    """Some columns of doubles, null where a number is not finite; a `ColumnFunction`."""

    reads: tuple[str, ...]

    @property
    def gives(self) -> "pa.Schema":
        """The columns that it reads."""
        import pyarrow as pa

        return pa.schema([(name, pa.float64()) for name in self.reads])

    def __call__(self, batch: "pa.Table") -> Mapping[str, Any]:
        """Their values."""
        return {name: finite(batch.column(name)) for name in self.reads}


@dataclass(frozen=True)
class FiniteRows:
    """Rows whose numbers are finite or null.

    Args:
        rows: The rows, of an engine.
        not_finite: How many numbers were not finite and are null now, by column.
        measured: The figures that were asked for, of the rows as they are now.
    """

    rows: Rows
    not_finite: Mapping[str, int]
    measured: Mapping[str, Any]


def finite_rows(
    engine: Engine, rows: Rows, columns: Iterable[Column], figures: Mapping[str, str] = NO_FIGURES
) -> FiniteRows:
    """Rows of an engine with null in place of numbers that are not finite, and figures of them.

    Both are asked in one pass; in a second one only where there are such numbers.

    Args:
        engine: The engine.
        rows: The rows.
        columns: Theirs, as declared.
        figures: As of `Engine.measure`.
    """
    # With a space, because no figure of a contract or an expectation is called so.
    counted = {f"not finite {column.name}": column.name for column in columns if column.type == "double"}
    asked = {place: count_where(is_not_finite(name)) for place, name in counted.items()} | dict(figures)
    measured = engine.measure(rows, asked) if asked else {}
    counts = {name: int(measured[place]) for place, name in counted.items() if measured[place]}
    if counts:
        rows = engine.extend(rows, Finite(tuple(counts)))
        measured = engine.measure(rows, figures) if figures else {}
    return FiniteRows(rows, counts, measured)


def finite_table(rows: "pa.Table") -> "tuple[pa.Table, Mapping[str, int]]":
    """Rows of this process with null in place of numbers that are not finite, and how many these were, by column."""
    counts = {}
    for place, field in enumerate(rows.schema):
        values = finite(rows.column(place))
        count = values.null_count - rows.column(place).null_count
        if count:
            counts[field.name] = count
            rows = rows.set_column(place, field, values)
    return rows, counts
