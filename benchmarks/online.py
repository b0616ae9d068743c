"""Reading ten features by key in process, and publishing a million keys: bare stores and Feast beside ours."""

import json
import os
import random
import sqlite3
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import Figure, feast_online, feast_peer
from mlops_assets.features.created_training_sets import FeatureLookup
from mlops_assets.features.online.contract import OnlineStore
from mlops_assets.features.online.publishing import publish as publish_table
from mlops_assets.features.online.reading import OnlineFeatures
from mlops_assets.features.online.redis import RedisStore
from mlops_assets.features.online.sqlite import SqliteStore
from mlops_assets.lakehouse.home import Home
from mlops_assets.platform import Platform
from mlops_assets.project.load import load_project
from mlops_assets_tests.features.online.redis_server import PASSWORD, RedisServer

if TYPE_CHECKING:
    pass

FEATURES = tuple(f"f{number}" for number in range(10))
KEYS, MANY_KEYS = 100_000, 1_000_000
TIMES = {1: 3_000, 100: 300}
MAX_OF_BARE, MIN_FASTER, MAX_OF_PIPELINE, MIN_FASTER_PUBLISH = 2.0, 5.0, 1.5, 5.0
SOURCE = """\
type: mlops_assets.Source
attributes:
  name: rows
  description: Ten numbers for each entity
  online: true
  primary_keys: [entity]
  timestamp: happened
  period: month
  first_period: 2024-01
  columns:
    entity: {type: bigint, description: Entity}
    happened: {type: timestamp, description: When}
"""


def online_1() -> Figure:
    """Ten features of one key."""
    return _from_sqlite(1)


def online_100() -> Figure:
    """Ten features of each of a hundred keys."""
    return _from_sqlite(100)


def _from_sqlite(count: int) -> Figure:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        platform = _platform(folder, KEYS)
        store = SqliteStore(folder / "online.sqlite")
        publish_table(platform, store, "rows")
        with closing(_bare_sqlite(folder, platform)) as bare:
            marks = ",".join("?" * count)
            sql = f"SELECT entity, {', '.join(FEATURES)} FROM bare WHERE entity IN ({marks})"
            ours, peer = _medians(count, _ours(platform, store), lambda keys: bare.execute(sql, keys).fetchall())
        feast = _feast(folder, "sqlite", count)[str(count)]
    return Figure(
        f"online-{count}",
        _micros(ours),
        {"bare SQLite": _micros(peer), "feast": _micros(feast)},
        round(ours / peer, 2),
        f"at most {MAX_OF_BARE:g} x bare SQLite, at least {MIN_FASTER:g} x faster than Feast (p50, microseconds)",
        ours <= MAX_OF_BARE * peer and feast >= MIN_FASTER * ours,
    )


def online_redis() -> Figure:
    """The same of one key and of a hundred from a Redis on this machine."""
    server = RedisServer().start()
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            platform = _platform(folder, KEYS)
            store = RedisStore(server.url, "benchmark")
            publish_table(platform, store, "rows")
            bare = _bare_redis(server.url)
            measured = {count: _medians(count, _ours(platform, store), bare) for count in TIMES}
            feast = _feast(folder, f"127.0.0.1:{server.port},password={PASSWORD}", *TIMES)
    finally:
        server.close()
    ratio = max(ours / peer for ours, peer in measured.values())
    return Figure(
        "online-redis",
        {str(count): _micros(ours) for count, (ours, _) in measured.items()},
        {
            "bare pipeline": {str(count): _micros(peer) for count, (_, peer) in measured.items()},
            "feast": {str(count): _micros(feast[str(count)]) for count in TIMES},
        },
        round(ratio, 2),
        f"at most {MAX_OF_PIPELINE} x one bare pipelined call, faster than Feast (p50, microseconds)",
        ratio <= MAX_OF_PIPELINE and all(feast[str(count)] > ours for count, (ours, _) in measured.items()),
    )


