"""What a model is given online is what its batch predictions are given, however far one table is ahead of another."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.features.created_training_sets import FeatureLookup
from mlops_assets.features.labels import population
from mlops_assets.features.online.answers import earlier_anchors
from mlops_assets.features.online.publishing import publish
from mlops_assets.features.online.reading import OnlineFeatures
from mlops_assets.features.online.store import open_store
from mlops_assets.features.training_sets import rows_with_features
from mlops_assets.lakehouse.periods import Period
from mlops_assets_tests.small_line import SHOPS, Line, hours, units_of

pytestmark = pytest.mark.slow
LAG = "  publication_lag: 6 hours\n"
COLUMNS = "  history: 8 days\n"
STATIC = "  static: true\n"
CHANGES = {
    ("sales/defs.yaml", LAG): f"{LAG}  online: true\n",
    ("sales/defs.yaml", STATIC): f"{STATIC}  online: true\n",
    ("trend/defs.yaml", COLUMNS): f"{COLUMNS}  online: true\n",
    ("forecast/defs.yaml", "    - {table: shops"): (
        "    - {table: sales, columns: [units], lookback: 2 days}\n    - {table: shops"
    ),
}
UNITS = FeatureLookup("sales", "units")


def offline(line: Line, period: Period, now: datetime) -> dict[str, dict[str, Any]]:
    """A period's features as batch scoring looks them up, with what is known now."""
    import pyarrow as pa

    keys = population(line.platform, line.model, period)
    moment = pa.timestamp("us", "UTC")
    asked = keys.append_column("event_time", pa.array([period.start] * keys.num_rows, moment))
    asked = asked.append_column("known", pa.array([now] * keys.num_rows, moment))
    found = rows_with_features(line.platform, line.model, asked, as_of="known")
    rows = line.platform.engine.to_arrow(found).to_pylist()
    return {row["shop"]: {name: row[name] for name in line.model.feature_names} for row in rows}


def test_a_table_that_is_ahead_of_the_models_others_shows_it_nothing_newer(tmp_path: Path) -> None:
    line = Line(tmp_path / "line", CHANGES)
    line.shops()
    days = line.days(8)
    store = open_store(line.platform)
    online = OnlineFeatures.open(line.platform)
    compared = 0
    for number, day in enumerate(days):
        line.sales(day, s03=None if number == 4 else 7)
        if number < 2:
            continue
        line.visits(days[number - 2], at=line.period(day).end + hours(7))
        line.features(days[number - 2])
        now = line.platform.clock.now()
        period = line.model.speaks_about(now)
        assert period.key == days[number - 2]
        assert earlier_anchors(line.platform.project, "sales", now)[-1] == period.anchor
        for name in line.platform.project.online_tables:
            publish(line.platform, store, name)

        expected = offline(line, period, now)
        answers = online.of_model("forecast", [{"shop": shop} for shop in SHOPS])
        found = {shop: answer.features for shop, answer in zip(SHOPS, answers, strict=True)}
        assert {shop: found[shop] for shop in expected} == expected
        (newest,) = online.look_up([{"shop": "s01"}], [UNITS])
        assert newest.features["units"] == units_of("s01", day) != found["s01"]["units"]
        compared += len(expected)
    assert compared == 6 * len(SHOPS) - 1


def test_a_row_that_is_gone_from_the_period_spoken_about_lets_the_row_before_it_answer(tmp_path: Path) -> None:
    line = Line(tmp_path / "line", CHANGES)
    line.shops()
    first, second, third, fourth = line.days(4)
    for day in (first, second, third, fourth):
        line.sales(day)
    line.sales(second, at=line.period(fourth).end + hours(7), s05=None)
    line.visits(first)
    line.visits(second, at=line.period(fourth).end + hours(8))
    for day in (first, second):
        line.features(day)
    store = open_store(line.platform)
    for name in line.platform.project.online_tables:
        publish(line.platform, store, name)
    now = line.platform.clock.now()
    assert line.model.speaks_about(now).key == second

    (answer,) = OnlineFeatures.open(line.platform).of_model("forecast", [{"shop": "s05"}])
    assert answer.features["units"] == units_of("s05", first)
    found = answer.found["sales"]
    assert found is not None
    assert (found.event_time, found.age) == (line.period(first).start, now - line.period(first).start)
