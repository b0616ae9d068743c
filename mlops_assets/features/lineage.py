"""Column lineage of a project: through feature tables, labels, training sets and predictions, down to the sources.

Nothing is stored: the lineage follows from what the YAML and the SQL declare, so it is that of the definitions as they
stand. What counts as values and what as rows is said in `engines/column_lineage.py`; lookups follow the same rule: a
feature comes from the column looked up, and the keys and times that find its row only decide which row it is.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from typing import Literal

from mlops_assets.engines.column_lineage import ColumnOrigin, SqlHow, query_lineage
from mlops_assets.engines.query import Query
from mlops_assets.errors import DefinitionError
from mlops_assets.lakehouse.schema import Column
from mlops_assets.project.definition import FeatureTableDefinition, ModelDefinition, ProjectDefinition

How = SqlHow | Literal["learned"]
"""How one column comes from another: as in SQL, or ``learned``: a prediction, from what its model was trained on."""


@dataclass(frozen=True, order=True)
class TableColumn:
    """One column of a source, a feature table, or a model's labels, training_set or predictions (MODEL.labels …)."""

    table: str
    column: str

    def __str__(self) -> str:
        return f"{self.table}.{self.column}"


@dataclass(frozen=True, order=True)
class ColumnEdge:
    """One column comes from another; ``rows``: it only decides which rows are used, joined or grouped, and how."""

    source: TableColumn
    target: TableColumn
    how: How


@dataclass(frozen=True)
class LineageGraph:
    """The column lineage of a project, or the part of it around some columns.

    Args:
        tables: The columns of each table, tables before those that read them.
        edges: Each pair of columns at most once.
        described: What is declared of columns; the platform's own are not among them.
    """

    tables: Mapping[str, tuple[str, ...]]
    edges: tuple[ColumnEdge, ...]
    described: Mapping[TableColumn, Column] = field(default_factory=dict, repr=False)

    @cached_property
    def above(self) -> Mapping[TableColumn, tuple[ColumnEdge, ...]]:
        """The edges that end in a column."""
        return _grouped((edge.target, edge) for edge in self.edges)

    @cached_property
    def below(self) -> Mapping[TableColumn, tuple[ColumnEdge, ...]]:
        """The edges that begin in a column."""
        return _grouped((edge.source, edge) for edge in self.edges)

    def named(self, name: str) -> tuple[TableColumn, ...]:
        """The column that TABLE.COLUMN names, or all columns of TABLE.

        Raises:
            DefinitionError: There is none; names that are close are in its text.
        """
        if name in self.tables:
            return tuple(TableColumn(name, column) for column in self.tables[name])
        table, _, column = name.rpartition(".")
        if table not in self.tables:
            meant = table or name
            within = [known for known in self.tables if known.startswith(f"{meant}.")]
            close = within or get_close_matches(meant, self.tables, n=3) or list(self.tables)
            raise DefinitionError(
                f"no table '{meant}' in the project",
                f"TABLE or TABLE.COLUMN with a table such as: {', '.join(close) or 'none is declared'}",
                "correct the name",
            )
        columns = self.tables[table]
        found = next((known for known in columns if known.lower() == column.lower()), None)
        if found is None:
            close = get_close_matches(column, columns, n=3) or list(columns)
            raise DefinitionError(
                f"no column '{column}' in '{table}'", f"a column such as: {', '.join(close)}", "correct the name"
            )
        return (TableColumn(table, found),)

    def around(self, columns: Iterable[TableColumn], *, up: bool, down: bool, rows: bool = False) -> "LineageGraph":
        """The part of the graph that lies on the way from or to some columns.

        Args:
            columns: Where to begin; they are part of the answer.
            up: Follow what they come from.
            down: Follow what comes from them.
            rows: Follow also the columns that only decide which rows are used.
        """
        begun = list(columns)
        edges: set[ColumnEdge] = set()
        for wanted, leading, end in ((up, self.above, "source"), (down, self.below, "target")):
            seen, waiting = set(begun), list(begun) if wanted else []
            while waiting:
                for edge in leading.get(waiting.pop(), ()):
                    if rows or edge.how != "rows":
                        edges.add(edge)
                        following: TableColumn = getattr(edge, end)
                        if following not in seen:
                            seen.add(following)
                            waiting.append(following)
        kept = {*begun, *(edge.source for edge in edges), *(edge.target for edge in edges)}
        tables = {
            table: tuple(column for column in names if TableColumn(table, column) in kept)
            for table, names in self.tables.items()
        }
        return LineageGraph(
            {table: names for table, names in tables.items() if names},
            tuple(edge for edge in self.edges if edge in edges),
            self.described,
        )


