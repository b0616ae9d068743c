"""An application outside the project reads features of the example, over a real socket, with the client alone."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.features.feature_tables import evaluate_feature_table
from mlops_assets.features.online.publishing import publish
from mlops_assets.features.online.store import open_store
from mlops_assets.governance.tokens import TOKEN_VARIABLE
from mlops_assets.lakehouse.home import Home
from mlops_assets.platform import Platform
from mlops_assets.project.folder import find_project
from mlops_assets.sources.ingest import ingest
from mlops_assets.sources.publisher import publish_due
from mlops_assets_tests.serving.running import served

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
MONTHS = 14
APPLICATION = """
import json, sys
from mlops_assets.client import Client
client = Client(sys.argv[1])
answer = client.features(json.loads(sys.argv[2]), model="scripts_forecast")
ours = sorted(name for name in sys.modules if name.startswith("mlops_assets"))
heavy = [name for name in ("pandas", "pyarrow", "dagster", "duckdb", "numpy") if name in sys.modules]
ages = [row.found["series_demand"].age.days for row in answer.rows if row.found["series_demand"]]
print(json.dumps({"features": [row.features for row in answer.rows], "ages": ages, "ours": ours, "heavy": heavy}))
"""


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """The example over some months, of which the features of the last are computed and published."""
    home = Home(tmp_path_factory.mktemp("example") / "home").prepare()
    platform = Platform.of(find_project(ROOT).read(), home)
    sources = platform.project.sources.values()
    (source,) = (source for source in sources if not source.static)
    assert source.first
    last = source.schema.calendar.shift(source.first, MONTHS - 1)
    home.clock.set(last.end + source.lag)
    publish_due(platform)
    for one in sources:
        for month in [None] if one.static else source.schema.calendar.between(source.first, last):
            ingest(platform, one, month)
    for table in platform.project.feature_tables.values():
        evaluate_feature_table(platform, table, last)
    for name in platform.project.online_tables:
        publish(platform, open_store(platform), name)
    return platform


def test_an_application_outside_the_project_reads_features_of_the_example(example: Platform) -> None:
    now = example.clock.now()
    rows = example.engine.known_at(example.table("series_demand"), now).to_pylist()
    assert len(rows) > 100
    classes = {row["atc2"]: row["atc1"] for row in example.engine.known_at(example.table("atc"), now).to_pylist()}
    keys = [{name: row[name] for name in ("concession", "type", "atc2")} for row in rows]
    token = example.tokens.create("application", ("application",), None, now)
    nobody = {"concession": "nobody", "type": "nothing", "atc2": "Z99"}
    with served(ROOT, example.home.folder) as server:
        told = run_application(server.url, token, [*keys, nobody])
    assert (told["heavy"], told["ours"]) == ([], ["mlops_assets", "mlops_assets.client", "mlops_assets.errors"])
    *features, of_nobody = told["features"]
    for row, answer in zip(rows, features, strict=True):
        assert list(answer) == list(example.project.models["scripts_forecast"].feature_names)
        assert (answer["log_scripts"], answer["growth_12m"]) == (row["log_scripts"], row["growth_12m"])
        assert answer["atc1"] == classes.get(row["atc2"])
    assert set(of_nobody.values()) == {None}
    assert set(told["ages"]) == {(now - rows[0]["event_time"]).days}


def run_application(url: str, token: str, rows: list[dict[str, str]]) -> Any:
    """What an application in a process of its own, in another folder, was told."""
    done = subprocess.run(
        [sys.executable, "-c", APPLICATION, url, json.dumps(rows)],
        env={**os.environ, TOKEN_VARIABLE: token},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
