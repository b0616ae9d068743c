"""Numbers that are not finite (NaN, infinity) in what was computed: null, and counted by column."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.engines.contract import Engine, Rows
from mlops_assets.engines.figures import count_where, is_not_finite
from mlops_assets.lakehouse.exact import finite
from mlops_assets.lakehouse.schema import Column

if TYPE_CHECKING:
    import pyarrow as pa


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


def finite_rows(engine: Engine, rows: Rows, columns: Iterable[Column]) -> tuple[Rows, Mapping[str, int]]:
    """Rows of an engine with null in place of numbers that are not finite, and how many these were, by column."""
    doubles = [column.name for column in columns if column.type == "double"]
    if not doubles:
        return rows, {}
    measured = engine.measure(rows, {name: count_where(is_not_finite(name)) for name in doubles})
    counts = {name: int(count) for name, count in measured.items() if count}
    return (engine.extend(rows, Finite(tuple(counts))) if counts else rows), counts


def finite_table(rows: "pa.Table") -> "tuple[pa.Table, Mapping[str, int]]":
    """As `finite_rows`, of rows in this process."""
    counts = {}
    for place, field in enumerate(rows.schema):
        values = finite(rows.column(place))
        count = values.null_count - rows.column(place).null_count
        if count:
            counts[field.name] = count
            rows = rows.set_column(place, field, values)
    return rows, counts
