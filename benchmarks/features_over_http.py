"""Features over HTTP: our server and Feast's, on the same rows, under the same load."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import Figure, feast_peer
from benchmarks.http_load import Load, Loaded
from mlops_assets.features.online.publishing import publish
from mlops_assets.features.online.store import open_store
from mlops_assets.lakehouse.home import HOME_VARIABLE, Home
from mlops_assets.platform import Platform
from mlops_assets.project.folder import find_project
from mlops_assets.sources.ingest import ingest

KEYS = 10_000
FEATURES = tuple(f"f{number}" for number in range(10))
DAY = "2024-01-01"
MIN_FASTER, MAX_P99_MS = 3, 25
WORKERS = (1, 2)
SOURCE = f"""\
type: mlops_assets.Source
attributes:
  name: rows
  description: Ten numbers for each entity
  online: true
  primary_keys: [entity]
  timestamp: day
  period: day
  first_period: {DAY}
  publication_lag: 1 hours
  files: {{format: parquet}}
  columns:
    entity: {{type: bigint, description: Entity}}
    day: {{type: date, description: Day}}
"""
PYPROJECT = '[tool.dg.project]\nroot_module = "peer"\n'


def http() -> Figure:
    """Ten features of one key, asked by 16 clients at a time."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = _write_rows(folder)
        with _ours(folder, rows) as load:
            ours = measured(load)
        python = feast_peer.install(folder / "feast")
        subprocess.run(feast_peer.online_command(python, folder), check=True, env=_environment())
        peer = {}
        for workers in WORKERS:
            with _feast(python, folder, workers, rows) as load:
                peer[f"workers {workers}"] = measured(load)
    return against("http", ours, peer, "Feast's", MAX_P99_MS)


def against(name: str, ours: Loaded, peer: Mapping[str, Loaded], whose: str, max_p99_ms: int) -> Figure:
    """The figure of a server of ours beside the best of a peer's settings, by name."""
    best = max(peer.values(), key=lambda loaded: loaded.per_second)
    return Figure(
        name,
        asdict(ours),
        {setting: asdict(loaded) for setting, loaded in peer.items()},
        round(ours.per_second / best.per_second, 2),
        f"at least {MIN_FASTER} x the requests a second of {whose} server, p99 under {max_p99_ms} ms",
        ours.per_second >= MIN_FASTER * best.per_second and ours.p99_ms < max_p99_ms,
    )


def _write_rows(folder: Path) -> Sequence[Mapping[str, Any]]:
    """Write ``rows.parquet`` for Feast, and a delivery for ours; gives the rows by entity."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    random = np.random.default_rng(20240101)
    columns = {name: random.random(KEYS) for name in FEATURES}
    entities, day = pa.array(range(KEYS), pa.int64()), datetime.fromisoformat(DAY).replace(tzinfo=UTC)
    moments = pa.array([day] * KEYS, pa.timestamp("us", "UTC"))
    pq.write_table(pa.table({"entity": entities, "event_timestamp": moments, **columns}), folder / feast_peer.ROWS)
    landing = folder / "home" / "landing" / "rows"
    landing.mkdir(parents=True)
    delivery = pa.table({"entity": entities, "day": moments.cast(pa.date32()), **columns})
    pq.write_table(delivery, landing / f"{DAY}.parquet")
    rows: list[dict[str, float]] = pa.table(columns).to_pylist()
    return rows


@contextmanager
def _ours(folder: Path, rows: Sequence[Mapping[str, Any]]) -> Iterator[Load]:
    project, home = folder / "project", Home(folder / "home").prepare()
    (project / "peer" / "defs" / "rows").mkdir(parents=True)
    (project / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    columns = "".join(f"    {name}: {{type: double, description: A number}}\n" for name in FEATURES)
    (project / "peer" / "defs" / "rows" / "defs.yaml").write_text(SOURCE + columns, encoding="utf-8")
    platform = Platform.of(find_project(project).read(), home)
    source = platform.project.sources["rows"]
    day = source.schema.calendar.at_key(DAY)
    ingest(platform, source, day)
    publish(platform, open_store(platform), "rows")
    token = platform.tokens.create("load", ("reader",), None, home.clock.now())
    port = free_port()
    command = [sys.executable, "-m", "mlops_assets", "--project", str(project), "serve", "--port", str(port)]
    asked = {"rows": [{"entity": "KEY"}], "lookups": [{"table": "rows", "features": FEATURES}]}
    load = Load(
        port, "/v1/features", f"Authorization: Bearer {token}\r\n", json.dumps(asked).replace('"KEY"', "KEY"), KEYS
    )
    with running(command, load, {HOME_VARIABLE: str(home.folder)}) as answer:
        require(answer["rows"][0]["features"] == rows[1], answer)
        yield load


@contextmanager
def _feast(python: Path, folder: Path, workers: int, rows: Sequence[Mapping[str, Any]]) -> Iterator[Load]:
    port = free_port()
    command = [
        str(python.parent / "feast"), "-c", str(folder / feast_peer.REPOSITORY), "serve", "--no-access-log",
        "-p", str(port), "-w", str(workers), "--max-requests", "1000000",
    ]  # fmt: skip
    asked = {"features": [f"rows:{name}" for name in FEATURES], "entities": {"entity": ["KEY"]}}
    load = Load(port, "/get-online-features", "", json.dumps(asked).replace('"KEY"', "KEY"), KEYS)
    with running(command, load, feast_peer.SURROUNDINGS) as answer:
        found = {
            name: result["values"][0]
            for name, result in zip(answer["metadata"]["feature_names"], answer["results"], strict=True)
        }
        require({name: found[name] for name in FEATURES} == rows[1], answer)
        yield load


@contextmanager
def running(command: Sequence[str], load: Load, variables: Mapping[str, str]) -> Iterator[Any]:
    """Run a server until it answers for key 1; gives that answer."""
    process = subprocess.Popen(
        command, env={**_environment(), **variables}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield _first_answer(load, process)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def _first_answer(load: Load, process: "subprocess.Popen[bytes]") -> Any:
    headers = {"Content-Type": "application/json"}
    if load.headers:
        headers |= dict([load.headers.strip().split(": ", 1)])
    body = load.body.replace("KEY", "1").encode()
    ends = time.monotonic() + 60
    while True:
        try:
            request = urllib.request.Request(f"http://127.0.0.1:{load.port}{load.path}", body, headers)
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code != 503 or time.monotonic() > ends:  # a model is still being loaded
                raise RuntimeError(error.read().decode()) from error
            time.sleep(0.1)
        except OSError:
            if time.monotonic() > ends or process.poll() is not None:
                raise
            time.sleep(0.1)


def measured(load: Load) -> Loaded:
    """Put a load on a server, from a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.http_load", json.dumps(asdict(load))],
        check=True, stdout=subprocess.PIPE, text=True, timeout=60,
    )  # fmt: skip
    return Loaded(**json.loads(done.stdout))


def _environment() -> dict[str, str]:
    return {**os.environ, **feast_peer.SURROUNDINGS}


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def require(right: bool, answer: object) -> None:
    """Stop where a server answers something else than it should."""
    if not right:
        raise RuntimeError(f"another answer than the rows': {answer}")
