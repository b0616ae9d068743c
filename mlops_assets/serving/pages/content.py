"""Gathers what the page of a table shows."""

from mlops_assets.features.catalog.duplicates import repeated_columns
from mlops_assets.features.catalog.entries import Catalog
from mlops_assets.features.catalog.statistics import table_statistics
from mlops_assets.features.lineage import lineage_graph
from mlops_assets.models.shown_generations import shown_generations
from mlops_assets.platform import Platform
from mlops_assets.project.definition import FeatureTableDefinition
from mlops_assets.serving.checks import latest_checks
from mlops_assets.serving.pages.table import TableContent


def table_content(platform: Platform, catalog: Catalog, name: str) -> TableContent:
    """All that the page of a table is made of, as it stands now.

    Raises:
        DefinitionError: There is no such table.
    """
    entry = catalog.table(name)
    definition = platform.project.table(name)
    graph = lineage_graph(platform.project)
    return TableContent(
        definition=definition,
        entry=entry,
        statistics=table_statistics(platform, name),
        checks=latest_checks(platform, name),
        generations=tuple(shown_generations(platform, definition))
        if isinstance(definition, FeatureTableDefinition)
        else (),
        repeats=tuple(repeat for repeat in repeated_columns(platform.project) if repeat.column.table == name),
        lineage=graph.around(graph.named(name), up=True, down=True),
    )
