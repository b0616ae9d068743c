"""Checking a whole project without running anything: what loading cannot see, because it needs an engine."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from mlops_assets.engines.contract import PERIOD_SCHEMA, PERIOD_TABLE
from mlops_assets.engines.duckdb import DuckDBEngine
from mlops_assets.engines.duckdb.answers import answered_names
from mlops_assets.engines.query import Query
from mlops_assets.engines.row_frames import row_based_frames
from mlops_assets.engines.spark.translate import translate
from mlops_assets.engines.ties import tied_orders
from mlops_assets.errors import ContractError, DefinitionError, PlatformError
from mlops_assets.features.catalog.duplicates import repeat_warnings
from mlops_assets.features.generations import require_same_types
from mlops_assets.features.history import prove_history, subjects_of
from mlops_assets.features.leaks import newest_certificate
from mlops_assets.features.look_ahead import require_no_look_ahead
from mlops_assets.features.request_features import check_computed_features
from mlops_assets.lakehouse.home import Home
from mlops_assets.lakehouse.schema import arrow_type
from mlops_assets.models.fitting import require_buildable
from mlops_assets.models.used_templates import require_same_recipe
from mlops_assets.platform import Platform
from mlops_assets.progress import Progress, Step, untold
from mlops_assets.project.definition import FeatureTableDefinition, ModelDefinition, ProjectDefinition
from mlops_assets.project.gates import ComparisonGate
from mlops_assets.project.model_attributes import Range
from mlops_assets.project.yaml_files import place_of
from mlops_assets.sources.publisher import require_published_keeps_contract


def check_project(project: ProjectDefinition, home: Home | None = None, progress: Progress = untold) -> list[str]:
    """Run every SQL over empty tables of the declared columns, and prove every history.

    Args:
        project: What `load_project` gave; its names and types were checked there.
        home: Where data may lie, over which histories are proven too; nothing is written to it.
        progress: Told of each history that was proven.

    Returns:
        Warnings, a sentence each: of what is allowed and likely wrong, or could not be proven.

    Raises:
        ContractError: An SQL or expression does not run over its inputs, or gives other columns or types than
            declared; or a file that is published from breaks its source's contract.
        DefinitionError: An SQL that is to run on Spark means something else there; a history is too short; something
            looks further ahead than it is shown; SQL gives a column that is not declared; a column that a model looks
            up has another type than the home holds; or a template changed under its version.
    """
    check_spark(project)
    if home:
        check_home(project, home)
    warnings = repeat_warnings(project)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # Whatever computes later: both engines mean the same.
        engine = DuckDBEngine(folder, limits=project.engine.evaluation)
        empty = Platform(project, Home(folder), Home(folder).clock, engine)
        data = Platform(project, home, home.clock, engine) if home and home.tables.exists() else None
        for source in project.sources.values():
            try:
                require_published_keeps_contract(empty, source)
            except PlatformError as error:
                raise error.at(source.location) from None
        for subject in subjects_of(project):
            if isinstance(subject.computation, Query):
                subject.rows(empty, subject.first, subject.history)
                warnings += row_based_frames(subject.computation, subject.schema.calendar.unit)
                warnings += tied_orders(
                    subject.computation, {name: project.table(name).schema for name in subject.inputs}
                )
        for table in project.feature_tables.values():
            _require_declared(project, table, folder)
        for model in project.models.values():
            check_computed_features(empty, model)
            if model.own_metrics:
                check_own_metrics(engine, model)
            check_parameter_values(model)
            warnings += strict_gates(model)
        subjects = list(subjects_of(project))
        for number, subject in enumerate(subjects):
            progress(Step("check", number, len(subjects), f"the history of {subject.name}", minor=True))
            warnings += prove_history(project, subject, folder, data)
            require_no_look_ahead(project, subject, folder)
        progress(Step("check", len(subjects), len(subjects), minor=True))
    return warnings


def strict_gates(model: ModelDefinition) -> list[str]:
    """A sentence for each gate that refuses a fresher fit for being no better than the champion by anything."""
    return [
        f"{place_of(model.location, model.name, 'gates', number)}: {gate.name} refuses what is as good as the "
        "champion, fresher fits among it; to stop harm alone write "
        f"{{metric: {gate.metric}, not_worse_than: champion, by: 2%}}."
        for number, gate in enumerate(model.gates)
        if isinstance(gate, ComparisonGate) and gate.better_than == "champion" and not gate.by
    ]


def _require_declared(project: ProjectDefinition, table: FeatureTableDefinition, folder: Path) -> None:
    """See that no column of a feature table's SQL is lost: one that is not declared is in no table."""
    if table.query is None:
        return
    tables = {PERIOD_TABLE: PERIOD_SCHEMA, **{name: project.table(name).schema for name in table.inputs}}
    declared = {name.lower() for name in table.schema.names}
    strange = [
        name
        for name in answered_names(table.query, tables, folder, project.engine.evaluation)
        if name.lower() not in declared
    ]
    if strange:
        raise DefinitionError(
            f"feature table '{table.name}' whose SQL gives {', '.join(strange)}, which its YAML does not declare",
            "every column of the SQL under `columns`",
            "declare it there with type and description, or take it out of the SELECT",
            where=table.location,
        )


