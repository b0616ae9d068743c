"""Measure the figures that are named, or all of them."""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict

from benchmarks import Figure
from benchmarks.backfill import backfill
from benchmarks.backtest import backtest_speed, pay_off
from benchmarks.chain import chain
from benchmarks.compaction import compaction
from benchmarks.drift import drift, false_alarms, power
from benchmarks.features_over_http import http
from benchmarks.lines import lines
from benchmarks.load import load
from benchmarks.many_models import models_500
from benchmarks.online import online_1, online_100, online_redis, publish
from benchmarks.pit import pit, pit_feast, pit_growth, pit_late, pit_wide
from benchmarks.predict_over_http import predict_http
from benchmarks.register import register
from benchmarks.replay import demo, replay
from benchmarks.score_batch import score_batch
from benchmarks.search import search
from benchmarks.skew import skew
from benchmarks.spark_overhead import spark_overhead

FIGURES: dict[str, Callable[[], Figure]] = {
    "load": load,
    "models-500": models_500,
    "chain": chain,
    "demo": demo,
    "replay": replay,
    "lines": lines,
    "pit": pit,
    "pit-late": pit_late,
    "pit-feast": pit_feast,
    "pit-wide": pit_wide,
    "pit-growth": pit_growth,
    "spark-overhead": spark_overhead,
    "backfill": backfill,
    "compaction": compaction,
    "drift": drift,
    "false-alarms": false_alarms,
    "power": power,
    "pay-off": pay_off,
    "backtest-speed": backtest_speed,
    "http": http,
    "predict-http": predict_http,
    "register": register,
    "score-batch": score_batch,
    "search": search,
    "skew": skew,
    "online-1": online_1,
    "online-100": online_100,
    "online-redis": online_redis,
    "publish": publish,
}


def main() -> int:
    """Print one JSON object a line; 1 where a figure does not hold, 2 for an unknown name."""
    names = sys.argv[1:] or list(FIGURES)
    unknown = [name for name in names if name not in FIGURES]
    if unknown:
        print(f"Found: {', '.join(unknown)}. Expected: {', '.join(FIGURES)}.", file=sys.stderr)
        return 2
    figures = []
    for name in names:
        figures.append(FIGURES[name]())
        print(json.dumps(asdict(figures[-1])), flush=True)
    return 0 if all(figure.holds for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
