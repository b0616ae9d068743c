"""Gathers what the pages of a table and of a model show."""

from mlops_assets.errors import MissingDataError
from mlops_assets.features.catalog.duplicates import repeated_columns
from mlops_assets.features.catalog.entries import Catalog
from mlops_assets.features.catalog.statistics import table_freshness, table_statistics
from mlops_assets.features.lineage import lineage_graph
from mlops_assets.models.shown_generations import shown_generations
from mlops_assets.models.version_changes import learned_from
from mlops_assets.monitoring.incidents import incident_events, incidents_of
from mlops_assets.monitoring.policy_history import policy_history
from mlops_assets.monitoring.retrain_policy import decide
from mlops_assets.monitoring.timeline import timeline_of
from mlops_assets.monitoring.worst_rows import worst_rows
from mlops_assets.platform import Platform
from mlops_assets.project.definition import FeatureTableDefinition
from mlops_assets.serving.checks import latest_checks
from mlops_assets.serving.pages.model import ModelContent
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


MAX_TOLD = 40
"""So many periods are told in full at once, the newest."""


def model_content(platform: Platform, name: str, period: str | None = None, *, whole: bool = False) -> ModelContent:
    """All that the page of a model is made of, as it stands now.

    Args:
        platform: The platform.
        name: The model.
        period: Key of the period that is told in full; by default the newest whose labels are known.
        whole: Whether all periods in which something was off, or that a training was asked for by, are told, too.

    Raises:
        DefinitionError: There is no such model.
        MissingDataError: Nothing is known of the period.
    """
    model = platform.project.model(name)
    timeline, history = timeline_of(platform, model), policy_history(platform, model)
    known = {period.key: period for period in timeline.periods}
    if period and period not in known:
        span = f", from {min(known)} to {max(known)}" if known else "; nothing was yet"
        raise MissingDataError(
            f"no period '{period}' of '{name}'", f"one that was predicted from{span}", "choose one on the model's page"
        )
    labelled = [one.key for one in timeline.periods if one.performance]
    chosen = {period} if period else {*(labelled[-1:] or list(known)[-1:])}
    if whole:
        looked_at = {one.key for training in timeline.trainings for one in timeline.before(training)}
        off = {key for key, one in known.items() if one.worse_than_baseline or one.drifted}
        chosen |= {*sorted(looked_at | off)[-MAX_TOLD:]}
    graph = lineage_graph(platform.project)
    tables = {*model.inputs, *model.label.inputs}
    tables |= {source.name for source in platform.project.upstream_sources(*tables)}
    return ModelContent(
        timeline=timeline,
        policy=decide(model.retrain, history).reason if history else "",
        learned={
            training.candidate.key: learned_from(platform, model, training.candidate)
            for training in timeline.trainings
            if training.version is not None
        },
        freshness={table: table_freshness(platform, table).state for table in sorted(tables)},
        lineage=graph.around(graph.named(f"{name}.predictions"), up=True, down=False),
        worst={
            key: worst_rows(platform, model, record) if (record := known[key].performance) else ()
            for key in sorted(chosen)
        },
        incidents=tuple(
            one for one in incidents_of(incident_events(platform)) if one.subject == name or one.subject in tables
        ),
    )
