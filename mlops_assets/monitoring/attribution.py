"""What predictions are made of in a period: the share of each feature, and whether shares are as in past periods.

Each row of a sample is explained (`mlops_assets.models.contributions`) by the version that scored it. A feature's mean
share is judged as features themselves are, by how past periods of the version's training set lie from one another
(`mlops_assets.monitoring.period_null`): so it is seen when features change places, of which a comparison of their order
alone says little.
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.records import read_records, write_record
from mlops_assets.lakehouse.write_points import write_point
from mlops_assets.models.contributions import Contributions, background_of, explained, sampled
from mlops_assets.models.records import CandidateRecord, candidate_of_version
from mlops_assets.models.stored_fits import stored_fit
from mlops_assets.models.training import read_training_set
from mlops_assets.monitoring.drift import periods_of, rounded, scored_in, verdict_words
from mlops_assets.monitoring.period_statistics import MEAN
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.storage.path import StoragePath

if TYPE_CHECKING:
    import pyarrow as pa

    from mlops_assets.monitoring.summaries import Summaries

ROWS = 50
"""So many rows of a period at most are explained."""

PAST_ROWS, MIN_PAST_ROWS = 2_400, 5
"""Of all past periods together about so many rows are explained, and of each at least so many.

These are fewer than of the period that is judged: shares of fewer rows lie further apart, and the bar rather too high.
"""


@dataclass(frozen=True)
class AttributionRecord:
    """What predictions were made of in one period.

    Args:
        period: Its key.
        version: The version that scored it.
        rows: Rows that were explained.
        alarm: Whether the shares of a feature are beyond the bar.
        words: The verdict in a line.
        found: All of it, as JSON: by feature its share, the usual one and its score; the bar, and its rate.
    """

    period: str
    version: int
    rows: int
    alarm: bool
    words: str
    found: str

    @cached_property
    def values(self) -> dict[str, Any]:
        """What ``found`` holds."""
        return dict(json.loads(self.found))


@dataclass(frozen=True, eq=False)
class Explainer:
    """A version, and what its predictions are explained against.

    Args:
        model: The model.
        version: Its number.
        training: The training that it came from.
        fit: Its fit.
        background: Some rows of its training set.
    """

    model: ModelDefinition
    version: int
    training: CandidateRecord
    fit: Any
    background: "pa.Table"

    def explain(self, rows: "pa.Table") -> Contributions:
        """Explain rows that carry the model's features; raises as `mlops_assets.models.contributions.contributions`."""
        return explained(self.model, self.fit, rows, self.background, f"version {self.version}")


def explainer(platform: Platform, model: ModelDefinition, version: int) -> Explainer:
    """What explains the predictions of a version, by rows that were kept, or else by its training set.

    Raises:
        MissingDataError: The fit is gone, or there are neither.
        ContractError: The fit is not the one that was trained, or does not predict for its training set.
    """
    training = candidate_of_version(platform, model, version)
    fit = stored_fit(platform, model, training)
    return Explainer(model, version, training, fit, background_of_version(platform, model, version, fit))


