"""One month of scoring and monitoring through Dagster in process, against the same calls in a bare script."""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import Figure
from mlops_assets.features.feature_tables import evaluate_feature_table
from mlops_assets.features.labels import compute_labels
from mlops_assets.lakehouse.home import HOME_VARIABLE, Home
from mlops_assets.lakehouse.periods import Period
from mlops_assets.models.scoring import score
from mlops_assets.monitoring.drift import measure_drift
from mlops_assets.monitoring.performance import measure_performance
from mlops_assets.platform import Platform
from mlops_assets.project.folder import find_project
from mlops_assets.sources.ingest import ingest
from mlops_assets.sources.publisher import publish_due

if TYPE_CHECKING:
    import dagster as dg

PROJECT = Path(__file__).parent.parent
FIRST, LAST = "1995-01", "1995-02"
MONTHS = 6
MAX_SECONDS_MORE = 1.0
MODEL = "scripts_forecast"
STEPS = ("labels", "predictions", "performance", "drift_report")


def chain() -> Figure:
    """Median seconds of a month, both ways on copies of one home; the first month warms up and does not count."""
    with tempfile.TemporaryDirectory() as folder:
        through_dagster, bare = Home(Path(folder) / "dagster"), Home(Path(folder) / "bare")
        command = [sys.executable, "-m", "mlops_assets", "--project", str(PROJECT), "replay"]
        subprocess.run(
            [*command, "--from", FIRST, "--to", LAST],
            env={**os.environ, HOME_VARIABLE: str(through_dagster.folder)},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        shutil.copytree(through_dagster.folder, bare.folder)
        os.environ[HOME_VARIABLE] = str(through_dagster.folder)
        os.environ["DAGSTER_HOME"] = str(through_dagster.dagster)
        import dagster as dg

        from mlops_assets.definitions import defs

        warnings.simplefilter("ignore", dg.BetaWarning)
        definitions = defs()
        project = find_project(PROJECT).read()
        model = project.models[MODEL]
        ours, peer = [], []
        with dg.DagsterInstance.get() as instance:
            for number in range(1, MONTHS + 2):
                period = model.schema.calendar.shift(model.schema.calendar.at_key(LAST), number)
                for home in (bare, through_dagster):
                    platform = Platform.of(project, home)
                    home.clock.set(period.end + model.lag)
                    publish_due(platform)
                    for source in project.sources.values():
                        if not source.static:
                            ingest(platform, source, period)
                peer.append(_bare(Platform.of(project, bare), period))
                ours.append(_through_dagster(definitions, instance, platform, period))
    mine, other = statistics.median(ours[1:]), statistics.median(peer[1:])
    return Figure(
        "chain",
        round(mine, 3),
        round(other, 3),
        round(mine / other, 2),
        f"at most {MAX_SECONDS_MORE:g} s more than the bare calls (seconds)",
        mine - other <= MAX_SECONDS_MORE,
    )


def _bare(platform: Platform, period: Period) -> float:
    model = platform.project.models[MODEL]
    begun = time.perf_counter()
    for table in platform.project.feature_tables.values():
        evaluate_feature_table(platform, table, period)
    compute_labels(platform, model, period)
    score(platform, model, period)
    measure_performance(platform, model, period)
    measure_drift(platform, model, period)
    return time.perf_counter() - begun


def _through_dagster(
    definitions: "dg.Definitions", instance: "dg.DagsterInstance", platform: Platform, period: Period
) -> float:
    import dagster as dg

    model = platform.project.models[MODEL]
    keys = [dg.AssetKey(name) for name in platform.project.feature_tables]
    keys += [dg.AssetKey([model.name, step]) for step in STEPS]
    job = definitions.resolve_implicit_global_asset_job_def()
    begun = time.perf_counter()
    job.execute_in_process(
        instance=instance,
        partition_key=period.key,
        asset_selection=keys,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    return time.perf_counter() - begun
