"""The example's last months: each key is predicted over HTTP, at the moment of its batch, as it was in batch."""

from dataclasses import replace
from pathlib import Path

import pytest

from mlops_assets.features.feature_tables import evaluate_feature_table
from mlops_assets.features.labels import compute_labels
from mlops_assets.features.training_sets import build_training_set
from mlops_assets.lakehouse.home import Home
from mlops_assets.lakehouse.periods import Period
from mlops_assets.models.promotion import promote, register
from mlops_assets.models.registry import open_registry
from mlops_assets.models.scoring import score
from mlops_assets.models.training import Request, train
from mlops_assets.platform import Platform
from mlops_assets.project.folder import find_project
from mlops_assets.sources.ingest import ingest
from mlops_assets.sources.publisher import publish_due
from mlops_assets_tests.models.runs import start_run
from mlops_assets_tests.serving.conftest import publish_all
from mlops_assets_tests.serving.predicting import serving_platform

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
NAME = "scripts_forecast"
BEFORE, TRAINED_ON, PREDICTED = 26, 5, 3


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """The example, with a model that is content with a few months."""
    home = Home(tmp_path_factory.mktemp("example") / "home").prepare()
    project = find_project(ROOT).read()
    model = replace(project.models[NAME], window=TRAINED_ON, validation=1, min_rows=100, gates=())
    return Platform.of(replace(project, models={NAME: model}), home)


def live(platform: Platform, month: Period, *, compute: bool) -> None:
    """Deliver a month, and compute what follows from it, at its as_of."""
    model = platform.project.models[NAME]
    platform.home.clock.set(month.end + model.lag)
    publish_due(platform)
    for source in platform.project.sources.values():
        if not source.static or month == model.first:
            ingest(platform, source, None if source.static else month)
    if compute:
        for table in platform.project.feature_tables.values():
            evaluate_feature_table(platform, table, month)


def test_the_last_months_are_predicted_over_http_as_in_batch(example: Platform) -> None:
    model, registry = example.project.models[NAME], open_registry(example.home.mlflow)
    calendar = model.schema.calendar
    months = [calendar.shift(model.first, number) for number in range(BEFORE + TRAINED_ON + PREDICTED + 1)]
    last = months[-PREDICTED - 1]
    for month in months[:-PREDICTED]:
        live(example, month, compute=month >= months[BEFORE - 1])
        if month > months[BEFORE - 1]:
            compute_labels(example, model, month)
    example.training_sets(model).write(last.key, build_training_set(example, model, last).rows)
    with start_run(registry, "the example") as run:
        train(example, model, last, run, Request("a test", "tests"))
    version = register(example, model, last)
    assert version is not None
    promote(example, model, version.version)
    predicted = 0
    for month in months[-PREDICTED:]:
        live(example, month, compute=True)
        assert example.clock.now() == example.model_as_of(model, month)
        publish_all(example)
        score(example, model, month)
        table = example.predictions(model)
        rows = example.engine.known_at(table, example.clock.now(), first=month, last=month).to_pylist()
        with serving_platform(example) as client:
            asked = [{name: row[name] for name in model.schema.keys} for row in rows]
            answer = client.post(f"/v1/models/{NAME}/predict", json={"rows": asked}).json()
        assert [row["prediction"] for row in answer["rows"]] == [row["prediction"] for row in rows]
        predicted += len(rows)
    assert predicted > 100
