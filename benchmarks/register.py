"""Logging and registering one version, beside what MLflow's own ``log_model`` does by default with the same fit."""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import Figure
from benchmarks.predict_over_http import MODEL, MONTHS, ROOT, training_rows
from mlops_assets.lakehouse.home import Home
from mlops_assets.models.fit_files import LIBRARY
from mlops_assets.models.fitting import feature_frame, fit
from mlops_assets.models.logged import ROWS_OF_EXAMPLE, contents_of, logged_fits
from mlops_assets.models.registry import log_candidate, open_registry, register_version
from mlops_assets.platform import Platform
from mlops_assets.project.folder import find_project
from mlops_assets_tests.models.runs import start_run

TIMES = 5
MAX_SECONDS = 1.5


def register() -> Figure:
    """Seconds to log both fits of a training with all that it read and rests on, and to register the one that serves.

    MLflow logs and registers one of the fits, with an example, and finds its requirements out by trying.
    """
    import mlflow

    with tempfile.TemporaryDirectory() as name:
        home = Home(Path(name) / "home").prepare()
        platform = Platform.of(find_project(ROOT).read(), home)
        model = platform.project.models[MODEL]
        registry = open_registry(home.mlflow)
        at = model.schema.calendar.shift(model.first, MONTHS + 12)
        rows = training_rows(model, at)
        content = platform.training_sets(model).write(at.key, rows)
        fitted = fit(model, rows)

        def ours(run: str) -> None:
            fits = logged_fits(model, {"judged": fitted, "model": fitted})
            contents = contents_of(
                platform, model, at, rows, content, fits, params={}, metrics={"mae": 1.0}, tags={}, commit=None
            )
            uris = log_candidate(registry, run, contents)
            register_version(registry, model_name="ours", model_uri=uris["model"], run_id=run, tags={})

        def theirs(run: str) -> None:
            mlflow.sklearn.log_model(
                fitted,
                name="model",
                registered_model_name="theirs",
                input_example=feature_frame(model, rows.slice(0, ROWS_OF_EXAMPLE)),
                skops_trusted_types=list(LIBRARY.types),
            )

        def seconds(work: Callable[[str], None], times: int) -> float:
            taken: list[float] = []
            for _ in range(times + 1):  # the first imports and prepares
                with start_run(registry, "register") as run:
                    begun = time.perf_counter()
                    work(run)
                    taken.append(time.perf_counter() - begun)
            return statistics.median(taken[1:])

        found, peer = seconds(ours, TIMES), seconds(theirs, 1)
    return Figure(
        "register",
        round(found, 2),
        round(peer, 2),
        round(found / peer, 2),
        f"under {MAX_SECONDS} s for both fits; MLflow's default log_model of one beside it (seconds)",
        found < MAX_SECONDS,
    )
