"""The running comparison of a challenger with the champion in whose shadow it scores, once labels are known."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mlops_assets.features.labels import labelled_period
from mlops_assets.features.states import require_computed
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.records import write_record
from mlops_assets.models.metrics import measure
from mlops_assets.models.predicting import stored_scores, truth_of
from mlops_assets.models.records import ComparisonRecord, candidate_of_version
from mlops_assets.monitoring.performance import joined_by_keys, labelled_predictions
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIX = " of the challenger"


def compare_challenger(
    platform: Platform, model: ModelDefinition, known_in: Period
) -> tuple[ComparisonRecord, str] | None:
    """Compare challenger and champion on the rows that both predicted and whose labels became known by a period.

    The running figures are measured on all rows of the pair together, not averaged over periods; they rest on the
    periods that were scored by then.

    Returns:
        The record and its data version; None where no row has a label.

    Raises:
        MissingDataError: The challenger's predictions, the champion's, or the labels were not computed.
    """
    import pyarrow.compute as pc

    about, table = labelled_period(model, known_in), platform.challenger_predictions(model)
    expected = "predictions of challenger and champion for the same rows"
    require_computed(table, about, f"predictions of a challenger of '{model.name}'", expected)
    known_at = platform.labels_as_of(model, known_in)
    newest = platform.engine.known_at(table, known_at, first=about, last=about)
    if newest.num_rows == 0:
        return None
    challenger, champion = (int(newest.column(name)[0].as_py()) for name in ("version", "champion_version"))
    first = first_shadowed(platform, model, challenger)
    shadow = platform.engine.known_at(table, known_at, first=first, last=about)
    shadow = shadow.filter((pc.field("version") == challenger) & (pc.field("champion_version") == champion))
    said = [column.name for column in model.prediction_columns]
    both = joined_by_keys(
        model,
        labelled_predictions(platform, model, known_in, first, known_at),
        shadow.select([*model.schema.names, *said]),
        SUFFIX,
    ).drop_null()  # of what one of them says nothing, they are not compared
    of_period = both.filter(pc.field("event_time") >= about.start)
    if of_period.num_rows == 0:
        return None
    calendar = model.schema.calendar
    record = ComparisonRecord(
        period=known_in.key,
        about=about.key,
        champion=champion,
        challenger=challenger,
        metric=model.metric,
        rows=of_period.num_rows,
        figures=json.dumps(_figures(model, of_period), sort_keys=True),
        periods=len({calendar.of(moment).key for moment in both.column("event_time").unique().to_pylist()}),
        running_rows=both.num_rows,
        running_figures=json.dumps(_figures(model, both), sort_keys=True),
    )
    return record, write_record(platform.records(model, "challenger_comparison"), record)


def first_shadowed(platform: Platform, model: ModelDefinition, challenger: int) -> Period:
    """The first period that a challenger may have scored in a shadow: the one that it was trained at, or later."""
    return model.schema.calendar.at_key(candidate_of_version(platform, model, challenger).at)


def _figures(model: ModelDefinition, rows: "pa.Table") -> Mapping[str, float]:
    """Every metric that can be measured of both, and the challenger's minus the champion's."""
    said = [column.name for column in model.prediction_columns]
    shadow = rows.select([f"{name}{SUFFIX}" for name in said]).rename_columns(said)
    truth = truth_of(model, rows)
    champion = measure(model.task, truth, stored_scores(model, rows)).values
    challenger = measure(model.task, truth, stored_scores(model, shadow)).values
    found = {}
    for name in sorted(champion.keys() & challenger.keys()):
        found[f"champion_{name}"], found[f"challenger_{name}"] = champion[name], challenger[name]
        found[f"difference_{name}"] = challenger[name] - champion[name]
    return found
