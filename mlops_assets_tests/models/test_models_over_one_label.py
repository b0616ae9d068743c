"""Several models over one label SQL: each trained on its own column, with its own horizon."""

import math
from datetime import date, timedelta

import pytest

from mlops_assets.features.labels import compute_labels
from mlops_assets.features.training_sets import build_training_set
from mlops_assets.models.judging import fit_candidate
from mlops_assets_tests.project.small_project import FORECAST
from mlops_assets_tests.small_line import FIRST, Line, units_of

pytestmark = pytest.mark.slow
DAYS = 13
SQL = """\
SELECT
    now.shop, now.day,
    ln(next_day.units / now.units) AS growth,
    ln(third_day.units / now.units) AS growth_in_three_days
FROM sales AS now
LEFT JOIN sales AS next_day ON next_day.shop = now.shop AND next_day.day = now.day + INTERVAL 1 DAY
LEFT JOIN sales AS third_day ON third_day.shop = now.shop AND third_day.day = now.day + INTERVAL 3 DAY
"""
HORIZONS = {"forecast": ("growth", 1, 2), "further": ("growth_in_three_days", 3, 0)}


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    line = Line(tmp_path_factory.mktemp("horizons") / "line")
    line.files.write("forecast/growth.sql", SQL)
    further = FORECAST.replace("name: forecast", "name: further")
    further = further.replace("column: growth, horizon: 1, delay: 2", "column: growth_in_three_days, horizon: 3")
    further = further.replace("validation: 7 days, min_rows: 100", "validation: 3 days, min_rows: 60")
    text = (line.files.folder / "forecast/defs.yaml").read_text(encoding="utf-8")
    line.files.write("forecast/defs.yaml", f"{text}---\n{further}")
    line.open()
    for key in line.live(DAYS):
        if key >= line.days(4)[-1]:
            compute_labels(line.platform, line.platform.project.models["further"], line.period(key))
    return line


@pytest.mark.parametrize("name", HORIZONS)
def test_each_model_learns_its_own_column_with_its_own_horizon(line: Line, name: str) -> None:
    model, at = line.platform.project.models[name], line.period(line.days(DAYS)[-1])
    column, horizon, delay = HORIZONS[name]
    made = build_training_set(line.platform, model, at)
    last = date.fromisoformat(at.key) - timedelta(days=horizon + delay)
    assert (made.first.key, made.last.key) == (FIRST, last.isoformat())
    rows = made.rows.to_pylist()
    for row in rows:
        later = (row["day"] + timedelta(days=horizon)).isoformat()
        truth = math.log(units_of(row["shop"], later) / units_of(row["shop"], row["day"].isoformat()))
        assert row[column] == pytest.approx(truth)
    fitted = fit_candidate(model, made.rows, at, None)
    assert fitted.measured["candidate"].of("mae") < fitted.measured["baseline"].of("mae")
    embargo = model.schema.calendar.distance(fitted.split.last_fitted, fitted.split.first_judged)
    assert embargo == horizon + delay + 1