def lineage_graph(project: ProjectDefinition) -> LineageGraph:
    """The column lineage of a whole project; each SQL is read once in a process, which takes some milliseconds."""
    tables = {name: table.schema.names for name, table in project.tables.items()}
    edges = [edge for table in project.feature_tables.values() for edge in feature_table_lineage(project, table)]
    described = {
        TableColumn(name, column.name): column
        for name, table in project.tables.items()
        for column in table.schema.columns
    }
    for model in project.models.values():
        own = {column.name: column for column in (*model.training_columns, *model.predictions_schema.columns)}
        for step, names in model_columns(model).items():
            tables[f"{model.name}.{step}"] = names
            described |= {TableColumn(f"{model.name}.{step}", name): own[name] for name in names if name in own}
        edges += [edge for lineage in MODEL_LINEAGE.values() for edge in lineage(project, model)]
    return LineageGraph(tables, tuple(edges), described)


def model_columns(model: ModelDefinition) -> dict[str, tuple[str, ...]]:
    """The columns of a model's labels, training_set and predictions, in order."""
    labelled = (*model.schema.names, "predicted_at", model.label.column)
    seen = (*(column.name for column in model.looked_up_by), *model.feature_names)
    return {
        "labels": (*labelled, *(column.name for column in model.request)),
        "training_set": (*labelled, *seen),
        "predictions": model.predictions_schema.names,
    }


def feature_table_lineage(project: ProjectDefinition, table: FeatureTableDefinition) -> tuple[ColumnEdge, ...]:
    """Where each column of a feature table comes from, by its SQL.

    A Python function does not say which columns it reads: each of its columns comes from every column of its inputs,
    ``unknown``, so that nothing that may matter is missing.
    """
    if table.query is None:
        read = [TableColumn(name, column) for name in table.inputs for column in project.table(name).schema.names]
        return tuple(
            ColumnEdge(source, TableColumn(table.name, column), "unknown")
            for column in table.schema.names
            for source in read
        )
    origins = _origins(project, table.query, table.inputs, table.schema.names)
    return _distinct(_edges(origins, table.name))


def labels_lineage(project: ProjectDefinition, model: ModelDefinition) -> tuple[ColumnEdge, ...]:
    """Where a model's labels come from: keys and timestamp from its population, the label from its own SQL."""
    population = _population(project, model)
    asked = (*model.schema.names, model.label.column)
    label = _origins(project, model.label.query, model.label.inputs, asked)
    joined = [origin for name in model.schema.names for origin in (*population[name], *label[name])]
    name, own = f"{model.name}.labels", model.label.column
    return _distinct([*_edges({**population, own: label[own]}, name), *_edges({own: joined}, name, how="rows")])


def training_set_lineage(project: ProjectDefinition, model: ModelDefinition) -> tuple[ColumnEdge, ...]:
    """Where a model's training set comes from: labels that are not null, and features looked up for their keys."""
    labels, name = f"{model.name}.labels", f"{model.name}.training_set"
    label = TableColumn(labels, model.label.column)
    own = model_columns(model)["labels"]
    asking = {key: [TableColumn(labels, key)] for key in own if key != model.label.column}
    return _distinct(
        [
            *(ColumnEdge(TableColumn(labels, column), TableColumn(name, column), "copied") for column in own),
            *_looked_up(project, model, name, asking),
            *_computed(model, name),
            *(ColumnEdge(label, TableColumn(name, column), "rows") for column in (*own, *model.feature_names)),
        ]
    )


def predictions_lineage(project: ProjectDefinition, model: ModelDefinition) -> tuple[ColumnEdge, ...]:
    """Where predictions come from: their features, computed by a version that learned from the training set."""
    name, training = f"{model.name}.predictions", f"{model.name}.training_set"
    population = _population(project, model)
    asking = {
        key: [TableColumn(origin.table, origin.column) for origin in origins] for key, origins in population.items()
    }
    predicted, baselines = (
        [TableColumn(name, column.name) for column in columns]
        for columns in (model.answer_columns, model.baseline_columns)
    )
    learned = (*model.feature_names, model.label.column)
    by_baseline = [] if model.task == "regression" else [name for name in (model.baseline, model.label.column) if name]
    return _distinct(
        [
            *_edges(population, name),
            *(ColumnEdge(TableColumn(name, of), to, "computed") for to in predicted for of in model.feature_names),
            *(ColumnEdge(TableColumn(training, column), to, "learned") for to in predicted for column in learned),
            *(ColumnEdge(TableColumn(name, model.baseline), to, "computed") for to in baselines if model.baseline),
            *(ColumnEdge(TableColumn(training, of), to, "learned") for to in baselines for of in by_baseline),
            *_looked_up(project, model, name, asking),
            *_computed(model, name),
        ]
    )


