"""From YAML and SQL to a `ProjectDefinition`, with every name and type checked before anything runs."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlops_assets.errors import DefinitionError, Location
from mlops_assets.project.attributes import FeatureTableAttributes, SharedAttributes, SourceAttributes
from mlops_assets.project.definition import ProjectDefinition
from mlops_assets.project.engine_settings import read_engine_settings
from mlops_assets.project.load_feature_tables import load_feature_tables
from mlops_assets.project.load_lookups import require_features
from mlops_assets.project.load_models import load_model
from mlops_assets.project.load_sources import load_source
from mlops_assets.project.model_attributes import ModelAttributes
from mlops_assets.project.role_settings import read_roles
from mlops_assets.project.yaml_files import Document, read_documents

KINDS: Mapping[str, type[SharedAttributes]] = {
    "Source": SourceAttributes,
    "FeatureTable": FeatureTableAttributes,
    "Model": ModelAttributes,
}


def load_project(folder: Path) -> ProjectDefinition:
    """Read and check all definitions below a folder.

    Raises:
        DefinitionError: The first fault found, with file and line.
    """
    documents: dict[str, list[tuple[Document, Any]]] = {kind: [] for kind in KINDS}
    places: dict[str, Location] = {}
    for document in read_documents(folder):
        if document.kind not in KINDS:
            raise DefinitionError(
                f"component type 'mlops_assets.{document.kind}'",
                "mlops_assets.Source, mlops_assets.FeatureTable or mlops_assets.Model",
                "correct the type",
                where=document.at(),
            )
        parsed = document.parse(KINDS[document.kind])
        if parsed.name in places:
            raise DefinitionError(
                f"a second '{parsed.name}'; the first is at {places[parsed.name]}",
                "one definition for each name",
                "rename one of them",
                where=document.at("name"),
            )
        places[parsed.name] = document.at("name")
        documents[document.kind].append((document, parsed))
    sources = {parsed.name: load_source(document, parsed) for document, parsed in documents["Source"]}
    feature_tables = load_feature_tables(documents["FeatureTable"], sources, folder)
    project = ProjectDefinition(folder, sources, feature_tables, {}, read_engine_settings(folder), read_roles(folder))
    require_features(documents["Model"], project)
    models = {parsed.name: load_model(document, parsed, project) for document, parsed in documents["Model"]}
    return replace(project, models=models)
