"""Feast as a peer: the same labels and rows through its own offline stores, in an environment that is thrown away.

The file itself is run by that environment's Python, so it imports nothing of ours; telemetry is off.
"""

import json
import os
import subprocess
import sys
import time
import venv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

FEAST = "feast[duckdb,redis]==0.67.0"
ENGINES = ("dask", "duckdb")
ROWS, LABELS = "rows.parquet", "entities.parquet"
TIMES = 2
REPOSITORY = "feast_repository"
"""Folder of what `online_command` makes."""
SURROUNDINGS = {"FEAST_USAGE": "False", "PYTHONWARNINGS": "ignore"}


def install(folder: Path) -> Path:
    """Make the environment in a folder; gives its Python."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", FEAST], check=True)
    return python


# With -P, because the folder of this file has modules that are called as some of Python's own are.


def command(python: Path, folder: Path, engine: str, lookback_days: int) -> list[str]:
    """What measures one of Feast's `ENGINES` on the data in a folder; prints JSON in its last line."""
    return [str(python), "-P", __file__, str(folder), engine, str(lookback_days)]


def online_command(python: Path, folder: Path) -> list[str]:
    """What makes a repository of the rows in a folder, all of them in Feast's online store in SQLite."""
    return [str(python), "-P", __file__, str(folder)]


def _online_here(folder: Path) -> None:
    import pyarrow.parquet as pq
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
    from feast.types import Float64

    features = [name for name in pq.read_schema(folder / ROWS).names if name not in ("entity", "event_timestamp")]
    repository = folder / REPOSITORY
    repository.mkdir()
    (repository / "feature_store.yaml").write_text(
        "project: peer\nregistry: registry.db\nprovider: local\nonline_store: {type: sqlite, path: online.db}\n"
        "offline_store: {type: duckdb}\nentity_key_serialization_version: 3\n",
        encoding="utf-8",
    )
    entity = Entity(name="entity", join_keys=["entity"], value_type=ValueType.INT64)
    view = FeatureView(
        name="rows",
        entities=[entity],
        ttl=timedelta(0),
        schema=[Field(name=name, dtype=Float64) for name in features],
        source=FileSource(path=str(folder / ROWS), timestamp_field="event_timestamp"),
        online=True,
    )
    store = FeatureStore(repo_path=str(repository))
    store.apply([entity, view])
    store.materialize(datetime(2000, 1, 1, tzinfo=UTC), datetime.now(UTC))


def _measured_here(folder: Path, engine: str, lookback_days: int) -> dict[str, Any]:
    import pandas as pd
    import pyarrow.parquet as pq
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
    from feast.infra.offline_stores.dask import DaskOfflineStoreConfig
    from feast.infra.offline_stores.duckdb import DuckDBOfflineStoreConfig
    from feast.types import Float64

    features = [name for name in pq.read_schema(folder / ROWS).names if name not in ("entity", "event_timestamp")]
    entity = Entity(name="entity", join_keys=["entity"], value_type=ValueType.INT64)
    view = FeatureView(
        name="rows",
        entities=[entity],
        ttl=timedelta(days=lookback_days),
        schema=[Field(name=name, dtype=Float64) for name in features],
        source=FileSource(path=str(folder / ROWS), timestamp_field="event_timestamp"),
        online=False,
    )
    store = FeatureStore(
        config=RepoConfig(
            project="peer",
            registry=str(folder / f"{engine}.registry.db"),
            provider="local",
            offline_store={"dask": DaskOfflineStoreConfig, "duckdb": DuckDBOfflineStoreConfig}[engine](),
            entity_key_serialization_version=3,
        )
    )
    store.apply([entity, view])
    labels = pd.read_parquet(folder / LABELS)
    taken = []
    for _ in range(TIMES):
        begun = time.perf_counter()
        answer = store.get_historical_features(labels, [f"rows:{name}" for name in features]).to_arrow()
        taken.append(time.perf_counter() - begun)
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    largest = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
    return {"seconds": min(taken), "gigabytes": largest / 1e6, "rows": answer.num_rows, "digest": ""}


if __name__ == "__main__":
    os.environ.update(SURROUNDINGS)
    if len(sys.argv) == 2:
        _online_here(Path(sys.argv[1]))
    else:
        print(json.dumps(_measured_here(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))))
