"""Feast's online store as a peer, in SQLite or Redis: materializing rows, and reading them by key.

The file itself is run by the Python of an environment that is thrown away, so it imports nothing of ours.
"""

import json
import os
import random
import statistics
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROWS = "rows.parquet"
ROUNDS = 5


def command(python: Path, folder: Path, store: str, sizes: str) -> list[str]:
    """What measures Feast on the rows in a folder; ``store`` is ``sqlite`` or the HOST:PORT,password=… of a Redis.

    ``sizes`` are how many times to ask for how many keys, such as ``1:2000,100:200``. The last line is JSON.
    """
    return [str(python), "-P", __file__, str(folder), store, sizes]


def _measured_here(folder: Path, store_name: str, sizes: str) -> dict[str, Any]:
    import pyarrow.parquet as pq
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
    from feast.types import Float64

    names = pq.read_schema(folder / ROWS).names
    features = [name for name in names if name not in ("entity", "event_timestamp")]
    keys = pq.read_metadata(folder / ROWS).num_rows
    online = (
        {"type": "sqlite", "path": str(folder / "feast_online.db")}
        if store_name == "sqlite"
        else {"type": "redis", "connection_string": store_name}
    )
    entity = Entity(name="entity", join_keys=["entity"], value_type=ValueType.INT64)
    view = FeatureView(
        name="rows",
        entities=[entity],
        ttl=timedelta(days=365_000),
        schema=[Field(name=name, dtype=Float64) for name in features],
        source=FileSource(path=str(folder / ROWS), timestamp_field="event_timestamp"),
    )
    store = FeatureStore(
        config=RepoConfig(
            project="peer",
            registry=str(folder / "feast_online.registry.db"),
            provider="local",
            online_store=online,
            entity_key_serialization_version=3,
        )
    )
    store.apply([entity, view])
    begun = time.perf_counter()
    store.materialize(datetime(2000, 1, 1, tzinfo=UTC), datetime.now(UTC))
    materialized = time.perf_counter() - begun
    asked = [f"rows:{name}" for name in features]
    found: dict[str, Any] = {"materialize": materialized}
    draw = random.Random(1)
    for size in filter(None, sizes.split(",")):
        count, times = map(int, size.split(":"))
        medians = []
        for _ in range(ROUNDS):
            taken = []
            for _ in range(times):
                rows = [{"entity": draw.randrange(keys)} for _ in range(count)]
                begun = time.perf_counter()
                answer = store.get_online_features(features=asked, entity_rows=rows).to_dict()
                taken.append(time.perf_counter() - begun)
            assert None not in answer[features[0]]
            medians.append(statistics.median(taken))
        found[str(count)] = statistics.median(medians)
    return found


if __name__ == "__main__":
    os.environ.update({"FEAST_USAGE": "False", "PYTHONWARNINGS": "ignore"})
    print(json.dumps(_measured_here(Path(sys.argv[1]), sys.argv[2], sys.argv[3])))
