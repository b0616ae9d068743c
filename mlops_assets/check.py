"""Checking a whole project without running anything: what loading cannot see, because it needs an engine."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from mlops_assets.engines.query import Query, row_based_frames
from mlops_assets.features.feature_tables import feature_rows, query_inputs
from mlops_assets.features.generations import require_same_types
from mlops_assets.features.labels import label_schema, population
from mlops_assets.lakehouse.home import Home
from mlops_assets.models.templates import check_parameters, find_template
from mlops_assets.project.definition import ModelDefinition, ProjectDefinition
from mlops_assets.project.platform import Platform


def check_project(project: ProjectDefinition) -> list[str]:
    """Run every SQL over empty tables of the declared columns, and see that every template takes its parameters.

    Args:
        project: What `load_project` gave; its names and types were checked there.

    Returns:
        Warnings, a sentence each: of SQL that is allowed and likely wrong.

    Raises:
        ContractError: An SQL does not run over its inputs, or gives other columns or types than declared.
        DefinitionError: A template does not exist, or does not take a parameter.
    """
    with tempfile.TemporaryDirectory() as folder:
        platform = Platform.of(project, Home(Path(folder)))
        for table in project.feature_tables.values():
            inputs = query_inputs(platform, table.inputs, table.first, table.history)
            feature_rows(platform, table, table.first, inputs, table.first.end)
        for model in project.models.values():
            _check_model(platform, model)
    return [warning for query in _queries(project) for warning in row_based_frames(query)]


def check_home(project: ProjectDefinition, home: Home) -> None:
    """See that no column which a model looks up has another type than the home holds; writes nothing.

    Raises:
        DefinitionError: One has.
    """
    if not home.tables.is_dir():
        return
    platform = Platform.of(project, home)
    for name in (*project.sources, *project.feature_tables):
        require_same_types(platform, project.table(name))


def _check_model(platform: Platform, model: ModelDefinition) -> None:
    check_parameters(find_template(model.template.name, model.template.version), model.template.params)
    population(platform, model, model.first)
    platform.engine.evaluate(
        model.label.query,
        query_inputs(platform, model.label.inputs, model.first, model.history),
        known_at=model.first.end,
        schema=label_schema(model),
        keep=model.first,
    )


def _queries(project: ProjectDefinition) -> Iterator[Query]:
    for table in project.feature_tables.values():
        if table.query:
            yield table.query
    for model in project.models.values():
        yield model.population
        yield model.label.query
