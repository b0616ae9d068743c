"""Makes a home with every kind of state in it, and says what is true of it: ``python -m … make_home FOLDER``.

It is run once by each release whose format later ones must bring forward; see README.md beside it.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

from mlops_assets.client import Client
from mlops_assets.errors import AnswerError
from mlops_assets.lakehouse.home import HOME_VARIABLE, Home
from mlops_assets_tests.end_to_end.replaying import data_versions
from mlops_assets_tests.serving.running import served, until

MODEL = "orders_forecast"
KEYS = ({"region": "coast", "product": "gamma"}, {"region": "north", "product": "alpha"})
PUSHED = """
type: mlops_assets.Source
attributes:
  name: visits
  description: Visits as shops report them
  primary_keys: [shop]
  timestamp: seen_at
  period: day
  first_period: 2024-01-26
  last_period: 2024-02-29
  publication_lag: 1 hours
  online: true
  push: {}
  columns:
    shop: {type: string, description: Shop}
    seen_at: {type: timestamp, description: When}
    visits: {type: bigint, description: Visits, nullable: false, minimum: 0}
"""


def make(folder: Path) -> None:
    project, home = folder / "shop", folder / "home"
    os.environ.update({HOME_VARIABLE: str(home), "HOME": str(folder / "user"), "PYTHONDONTWRITEBYTECODE": "1"})
    run(folder, "init", str(project))
    forecast = project / "shop/defs/orders_forecast/defs.yaml"
    change(forecast, "  retrain:", "  serve: {log_share: 1.0}\n  retrain:")
    change(
        project / "shop/defs/orders/defs.yaml",
        "  published_from: data/orders.csv",
        "  published_from: data/orders.csv\n  most_bad_share: 0.2",
    )
    change(
        project / "shop/defs/orders/data/orders.csv", "2024-01-25,south,delta,75,213", "2024-01-25,south,delta,75,-213"
    )
    replay = ("replay", "--from", "2024-01-24", "--to")
    run(project, *replay, "2024-01-26")
    run(project, "tokens", "create", "was revoked", "--role", "reader")
    run(project, "tokens", "revoke", "was revoked")
    approver = run(project, "tokens", "create", "approver", "--role", "approver", "--role", "reader").split()[0]
    application = run(project, "tokens", "create", "application", "--role", "application").split()[0]
    change(forecast, "  retrain:", "  approval: required\n  retrain:")
    run(project, "models", "train", MODEL, "2024-01-26", "--reason", "a second version")
    run(project, "models", "approve", MODEL, "2", "--reason", "as good", MLOPS_TOKEN=approver)
    change(
        project / "shop/defs/orders/order_trend.sql",
        "    level - level_7d AS growth_7d,",
        "    level - level_7d AS growth_7d,\n    level - level_6d AS growth_6d,",
    )
    change(
        project / "shop/defs/orders/defs.yaml",
        "    next_growth_last_week:",
        "    growth_6d: {type: double, description: Log change in six days}\n    next_growth_last_week:",
    )
    run(project, "backfill", "order_trend")
    run(project, *replay, "2024-01-27")
    with served(project, home) as server, Client(server.url, application) as client:
        until(lambda: predicts(client), seconds=100)
        asked = client.features(KEYS, model=MODEL)
        predicted = client.predict(MODEL, rows=KEYS)
        requests = home / "lakehouse/tables/orders_forecast.requests"
        until(lambda: any(requests.glob("*/_delta_log/*01.json")), seconds=100)
    push(folder / "till", home, application)
    truth = {
        "data_versions": data_versions(Home(home)),
        "champion": predicted.version,
        "features": [dict(row.features) for row in asked.rows],
        "predictions": [row.prediction for row in predicted.rows],
        "application_token": application,
    }
    (folder / "truth.json").write_text(json.dumps(truth, indent=2) + "\n", encoding="utf-8")


def predicts(client: Client) -> bool:
    try:
        client.predict(MODEL, rows=KEYS)
    except AnswerError as error:
        assert error.status == 503, error  # it is being loaded
        return False
    return True


def push(project: Path, home: Path, token: str) -> None:
    """Push a batch into the same home, by a project of its own: beside one that is delivered, it did not load then."""
    run(project.parent, "init", str(project))
    shutil.rmtree(project / "till/defs")
    (project / "till/defs").mkdir()
    (project / "till/defs/defs.yaml").write_text(PUSHED.lstrip(), encoding="utf-8")
    with served(project, home) as server, Client(server.url, token) as client:
        client.push("visits", [{"shop": "north", "seen_at": "2024-01-28T05:00:00Z", "visits": 3}], idempotency_key="1")


def pack(folder: Path, archive: Path) -> None:
    """Project and home as one archive, without what is made anew from the rest and is large."""

    def chosen(item: tarfile.TarInfo) -> tarfile.TarInfo | None:
        left_out = item.name.endswith(".html") or "__pycache__" in item.name
        item.uid = item.gid = 0
        item.uname = item.gname = ""
        return None if left_out else item

    with tarfile.open(archive, "w:xz", preset=9) as packed:
        for name in ("shop", "till", "home"):
            packed.add(folder / name, name, filter=chosen)


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, (old, text)
    file.write_text(text.replace(old, new), encoding="utf-8")


def run(folder: Path, *arguments: str, **variables: str) -> str:
    command: list[Any] = [sys.executable, "-m", "mlops_assets", *arguments]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    print(" ".join(arguments), done.stdout, sep="\n", flush=True)
    return done.stdout


if __name__ == "__main__":
    chosen_folder = Path(sys.argv[1]).resolve()
    chosen_folder.mkdir(parents=True)
    (chosen_folder / "user").mkdir()
    make(chosen_folder)
    pack(chosen_folder, Path(sys.argv[2]))