def publish() -> Figure:
    """A million keys into SQLite, where nothing was published before."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        platform = _platform(folder, MANY_KEYS)
        taken = []
        for number in range(3):
            store = SqliteStore(folder / f"online_{number}.sqlite")
            begun = time.perf_counter()
            done = publish_table(platform, store, "rows")
            taken.append(time.perf_counter() - begun)
            if done.outcome.written != MANY_KEYS:
                raise RuntimeError(f"{done} of {MANY_KEYS} keys")
        ours, feast = statistics.median(taken), _feast(folder, "sqlite")["materialize"]
    return Figure(
        "publish",
        round(ours, 2),
        round(feast, 2),
        round(ours / feast, 3),
        f"at least {MIN_FASTER_PUBLISH:g} x faster than feast materialize (seconds)",
        feast >= MIN_FASTER_PUBLISH * ours,
    )


def _platform(folder: Path, keys: int) -> Platform:
    """A project with one source of so many keys; the same rows in ``rows.parquet`` for Feast."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    defs = folder / "benchmark" / "defs"
    (defs / "rows").mkdir(parents=True)
    columns = "".join(f"    {name}: {{type: double, description: A number}}\n" for name in FEATURES)
    (defs / "rows" / "defs.yaml").write_text(SOURCE + columns, encoding="utf-8")
    platform = Platform.of(load_project(defs), Home(folder / "home").prepare())
    drawn = np.random.default_rng(20240101)
    now, moment = datetime.now(UTC), pa.timestamp("us", "UTC")
    begin = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    known = begin - timedelta(days=1)
    times = pa.array([known - timedelta(seconds=number % 50_000) for number in range(keys)], moment)
    values = {name: pa.array(drawn.random(keys)) for name in FEATURES}
    entities = pa.array(range(keys), pa.int64())
    pq.write_table(pa.table({"entity": entities, "event_timestamp": times, **values}), folder / feast_online.ROWS)
    table = platform.table("rows")
    period = table.schema.calendar.of(known - timedelta(seconds=50_000)).key
    state = {"known_at": pa.array([begin] * keys, moment), "seq": pa.array([1] * keys, pa.int64())}
    state |= {"removed": pa.array([False] * keys), "period": pa.array([period] * keys)}
    states = pa.table({"entity": entities, "happened": times, **values, "event_time": times, **state})
    table.delta.append(states.cast(table.schema.stored()), table.delta.counters([period]))
    return platform


def _ours(platform: Platform, store: OnlineStore) -> Callable[[Sequence[int]], Any]:
    prepared = OnlineFeatures(platform, store).prepare([FeatureLookup("rows", FEATURES, lookback="90 days")])
    return lambda keys: prepared([{"entity": key} for key in keys])


def _bare_sqlite(folder: Path, platform: Platform) -> sqlite3.Connection:
    connection = sqlite3.connect(folder / "bare.sqlite", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"CREATE TABLE bare (entity INTEGER PRIMARY KEY, {', '.join(f'{n} REAL' for n in FEATURES)})")
    rows = platform.table("rows").states().select(["entity", *FEATURES])
    connection.execute("BEGIN")
    marks = ",".join("?" * rows.num_columns)
    connection.executemany(f"INSERT INTO bare VALUES ({marks})", zip(*(c.to_pylist() for c in rows), strict=True))
    connection.execute("COMMIT")
    return connection


def _bare_redis(url: str) -> Callable[[Sequence[int]], Any]:
    """The values of keys in one pipelined call, as bytes of the size that ten numbers have."""
    import redis

    client: Any = redis.Redis.from_url(url)
    with client.pipeline(transaction=False) as pipeline:
        for key in range(KEYS):
            pipeline.set(f"bare:{key}", os.urandom(100))
        pipeline.execute()

    def ask(keys: Sequence[int]) -> Any:
        with client.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.get(f"bare:{key}")
            return pipeline.execute()

    return ask


def _medians(count: int, *asked: Callable[[Sequence[int]], Any]) -> list[float]:
    """The median over rounds of the median seconds of each way to ask, by turns, after a round to warm up."""
    draw = random.Random(1)
    rounds: list[list[float]] = []
    for _ in range(feast_online.ROUNDS + 1):
        medians = []
        for ask in asked:
            taken = []
            for _ in range(TIMES[count]):
                keys = [draw.randrange(KEYS) for _ in range(count)]
                begun = time.perf_counter()
                answer = ask(keys)
                taken.append(time.perf_counter() - begun)
            if len(answer) < len(set(keys)):
                raise RuntimeError(f"{len(answer)} answers for {len(set(keys))} keys")
            medians.append(statistics.median(taken))
        rounds.append(medians)
    return [statistics.median(medians) for medians in zip(*rounds[1:], strict=True)]


def _feast(folder: Path, store: str, *counts: int) -> dict[str, float]:
    python = feast_peer.install(folder / "feast")
    sizes = ",".join(f"{count}:{TIMES[count] // 3}" for count in counts)
    command = feast_online.command(python, folder, store, sizes)
    done = subprocess.run(
        command, env={**os.environ, **feast_peer.SURROUNDINGS}, stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _micros(seconds: float) -> float:
    return round(seconds * 1e6, 1)
