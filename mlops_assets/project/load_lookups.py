"""What a model looks up: each lookup resolved against its table."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from mlops_assets.errors import DefinitionError, Location
from mlops_assets.lakehouse.periods import Calendar
from mlops_assets.lakehouse.schema import Column
from mlops_assets.project import model_attributes as written
from mlops_assets.project.definition import ProjectDefinition
from mlops_assets.project.lookups import check_lookup_key, checked_lookup
from mlops_assets.project.request import taken_names
from mlops_assets.project.yaml_files import Document


def load_lookups(
    document: Document, parsed: written.ModelAttributes, project: ProjectDefinition, calendar: Calendar
) -> tuple[tuple[written.LookupDefinition, ...], tuple[Column, ...]]:
    """What a model looks up, and the features that it gives, in the order of its YAML.

    Raises:
        DefinitionError: A table, column, name, default or length of time in it is wrong.
    """
    lookups = []
    features: dict[str, Column] = {}
    taken = taken_names(parsed)
    for number, asked in enumerate(parsed.features):
        located = partial(document.located, "features", number)
        with located("table"):
            table = project.table(asked.table)
        lookup = checked_lookup(asked, table, located, calendar)
        for position, (column, name) in enumerate(zip(lookup.columns, lookup.names, strict=True)):
            if name in features or name in taken:
                raise DefinitionError(
                    f"two features named '{name}'" if name in features else f"a feature with the name '{name}'",
                    "each feature once" if name in features else "a name that no other column of the model has",
                    f"take one of them out, or give it another name with rename: {{{column}: …}}",
                    where=document.at("features", number, "columns", position),
                )
            features[name] = replace(table.schema.column(column), name=name)
        lookups.append(lookup)
    return tuple(lookups), tuple(features.values())


def require_keys(
    document: Document,
    parsed: written.ModelAttributes,
    project: ProjectDefinition,
    lookups: Sequence[written.LookupDefinition],
    given: Mapping[str, str],
) -> None:
    """See that the population gives the keys of each table that is looked up in; ``given`` are its types by name."""
    for number, lookup in enumerate(lookups):
        keys = project.table(lookup.table).schema
        strange = set(keys.keys) - set(given)
        if strange and lookup.lookup_key is None:
            raise DefinitionError(
                f"'{lookup.table}' has the key {', '.join(sorted(strange))}, which {parsed.name} lacks",
                f"keys among {', '.join(given)}",
                "say in lookup_key which columns of the population hold the table's keys, or look up another table",
                where=document.at("features", number, "table"),
            )
        with document.located("features", number, "lookup_key" if lookup.lookup_key else "table"):
            check_lookup_key(lookup.table, keys, lookup.lookup_key or keys.keys, given)


def lookup_parts(project: ProjectDefinition, lookups: Sequence[written.LookupDefinition]) -> dict[str, str]:
    """What a model looks up, in the order that its estimator sees."""
    parts = {}
    for number, lookup in enumerate(lookups, start=1):
        schema = project.table(lookup.table).schema
        chosen = [schema.column(name) for name in lookup.columns]
        columns = [
            f"{column.name} {column.type} {column.kind} as {new} default {lookup.default.get(column.name)!r}"
            for column, new in zip(chosen, lookup.names, strict=True)
        ]
        keys = [f"{key} = {own}" for key, own in zip(schema.keys, lookup.lookup_key or schema.keys, strict=True)]
        parts[f"lookup {number} in {lookup.table}"] = f"{', '.join(columns)}; by {', '.join(keys)}; {lookup.lookback}"
    return parts


def require_features(documents: Sequence[tuple[Document, written.ModelAttributes]], project: ProjectDefinition) -> None:
    """See that no column is gone that several models look up; with one model, its own loading says so.

    Raises:
        DefinitionError: One is, with every model that looks it up.
    """
    gone: dict[tuple[str, str], dict[str, Location]] = {}
    for document, parsed in documents:
        for number, lookup in enumerate(parsed.features):
            for position, name in enumerate(lookup.columns):
                if lookup.table in project.tables and name not in project.table(lookup.table).schema.names:
                    place = document.at("features", number, "columns", position)
                    gone.setdefault((lookup.table, name), {})[parsed.name] = place
    for (table, name), places in gone.items():
        if len(places) > 1:
            listed = ", ".join(f"{model} ({place})" for model, place in places.items())
            raise DefinitionError(
                f"column '{name}', which '{table}' does not have, and which {len(places)} models look up: {listed}",
                f"one of: {', '.join(project.table(table).schema.value_names)}",
                "put the column back, or take it out of these models first",
                where=next(iter(places.values())),
            )
