"""Drift of what predictions are made of: shares of features by how past periods lie, and what is kept of a period."""

import numpy as np  # noqa: TID253
import pytest

from mlops_assets.lakehouse.periods import Calendar
from mlops_assets.models.contributions import Contributions
from mlops_assets.monitoring.attribution import ranks, summarized_shares
from mlops_assets.monitoring.period_null import PeriodNull, Verdict
from mlops_assets.monitoring.period_statistics import MEAN
from mlops_assets.testing import SyntheticPeriods

FEATURES = tuple(f"x{number}" for number in range(7))
WEIGHTS = np.array([0.44, 0.22, 0.16, 0.1, 0.08, 0.05, 0.02])
ROWS = 20
month = SyntheticPeriods(()).key


def made(seed: int, weights: "np.ndarray" = WEIGHTS, rows: int = ROWS) -> Contributions:
    """What was explained of a month: contributions that vary by row, and a little by month."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(rows, len(weights))) * weights * random.uniform(0.9, 1.1, len(weights))
    return Contributions(FEATURES, values, np.zeros(rows), values.sum(axis=1))


@pytest.fixture(scope="module")
def null() -> PeriodNull:
    months = [made(number) for number in range(60)]
    values = np.concatenate([one.values for one in months])
    past = Contributions(FEATURES, values, np.zeros(len(values)), values.sum(axis=1))
    shares = summarized_shares(past, [month(one) for one in range(60) for _ in range(ROWS)])
    return PeriodNull.of(shares, Calendar("month"), statistics=[MEAN])


def judged(null: PeriodNull, found: Contributions) -> Verdict:
    return null.judge(summarized_shares(found, [month(99)] * len(found.values)))


def ndcg(now: dict[str, float], before: dict[str, float]) -> float:
    """How well the order of shares is kept, as comparisons of attribution usually measure it."""
    gains = [before[name] for name in ranks(now)], sorted(before.values(), reverse=True)
    found, best = (sum(gain / np.log2(place + 2) for place, gain in enumerate(of)) for of in gains)
    return float(found / best)


def test_two_top_features_that_change_places_are_found_where_a_comparison_of_their_order_says_nothing(
    null: PeriodNull,
) -> None:
    swapped = made(100, WEIGHTS[[1, 0, 2, 3, 4, 5, 6]], rows=50)
    verdict = judged(null, swapped)
    assert {one.column for one in verdict.beyond} == {"x0", "x1"}
    before = {name: float(null.reference.numbers[name].mean.mean()) for name in FEATURES}
    assert ndcg(swapped.importance, before) > 0.9
    assert ranks(swapped.importance)["x1"] == 1 and ranks(before)["x1"] == 2


def test_months_as_usual_alarm_as_often_as_is_stated_however_many_rows_are_explained(null: PeriodNull) -> None:
    alarms = [judged(null, made(200 + number, rows=rows)).alarm for rows in (ROWS, 50) for number in range(40)]
    assert sum(alarms) <= 9  # of 80 at 5 %, more would come in one of fifty runs
    assert 0 < null.alarms_in_past <= 6


def test_a_feature_that_comes_to_count_is_found_though_it_never_did(null: PeriodNull) -> None:
    verdict = judged(null, made(300, np.array([*WEIGHTS[:6], 0.5])))
    assert verdict.beyond[0].column == "x6"


def test_fewer_rows_than_usual_are_no_drift_and_scale_counts_nothing(null: PeriodNull) -> None:
    few = made(400, rows=12)
    assert not judged(null, few).alarm
    louder = Contributions(FEATURES, made(401).values * 1000, np.zeros(ROWS), np.zeros(ROWS))
    assert not judged(null, louder).alarm
