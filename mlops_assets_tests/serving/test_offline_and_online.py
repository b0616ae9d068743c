"""The same key at the same time is predicted the same over HTTP, in batch and in a table, to the last bit."""

from pathlib import Path

import pytest

from mlops_assets.models.scoring import score
from mlops_assets.notebook import Project
from mlops_assets_tests.serving.conftest import publish_all
from mlops_assets_tests.serving.predicting import serving, shared_line

pytestmark = pytest.mark.slow


def test_at_the_as_of_of_a_period_its_keys_are_predicted_as_in_batch(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    line = shared_line(tmp_path_factory).copy(tmp_path / "line")
    platform, model = line.platform, line.model
    seen = set()
    *days, beyond = line.days(18)[14:]
    line.sales(days[0])
    for key, following in zip(days, [*days[1:], beyond], strict=True):
        line.sales(following)  # which is published sooner than the day's visits: the model must not see it
        line.visits(key)
        for name in platform.project.feature_tables:
            line.features(key, name)
        period = line.period(key)
        assert platform.clock.now() == platform.model_as_of(model, period)
        publish_all(platform)
        scored = score(platform, model, period)
        batch = platform.engine.known_at(platform.predictions(model), platform.clock.now(), first=period, last=period)
        rows = batch.to_pylist()
        with serving(line) as client:
            asked = [{name: row[name] for name in ("shop", "sister", "asked")} for row in rows]
            answer = client.post("/v1/models/forecast/predict", json={"rows": asked}).json()
        assert answer["version"] == scored.by.version
        for name in ("prediction", "lower", "upper"):
            assert [row[name] for row in answer["rows"]] == [row[name] for row in rows]
        assert all(row["lower"] < row["prediction"] < row["upper"] for row in rows)
        own = Project(platform).score_batch("forecast", batch.select(["shop", "sister", "asked"])).rows
        assert own.equals(batch.select(own.column_names))
        seen |= {row["prediction"] for row in rows}
    assert len(seen) > 20
