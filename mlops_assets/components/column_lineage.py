"""Where the columns of an asset come from, for Dagster: its own value for programs, a table for people.

It is given with each materialization and not with the definition: reading the SQL once more would make the loading of a
code location slower, and what is recorded of a partition is then the lineage of the definitions that it was made with.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import dagster as dg

from mlops_assets.components import constants
from mlops_assets.features.lineage import ColumnEdge, from_other_tables
from mlops_assets.features.lineage_text import as_markdown


def lineage_figures(columns: Sequence[str], edges: Iterable[ColumnEdge]) -> dict[str, Any]:
    """The metadata of a materialization that tells the lineage of its columns.

    Dagster's open user interface draws no column lineage, so that the same stands there as a table.

    Args:
        columns: The columns of the table, in order.
        edges: The edges that end in them; what only decides on rows stands below the table, not in Dagster's value.
    """
    edges = from_other_tables(edges)
    deps: dict[str, list[dg.TableColumnDep]] = {}
    for edge in edges:
        if edge.how != "rows":
            key = dg.AssetKey(edge.source.table.split("."))
            deps.setdefault(edge.target.column, []).append(dg.TableColumnDep(key, edge.source.column))
    return {
        constants.COLUMN_LINEAGE: dg.TableColumnLineage(deps),
        "column lineage": dg.MarkdownMetadataValue(as_markdown(columns, edges)),
    }
