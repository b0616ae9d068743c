"""Rows as the Spark engine hands them out: a DataFrame, with the order and the types that its contract promises."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.engines.spark.session import Frame, quoted

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

GIVEN_ORDER = "the order"
"""The column in which rows of this process keep their order; with a space, so that no user's column is called so."""


@dataclass(frozen=True)
class SparkRows:
    """Rows on the executors.

    Args:
        frame: The rows; a DataFrame has no order of its own.
        order: The columns that they are ordered by once they are fetched.
        schema: The columns that they have for the outside, and their types there.
    """

    frame: Frame
    order: tuple[str, ...]
    schema: "pa.Schema"

    def fetched(self, first: int | None = None) -> "pa.Table":
        """The rows in this process, in their order; the first so many, or all."""
        ordered = self.frame.orderBy(*map(quoted, self.order)) if self.order else self.frame
        ordered = ordered if first is None else ordered.limit(first)
        return ordered.select(*map(quoted, self.schema.names)).toArrow().cast(self.schema)


def given_rows(session: "SparkSession", table: "pa.Table") -> SparkRows:
    """Rows of this process, handed to the executors."""
    import pyarrow as pa

    numbered = table.append_column(GIVEN_ORDER, pa.array(range(table.num_rows), pa.int64()))
    return SparkRows(session.createDataFrame(numbered), (GIVEN_ORDER,), table.schema)