def check_own_metrics(engine: DuckDBEngine, model: ModelDefinition) -> None:
    """Compute a model's own metrics over no rows.

    Raises:
        ContractError: One does not run over its columns, or is no number.
    """
    import pyarrow as pa

    columns = {one.name: arrow_type(one.type) for metric in model.own_metrics for one in metric.read}
    try:
        engine.aggregate(pa.schema(list(columns.items())).empty_table(), model.own_metrics)
    except PlatformError as error:
        raise error.at(model.location) from None


def check_parameter_values(model: ModelDefinition) -> None:
    """See that a template's estimator takes its parameters, and those of a search.

    Raises:
        ContractError: A template of the project's own gives no estimator, or fails.
        DefinitionError: It refuses a value; names its line.
    """
    choice, search = model.template, model.fitting.search
    require_buildable(model, {})
    tried: list[tuple[tuple[str, ...], str, object]] = [
        (("template", "params", name), name, value) for name, value in choice.params.items()
    ]
    for name, values in search.params.items() if search else ():
        ends = (values.low, values.high) if isinstance(values, Range) else values
        tried += [(("train", "search", "params", name), name, value) for value in ends]
    for place, name, value in tried:
        try:
            require_buildable(model, {name: value})
        except ContractError as error:
            raise DefinitionError(
                f"{name} {value!r}, which the estimator of template '{choice.name}' refuses ({error.found})",
                "a value that it takes",
                "correct it",
                where=place_of(model.location, model.name, *place),
            ) from None


def check_spark(project: ProjectDefinition) -> None:
    """See that every SQL which is to run on Spark means the same there; starts nothing.

    Raises:
        DefinitionError: One does not; names its line.
    """
    chosen = project.engine.chosen()
    queries = [table.query for table in project.feature_tables.values() if (table.engine or chosen) == "spark"]
    if chosen == "spark":
        queries += [query for model in project.models.values() for query in (model.population, model.label.query)]
    known = (*project.sources, *project.feature_tables)
    for query in queries:
        if query is not None:
            read = (project.table(name) for name in query.tables if name in known)
            translate(query.text, query.file, [column for table in read for column in table.schema.columns])


def leak_words(project: ProjectDefinition, home: Home) -> Iterator[str]:
    """What of each model's training set knows more than was known: nothing, in words.

    Raises:
        ContractError: Something does.
    """
    platform = Platform.of(project, home)
    for model in project.models.values():
        found = newest_certificate(platform, model)
        found.require_none(model.name)
        yield f"{model.name}: {found.words}"


def check_home(project: ProjectDefinition, home: Home) -> None:
    """See that columns which models look up, and templates, are as the home knows them; writes nothing.

    Raises:
        DefinitionError: A column has another type, or a template another recipe under the same version.
    """
    if not home.tables.exists():
        return
    platform = Platform.of(project, home)
    for name in (*project.sources, *project.feature_tables):
        require_same_types(platform, project.table(name))
    for model in project.models.values():
        require_same_recipe(platform, model)
