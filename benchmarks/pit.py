"""The figures of point-in-time joins: against a bare ASOF join, against Feast, wide, and ten times as much."""

import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks import Figure, feast_peer
from benchmarks.point_in_time import (
    LOOKBACK_DAYS,
    Measured,
    Sizes,
    feature_tables,
    in_own_process,
    measure,
    read_labels,
    write_data,
)

CLEAN = Sizes(labels=200_000, rows=1_000_000, features=10)
LATE = replace(CLEAN, late=0.05, removed=0.01)
TENTH = replace(CLEAN, labels=20_000, rows=100_000)
WIDE = Sizes(labels=17_000, rows=200_000, features=100, tables=10)
MOST, MAX_LATE, MAX_GROWTH, MIN_FASTER, MAX_MEMORY = 1.5, 2.2, 12, 15, 0.5
MAX_WIDE_SECONDS, MAX_WIDE_GIGABYTES = 10, 2


def pit() -> Figure:
    """Against the bare ASOF join over the same files, where every row is known when it happens."""
    return _against_asof("pit", CLEAN, MOST)


def pit_late() -> Figure:
    """The same where rows are late and removed, and the bare join gives wrong answers."""
    return _against_asof("pit-late", LATE, MAX_LATE)


def pit_feast() -> Figure:
    """Time and memory against Feast's engines for one machine, where every row is known when it happens."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours = _right(folder, CLEAN)
        _write_for_feast(folder, CLEAN)
        python = feast_peer.install(folder / "feast")
        found = {}
        for engine in feast_peer.ENGINES:
            command = feast_peer.command(python, folder, engine, LOOKBACK_DAYS)
            found[engine] = in_own_process(command, feast_peer.SURROUNDINGS)
    best = min(found.values(), key=lambda measured: measured.seconds)
    return Figure(
        "pit-feast",
        _shown(ours),
        {engine: _shown(measured) for engine, measured in found.items()},
        round(ours.seconds / best.seconds, 3),
        f"{MIN_FASTER} x faster than the faster engine, with less than half of its memory (seconds, gigabytes)",
        best.seconds / ours.seconds >= MIN_FASTER and ours.gigabytes < best.gigabytes * MAX_MEMORY,
    )


def pit_wide() -> Figure:
    """A thousand features from ten tables (feast issue 3003: half an hour, 50 GB)."""
    with tempfile.TemporaryDirectory() as folder:
        ours = _right(Path(folder), WIDE)
    return Figure(
        "pit-wide",
        _shown(ours),
        None,
        None,
        f"under {MAX_WIDE_SECONDS} seconds and {MAX_WIDE_GIGABYTES} gigabytes",
        ours.seconds < MAX_WIDE_SECONDS and ours.gigabytes < MAX_WIDE_GIGABYTES,
    )


def pit_growth() -> Figure:
    """Ten times the labels and rows."""
    with tempfile.TemporaryDirectory() as tenth, tempfile.TemporaryDirectory() as whole:
        small, large = _right(Path(tenth), TENTH), _right(Path(whole), CLEAN)
    ratio = large.seconds / small.seconds
    return Figure(
        "pit-growth",
        round(large.seconds, 3),
        round(small.seconds, 3),
        round(ratio, 2),
        f"at most {MAX_GROWTH} x the time of a tenth (seconds)",
        ratio <= MAX_GROWTH,
    )


def _against_asof(name: str, sizes: Sizes, most: float) -> Figure:
    with tempfile.TemporaryDirectory() as folder:
        ours = _right(Path(folder), sizes)
        peer = measure("asof", Path(folder), sizes)
    ratio = ours.seconds / peer.seconds
    return Figure(
        name,
        _shown(ours),
        _shown(peer),
        round(ratio, 2),
        f"at most {most} x bare DuckDB over the same files, every answer equal to brute force (seconds, gigabytes)",
        ratio <= most,
    )


def _right(folder: Path, sizes: Sizes) -> Measured:
    """Ours on data that is written to a folder, once its answers were seen to be those of brute force."""
    write_data(folder, sizes)
    ours = measure("ours", folder, sizes)
    if ours.digest != measure("brute force", folder, sizes, times=0).digest:
        raise RuntimeError(f"answers that brute force does not give: {sizes}")
    return ours


def _write_for_feast(folder: Path, sizes: Sizes) -> None:
    """The same rows and labels, as Feast names them."""
    import pyarrow.parquet as pq

    (table,) = feature_tables(folder, sizes)
    names = table.schema.value_names
    rows = table.states().select(["entity", "event_time", *names])
    pq.write_table(rows.rename_columns(["entity", "event_timestamp", *names]), folder / feast_peer.ROWS)
    labels = read_labels(folder).select(["entity", "as_of"]).rename_columns(["entity", "event_timestamp"])
    pq.write_table(labels, folder / feast_peer.LABELS)


def _shown(measured: Measured) -> dict[str, float]:
    return {
        "seconds": round(measured.seconds, 3),
        "gigabytes": round(measured.gigabytes, 2),
        "rows": measured.rows,
    }
