"""Computing again what was answered to a hundred thousand logged requests, and comparing it to the last bit."""

import tempfile
import time
from datetime import timedelta
from pathlib import Path

from benchmarks import Figure
from benchmarks.score_batch import features_of_things, measured_things, write_day
from mlops_assets.models.requests import append_requests
from mlops_assets.monitoring.skew import measure_skew
from mlops_assets.platform import Platform

REQUESTS, ALTERED, MAX_SECONDS = 100_000, 1_000, 30


def skew() -> Figure:
    """Seconds for the requests of a day, each of another second and 20 features, a hundredth of which were altered."""
    with tempfile.TemporaryDirectory() as name:
        platform = measured_things(Path(name))
        model = platform.project.models["forecast"]
        day = model.schema.calendar.at_key("2024-03-20")
        write_day(platform, features_of_things(REQUESTS), model.schema.calendar.shift(day, -2))
        _ask(platform, REQUESTS)
        begun = time.perf_counter()
        found = measure_skew(platform, model, day)
        seconds = time.perf_counter() - begun
    if found is None or (found[0].compared, found[0].equal) != (REQUESTS, REQUESTS - ALTERED):
        raise RuntimeError("other requests differ than were altered")
    return Figure("skew", round(seconds, 1), None, None, f"under {MAX_SECONDS} s", seconds < MAX_SECONDS)


def _ask(platform: Platform, count: int) -> None:
    """Keep requests of a day that were answered with what was known, but for some."""
    model = platform.project.models["forecast"]
    begin = model.schema.calendar.at_key("2024-03-20").start
    answers = features_of_things(count).to_pylist()
    head = {"request_row": 0, "asked_by": "a benchmark", "version": 1, "prediction": 0.0}
    rows = [
        {**head, **answer, "request_id": f"{place:06d}", "asked_at": begin + timedelta(seconds=86_000 * place / count)}
        for place, answer in enumerate(answers)
    ]
    for row in rows[:: count // ALTERED]:
        row["number_3"] += 1e-9
    platform.home.clock.set(begin + timedelta(days=1, hours=1))
    append_requests(platform, model, rows)
