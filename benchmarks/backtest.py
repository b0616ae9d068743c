"""Backtests of the example over 149 months: what retraining by its policies pays, and how long it takes to know."""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

from benchmarks import Figure
from mlops_assets.lakehouse.home import HOME_VARIABLE
from mlops_assets.project.load_policy import AS_DECLARED

PROJECT = Path(__file__).parent.parent
MODELS = ("scripts_forecast", "scripts_fall")
SHOWN = ("error", "trainings", "promoted", "regretted", "regretted_of")
FIRST, LAST = "1996-02", "2008-06"
MAX_WORSE, MAX_SHARE_OF_TRAININGS, MAX_REGRETTED, MAX_SECONDS = 0.005, 1 / 5, 1 / 10, 480


def pay_off() -> Figure:
    """The declared policies of both models against training every month without gates, on the same rows."""
    told, peers, holds = {}, {}, True
    for name in MODELS:
        policies = _backtested(name)[0]["policies"]
        ours, monthly = policies[AS_DECLARED], policies["every month"]
        told[name] = {
            column: ours[column] for column in ("error", "trainings", "promoted", "regretted", "regretted_of")
        }
        peers[name] = {policy: [round(of["error"], 5), of["trainings"]] for policy, of in policies.items()}
        holds &= ours["error"] <= monthly["error"] * (1 + MAX_WORSE)
        holds &= ours["trainings"] <= monthly["trainings"] * MAX_SHARE_OF_TRAININGS
        holds &= ours["regretted"] <= ours["regretted_of"] * MAX_REGRETTED
    goal = "within 0.5 % of every month ungated, at most a fifth of its trainings, one regretted promotion in ten"
    ratio = max(told[name]["error"] / peers[name]["every month"][0] for name in MODELS)
    return Figure("pay-off", told, peers, round(ratio, 4), goal, holds)


def backtest_speed() -> Figure:
    """From the command to the table: 149 months of one model, four policies, nothing kept before."""
    _, seconds, of_cores = _backtested(MODELS[0])
    told = {"seconds": round(seconds), "CPU seconds": round(of_cores)}
    goal = f"under {MAX_SECONDS // 60} minutes on 2 cores"
    return Figure("backtest-speed", told, None, None, goal, seconds < MAX_SECONDS)


@lru_cache(maxsize=2)
def _backtested(model: str) -> tuple[Any, float, float]:
    """The table of a backtest, how long it took, and on all cores together."""
    with tempfile.TemporaryDirectory() as found:
        begun, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        _run(_home().name, "backtest", model, "--from", FIRST, "--to", LAST, "--out", found)
        seconds, now = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
        table = json.loads((Path(found) / "table.json").read_text(encoding="utf-8"))
        return table, seconds, now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime


@lru_cache(maxsize=1)
def _home() -> "tempfile.TemporaryDirectory[str]":
    """A home that holds all months, their features and labels: a replay of the last one brings in those before it."""
    folder = tempfile.TemporaryDirectory()
    _run(folder.name, "replay", "--from", LAST, "--to", LAST)
    return folder


def _run(home: str, *arguments: str) -> None:
    command = [sys.executable, "-m", "mlops_assets", "--project", str(PROJECT), *arguments]
    subprocess.run(command, env={**os.environ, HOME_VARIABLE: home}, stdout=subprocess.DEVNULL, check=True)
