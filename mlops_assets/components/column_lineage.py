"""Where the columns of an asset come from, for Dagster: its own value for programs, a table for people.

It is given with each materialization and not with the definition: reading the SQL once more would make the loading of a
code location slower (and so would importing what reads it), and what is recorded of a partition is then the lineage of
the definitions that it was made with. Dagster's open user interface draws no column lineage: hence the table.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import dagster as dg

from mlops_assets.components import constants
from mlops_assets.project.definition import FeatureTableDefinition, ModelDefinition, ProjectDefinition

if TYPE_CHECKING:
    from mlops_assets.features.lineage import ColumnEdge


def feature_table_lineage_figures(project: ProjectDefinition, table: FeatureTableDefinition) -> dict[str, Any]:
    """The metadata of a materialization that tells where a feature table's columns come from."""
    from mlops_assets.features.lineage import feature_table_lineage

    return _figures(table.schema.names, feature_table_lineage(project, table))


def model_lineage_figures(
    project: ProjectDefinition, model: ModelDefinition, step: Literal["labels", "training_set", "predictions"]
) -> dict[str, Any]:
    """The metadata of a materialization that tells where the columns of one of a model's tables come from."""
    from mlops_assets.features.lineage import MODEL_LINEAGE, model_columns

    return _figures(model_columns(model)[step], MODEL_LINEAGE[step](project, model))


def _figures(columns: Sequence[str], edges: "Iterable[ColumnEdge]") -> dict[str, Any]:
    """What only decides on rows stands below the table for people, and not in Dagster's value."""
    from mlops_assets.features.lineage import from_other_tables
    from mlops_assets.features.lineage_text import as_markdown

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
