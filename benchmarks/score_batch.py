"""Scoring a table of a million rows by a version, against its bare estimator on the same frame."""

import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import Figure
from mlops_assets.lakehouse.home import Home
from mlops_assets.lakehouse.periods import Period
from mlops_assets.models.fitting import feature_frame
from mlops_assets.models.promotion import promote, register
from mlops_assets.models.records import candidate_of_version
from mlops_assets.models.registry import load_fit, open_registry
from mlops_assets.models.training import Request, train
from mlops_assets.notebook import Project
from mlops_assets.platform import Platform
from mlops_assets.project.folder import find_project
from mlops_assets_tests.models.runs import start_run

if TYPE_CHECKING:
    import pyarrow as pa

ROWS, LEARNED, DAYS = 1_000_000, 20_000, 60
NUMBERS = tuple(f"number_{place}" for place in range(16))
CATEGORIES = tuple(f"category_{place}" for place in range(4))
MOST, TIMES = 1.3, 3
COLUMNS = "\n".join(
    [f"    {name}: {{type: double, description: A number}}" for name in NUMBERS]
    + [f"    {name}: {{type: string, description: A category}}" for name in CATEGORIES]
)
FILES = {
    "pyproject.toml": '[tool.dg.project]\nroot_module = "wide"\n',
    "wide/defs/measured/defs.yaml": f"""\
type: mlops_assets.Source
attributes:
  name: measured
  description: What was measured of things by day
  primary_keys: [thing]
  timestamp: day
  period: day
  first_period: 2024-01-01
  publication_lag: 6 hours
  columns:
    thing: {{type: bigint, description: Thing}}
    day: {{type: date, description: Day}}
{COLUMNS}
""",
    "wide/defs/forecast/defs.yaml": f"""\
type: mlops_assets.Model
attributes:
  name: forecast
  description: Tomorrow's first number
  task: regression
  primary_keys: [thing]
  timestamp: day
  population: things.sql
  history: 2 days
  label: {{sql: tomorrow.sql, column: tomorrow, horizon: 1, unit: one}}
  baseline: measured.number_15
  features:
    - {{table: measured, columns: [{", ".join((*NUMBERS, *CATEGORIES))}], lookback: 5 days}}
  template: {{name: hist_gradient_boosting_regressor, version: 2}}
  train: {{window: {DAYS} days, validation: 7 days, min_rows: 100}}
  gates: [{{metric: mae, better_than: baseline}}]
  retrain: {{cool_down: 7 days, max_age: 28 days}}
""",
    "wide/defs/forecast/things.sql": "SELECT thing, day FROM measured\n",
    "wide/defs/forecast/tomorrow.sql": (
        "SELECT today.thing, today.day, later.number_0 AS tomorrow FROM measured AS today\n"
        "JOIN measured AS later ON later.thing = today.thing AND later.day = today.day + INTERVAL 1 DAY\n"
    ),
}


def score_batch() -> Figure:
    """Seconds for a million rows of 20 features: given with the rows, and looked up in a table of the lakehouse.

    The peer is ``predict`` of the same fit on the ready frame, with as many threads.
    """
    from threadpoolctl import threadpool_limits

    with tempfile.TemporaryDirectory() as name:
        platform = measured_things(Path(name))
        model = platform.project.models["forecast"]
        at = model.schema.calendar.at_key("2024-03-20")
        champion = _promoted(platform, at)
        fit = load_fit(open_registry(platform.home.mlflow), candidate_of_version(platform, model, champion).model_uri)
        project = Project(platform)
        features = features_of_things(ROWS)
        keys = features.select(["thing"])
        write_day(platform, features, model.speaks_about(platform.clock.now()))
        frame = feature_frame(model, features)
        with threadpool_limits(limits=model.threads):
            bare, expected = _timed(lambda: fit.predict(frame))
        given, scored = _timed(lambda: project.score_batch("forecast", features))
        looked_up, found = _timed(lambda: project.score_batch("forecast", keys))
        for answer in (scored, found):
            if answer.rows["prediction"].to_pylist() != expected.tolist():
                raise RuntimeError("other predictions than the bare estimator's")
    ratio = given / bare
    return Figure(
        "score-batch",
        {"features given": round(given, 2), "features looked up": round(looked_up, 2)},
        round(bare, 2),
        round(ratio, 2),
        f"features given: at most {MOST} x the bare estimator's predict, seconds",
        ratio <= MOST,
    )


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Median seconds of some calls after a first one, and the last answer."""
    answer, seconds = call(), []
    for _ in range(TIMES):
        begun = time.perf_counter()
        answer = call()
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds), answer


def measured_things(folder: Path) -> Platform:
    """The project of this benchmark, in a new home."""
    for name, text in FILES.items():
        file = folder / "project" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return Platform.of(find_project(folder / "project").read(), Home(folder / "home").prepare())


def features_of_things(rows: int) -> "pa.Table":
    """Things with all features, the same each time."""
    import numpy as np
    import pyarrow as pa

    random = np.random.default_rng(20240101)
    levels = np.array(list("ABCDEFGHIJKL"), object)
    made: dict[str, Any] = {"thing": np.arange(rows)}
    made |= {name: random.normal(size=rows) for name in NUMBERS}
    made |= {name: levels[random.integers(0, 12, rows)] for name in CATEGORIES}
    return pa.table(made)


def _promoted(platform: Platform, at: Period) -> int:
    """Train on rows drawn at random, and promote; the version's number."""
    import pyarrow as pa
    import pyarrow.compute as pc

    model, registry = platform.project.models["forecast"], open_registry(platform.home.mlflow)
    platform.home.clock.set(platform.labels_as_of(model, at))
    calendar = model.schema.calendar
    days = [calendar.shift(at, -1 - number % DAYS) for number in range(LEARNED)]
    rows = features_of_things(LEARNED)
    label = pc.add(rows["number_0"], pc.multiply(rows["number_1"], rows["number_2"]))
    known = pa.array([day.end + timedelta(hours=6) for day in days], pa.timestamp("us", "UTC"))
    rows = rows.append_column("day", pa.array([day.start.date() for day in days], pa.date32()))
    rows = rows.append_column("predicted_at", known).append_column("tomorrow", label)
    names = ["thing", "day", "predicted_at", "tomorrow", *model.feature_names]
    platform.training_sets(model).write(at.key, rows.select(names))
    with start_run(registry, "score-batch") as run:
        train(platform, model, at, run, Request("a benchmark", "benchmarks"))
    version = register(platform, model, at)
    if version is None:
        raise RuntimeError("the candidate did not pass its gates")
    return promote(platform, model, version.version).version


def write_day(platform: Platform, features: "pa.Table", day: Period) -> None:
    """Write the rows of a day as the source's."""
    import pyarrow as pa

    table = platform.table("measured")
    moment, count = pa.timestamp("us", "UTC"), features.num_rows
    columns: dict[str, Any] = {name: features[name] for name in features.column_names}
    columns |= {
        "day": pa.array([day.start.date()] * count, pa.date32()),
        "event_time": pa.array([day.start] * count, moment),
        "known_at": pa.array([day.end + timedelta(hours=6)] * count, moment),
        "seq": pa.array([1] * count, pa.int64()),
        "removed": pa.array([False] * count),
        "period": pa.array([day.key] * count),
    }
    states = pa.table({name: columns[name] for name in table.schema.stored().names}, table.schema.stored())
    table.delta.append(states, table.delta.counters([day.key]))