def background_of_version(platform: Platform, model: ModelDefinition, version: int, fit: Any) -> "pa.Table":
    """The rows that a version's predictions are explained against, as they were kept, or from its training set.

    Raises:
        MissingDataError: There are neither.
        ContractError: The fit does not predict for its training set.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    training = candidate_of_version(platform, model, version)
    try:
        return pq.read_table(io.BytesIO(_file(platform, model, training, "background", "parquet").read_bytes()))
    except (OSError, pa.ArrowInvalid):
        return background_of(model, fit, _trained_on(platform, model, training), f"version {version}")


def measure_attribution(
    platform: Platform, model: ModelDefinition, period: Period
) -> tuple[AttributionRecord, str] | None:
    """Explain a sample of a period's predictions, judge the shares of features, and keep what was found.

    Returns:
        The record and its data version; None where nobody was scored.

    Raises:
        MissingDataError: The period was not scored, or the fit that scored it is gone, or its training set.
        ContractError: The fit does not predict for rows that are mixed of others.
    """
    from mlops_assets.monitoring.period_null import PeriodNull

    scored = scored_in(platform, model, period)
    if scored.num_rows == 0:
        return None
    by = explainer(platform, model, int(scored.column("version")[0].as_py()))
    past = _past(platform, by)
    null = PeriodNull.of(past, model.schema.calendar, model.drift.reference, model.drift.false_alarms, [MEAN])
    found = by.explain(sampled(model, scored, ROWS))
    verdict = null.judge(summarized_shares(found, [period.key] * len(found.values)), _before(platform, by, period))
    values = {
        "shares": found.importance,
        "usual": {name: float(column.mean.mean()) for name, column in past.numbers.items()},
        "bar": None if verdict.why_not else null.bar,
        "rate": null.rate,
        "past_periods": len(null.largest),
        "alarms_in_past": null.alarms_in_past if len(null.largest) > 1 else 0,
        "beyond": sorted({one.column for one in verdict.beyond}),
        "scores": {one.column: one.score for one in verdict.findings},
    }
    record = AttributionRecord(
        period=period.key,
        version=by.version,
        rows=len(found.values),
        alarm=verdict.alarm,
        words=verdict_words(null, verdict, found.importance),
        found=json.dumps(rounded(values), sort_keys=True),
    )
    return record, write_record(platform.records(model, "attribution"), record)


def attribution_of(platform: Platform, model: ModelDefinition, period: Period) -> AttributionRecord | None:
    """What the predictions of a period were made of; None where it was not measured."""
    return next(iter(read_records(platform.records(model, "attribution"), AttributionRecord, [period.key])), None)


def ranks(shares: Mapping[str, float]) -> dict[str, int]:
    """The rank of each feature by its share, from 1 on, in that order; of equal ones the first name comes first."""
    order = sorted(shares, key=lambda name: (-shares[name], name))
    return {name: rank for rank, name in enumerate(order, start=1)}


def summarized_shares(found: Contributions, periods: Sequence[str]) -> "Summaries":
    """The mean share of each feature by period; how shares lie from row to row is not kept: nothing is judged by it.

    Args:
        found: What was explained.
        periods: The key of each row's period.
    """
    import numpy as np
    import pyarrow as pa

    from mlops_assets.monitoring.summaries import summarize

    shares = found.shares
    table = pa.table({name: shares[:, place] for place, name in enumerate(found.features)})
    made = summarize(table, periods, numbers=found.features, categories=[])
    points = (np.zeros(0),) * len(made.periods)
    return replace(made, numbers={name: replace(column, points=points) for name, column in made.numbers.items()})


def _past(platform: Platform, by: Explainer) -> "Summaries":
    """The shares of features in the periods of a training set; explained once, and again where that is gone."""
    import pyarrow.parquet as pq

    from mlops_assets.monitoring.summaries import read_summaries, write_summaries

    file = _file(platform, by.model, by.training, "attribution", "npz")
    summaries = read_summaries(file)
    if summaries is None:
        rows = _trained_on(platform, by.model, by.training)
        periods = periods_of(by.model, rows)
        chosen = _of_each(periods, by.model.template.seed)
        summaries = summarized_shares(by.explain(rows.take(chosen)), [periods[place] for place in chosen])
        write_summaries(file, summaries)
        held = io.BytesIO()
        pq.write_table(by.background, held)
        _file(platform, by.model, by.training, "background", "parquet").write(held.getvalue())
        write_point("attribution reference")
    return summaries


def _before(platform: Platform, by: Explainer, period: Period) -> "Summaries | None":
    """The period before, where that is what counts, and it was scored."""
    before = by.model.schema.calendar.shift(period, -1)
    if by.model.drift.reference != "previous" or attribution_of(platform, by.model, before) is None:
        return None
    scored = sampled(by.model, scored_in(platform, by.model, before), ROWS)
    return summarized_shares(by.explain(scored), [before.key] * scored.num_rows)


def _of_each(periods: Sequence[str], seed: int) -> list[int]:
    """The places of some rows of each period, drawn by chance, in their order."""
    import numpy as np

    drawn: dict[str, list[int]] = {}
    for place in np.random.default_rng(seed).permutation(len(periods)).tolist():
        drawn.setdefault(periods[place], []).append(place)
    most = min(max(PAST_ROWS // len(drawn), MIN_PAST_ROWS), ROWS)
    return sorted(place for places in drawn.values() for place in places[:most])


def _trained_on(platform: Platform, model: ModelDefinition, training: CandidateRecord) -> "pa.Table":
    return read_training_set(platform, model, model.schema.calendar.at_key(training.at))


def _file(platform: Platform, model: ModelDefinition, training: CandidateRecord, kind: str, suffix: str) -> StoragePath:
    return platform.home.reports / model.name / f"{kind}-{training.model_hash[:16]}.{suffix}"