MODEL_LINEAGE: Mapping[str, Callable[[ProjectDefinition, ModelDefinition], tuple[ColumnEdge, ...]]] = {
    "labels": labels_lineage,
    "training_set": training_set_lineage,
    "predictions": predictions_lineage,
}
"""What tells the lineage of each of a model's tables."""


def from_other_tables(edges: Iterable[ColumnEdge]) -> tuple[ColumnEdge, ...]:
    """The edges of one table with those inside it followed on to the tables that it reads."""
    edges = tuple(edges)
    above = _grouped((edge.target, edge) for edge in edges)

    def followed(edge: ColumnEdge) -> Iterator[ColumnEdge]:
        if edge.source.table != edge.target.table:
            yield edge
            return
        for before in above.get(edge.source, ()):
            yield from followed(ColumnEdge(before.source, edge.target, "rows" if before.how == "rows" else edge.how))

    return _distinct(onward for edge in edges for onward in followed(edge))


def _looked_up(
    project: ProjectDefinition, model: ModelDefinition, name: str, asking: Mapping[str, Iterable[TableColumn]]
) -> Iterator[ColumnEdge]:
    for lookup in model.lookups:
        schema = project.table(lookup.table).schema
        asked_by = [*(lookup.lookup_key or schema.keys), str(model.schema.timestamp), "predicted_at"]
        deciding = [column for key in asked_by for column in asking.get(key, ())]
        deciding += [TableColumn(lookup.table, column) for column in schema.identity]
        for column, feature in zip(lookup.columns, lookup.names, strict=True):
            target = TableColumn(name, feature)
            yield ColumnEdge(TableColumn(lookup.table, column), target, "copied" if column == feature else "renamed")
            yield from (ColumnEdge(source, target, "rows") for source in deciding)


def _computed(model: ModelDefinition, name: str) -> Iterator[ColumnEdge]:
    """What request-time features come from: other columns of their own row."""
    columns = {column.lower(): column for column in (*model.population_schema.names, *model.feature_names)}
    for feature in model.computed:
        for column in feature.expression.columns:
            yield ColumnEdge(TableColumn(name, columns[column.lower()]), TableColumn(name, feature.name), "computed")


def _population(project: ProjectDefinition, model: ModelDefinition) -> dict[str, tuple[ColumnOrigin, ...]]:
    return _origins(project, model.population, model.population_inputs, model.population_schema.names)


def _origins(
    project: ProjectDefinition, query: Query, inputs: tuple[str, ...], names: tuple[str, ...]
) -> dict[str, tuple[ColumnOrigin, ...]]:
    return query_lineage(query, {name: project.table(name).schema.names for name in inputs}, names)


def _edges(
    origins: Mapping[str, Iterable[ColumnOrigin]], table: str, *, how: How | None = None
) -> Iterator[ColumnEdge]:
    """The edges to the columns of a table, from their origins by name."""
    for column, of_column in origins.items():
        for origin in of_column:
            yield ColumnEdge(TableColumn(origin.table, origin.column), TableColumn(table, column), how or origin.how)


def _distinct(edges: Iterable[ColumnEdge]) -> tuple[ColumnEdge, ...]:
    """Each pair once; where a column counts for the value and for the rows, for the value."""
    kept: dict[tuple[TableColumn, TableColumn], ColumnEdge] = {}
    for edge in edges:
        before = kept.get((edge.source, edge.target))
        if before is None or before.how == "rows":
            kept[edge.source, edge.target] = edge
    return tuple(kept.values())


def _grouped(pairs: Iterable[tuple[TableColumn, ColumnEdge]]) -> dict[TableColumn, tuple[ColumnEdge, ...]]:
    grouped: dict[TableColumn, list[ColumnEdge]] = {}
    for column, edge in pairs:
        grouped.setdefault(column, []).append(edge)
    return {column: tuple(edges) for column, edges in grouped.items()}
