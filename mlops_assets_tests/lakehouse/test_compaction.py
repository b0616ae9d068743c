"""Compaction: fewer files, and no other answer, at no moment, at no version, whoever comes between or ends it."""

import shutil
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.engines.duckdb import DuckDBEngine
from mlops_assets.errors import ConflictError, DefinitionError, MissingDataError
from mlops_assets.lakehouse import compaction
from mlops_assets.lakehouse.compaction import Compacted, compact, compact_tables
from mlops_assets.lakehouse.delta import DeltaFolder
from mlops_assets.lakehouse.delta_log import log_file
from mlops_assets.lakehouse.tables import StateTable
from mlops_assets.lakehouse.write_points import KILL_AT_VARIABLE
from mlops_assets.storage.opening import storage_at
from mlops_assets_tests import forks
from mlops_assets_tests.lakehouse import shop
from mlops_assets_tests.lakehouse.test_delta import rival
from mlops_assets_tests.local_paths import path_of

MONTHS = ["2024-01", "2024-02", "2024-03"]
MOMENTS = [datetime(2024, month, 1, tzinfo=UTC) for month in range(2, 6)]


@pytest.fixture(autouse=True)
def two_files_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "MAX_FILES_OF_PERIOD", 1)


def fill(table: StateTable, commits: int = 3, key: str = "2024-01") -> None:
    for number in range(commits):
        shop.append(table, key, {f"shop {number}": float(number)})


def elsewhere(table: StateTable, folder: Path) -> StateTable:
    """A copy, of which no answer is in a cache."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(path_of(table.delta.folder), folder)
    return shop.sales_table(folder)


def answers(table: StateTable, engine: DuckDBEngine, versions: int) -> list[Any]:
    """All that a table can be asked, at every moment and every version up to one."""
    periods = [shop.MONTHS.at_key(key) for key in MONTHS]
    return [
        table.delta.counters(MONTHS),
        table.data_versions(periods),
        table.moments(periods[0], periods[-1]),
        table.delta.newest_period(),
        [engine.known_at(table, moment).to_pylist() for moment in MOMENTS],
        *(
            [shop.units(table, version), engine.known_at(table, MOMENTS[-1], version=version).to_pylist()]
            for version in range(versions + 1)
        ),
    ]


@pytest.mark.slow
@given(
    st.lists(
        st.one_of(
            st.just("compact"),
            st.tuples(
                st.sampled_from(MONTHS),
                st.dictionaries(st.sampled_from(["north", "south", "east"]), st.floats(0, 9), max_size=3),
            ),
        ),
        max_size=6,
    )
)
@settings(max_examples=8)
def test_whatever_was_committed_compaction_anywhere_changes_no_answer(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Any]
) -> None:
    folder = tmp_path_factory.mktemp("tables")
    table, engine = shop.sales_table(folder / "sales"), DuckDBEngine(folder / "scratch")
    plain = shop.sales_table(folder / "plain")
    fill(table, 2)
    fill(plain, 2)
    for step in steps:
        if step == "compact":
            compact(table.delta)
        else:
            shop.append(table, *step)
            shop.append(plain, *step)
    version = table.delta.version()
    assert version is not None
    before = answers(elsewhere(table, folder / "before"), engine, version)
    done = compact(table.delta)
    after = elsewhere(table, folder / "after")
    assert answers(after, engine, version) == before
    assert answers(after, engine, 2)[:5] == answers(plain, engine, 2)[:5]
    assert done is None or (done.after < done.before and len(after.delta.files()) == done.after)


def test_the_files_of_a_period_become_one_and_no_file_or_commit_goes_away(sales: StateTable) -> None:
    fill(sales)
    fill(sales, 1, "2024-02")
    files = {file for file in path_of(sales.delta.folder).rglob("*") if file.is_file()}
    assert compact(sales.delta) == Compacted("sales", 1, 4, 2)
    assert files <= {file for file in path_of(sales.delta.folder).rglob("*") if file.is_file()}
    assert list(path_of(sales.delta.folder).glob("_delta_log/*.checkpoint.parquet"))
    assert compact(sales.delta) is None


def test_a_period_of_few_files_is_left_alone_unless_the_table_has_very_many(
    sales: StateTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "MAX_FILES_OF_PERIOD", 3)
    fill(sales, 3)
    fill(sales, 4, "2024-02")
    assert compact(sales.delta) == Compacted("sales", 1, 7, 4)
    monkeypatch.setattr(compaction, "MAX_FILES_OF_TABLE", 3)
    assert compact(sales.delta) == Compacted("sales", 1, 4, 2)


def test_commits_go_on_after_compaction_and_are_counted_on(sales: StateTable) -> None:
    fill(sales)
    compact(sales.delta)
    fill(sales, 2)
    assert sales.delta.counters(["2024-01", "2024-02"]) == {"2024-01": 5, "2024-02": 0}
    sales.delta.replace(shop.sales_states({"2024-01": {"west": 1.0}}), {"2024-01": 5})
    assert shop.units(sales) == [("2024-01", "west", 1.0)]


def test_a_compaction_cut_short_anywhere_is_refused_and_never_read_as_fewer_rows(
    sales: StateTable, tmp_path: Path
) -> None:
    fill(sales)
    compact(sales.delta)
    whole, content = shop.units(sales), log_file(sales.delta.folder, 4).read_bytes()
    for cut in [*range(0, len(content) - 1, 97), content.rindex(b'{"txn"')]:
        copy = elsewhere(sales, tmp_path / "copy")
        for checkpoint in path_of(copy.delta.folder).glob("_delta_log/*checkpoint*"):
            checkpoint.unlink()
        path_of(log_file(copy.delta.folder, 4)).write_bytes(content[:cut])
        with pytest.raises(MissingDataError):
            shop.units(copy)
        path_of(log_file(copy.delta.folder, 4)).unlink()  # the cure for the newest commit
        assert shop.units(copy) == whole


def test_a_writer_that_comes_between_is_seen_and_loses_nothing(
    sales: StateTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(sales)
    rival(monkeypatch, "write_deltalake", lambda: shop.append(sales, "2024-01", {"rival": 9.0}))
    compact(sales.delta)
    assert ("2024-01", "rival", 9.0) in shop.units(sales)
    assert (len(shop.units(sales)), len(sales.delta.files())) == (4, 1)
    assert sales.delta.counters(["2024-01"]) == {"2024-01": 4}


def test_a_period_that_is_replaced_meanwhile_stays_replaced(sales: StateTable, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(sales)
    rows = shop.sales_states({"2024-01": {"rival": 9.0}})
    rival(monkeypatch, "write_deltalake", lambda: sales.delta.replace(rows, {"2024-01": 3}))
    compact(sales.delta)
    assert shop.units(sales) == [("2024-01", "rival", 9.0)]


@pytest.mark.parametrize("key", ["2024-01", "2024-02"])
def test_a_writer_goes_on_beside_a_compaction(sales: StateTable, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    fill(sales)
    rival(monkeypatch, "write_deltalake", lambda: compact(sales.delta))
    shop.append(sales, key, {"ours": 9.0})
    assert len(shop.units(sales)) == 4


def test_of_two_compactions_at_once_none_writes_a_row_twice(sales: StateTable, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(sales)
    before = shop.units(sales)
    rival(monkeypatch, "write_deltalake", lambda: compact(sales.delta))
    compact(sales.delta)
    assert (shop.units(sales), len(sales.delta.files())) == (before, 1)
    assert sales.delta.counters(["2024-01"]) == {"2024-01": 3}


def test_a_compaction_that_never_gets_through_says_why(sales: StateTable, monkeypatch: pytest.MonkeyPatch) -> None:
    import deltalake
    from deltalake.exceptions import CommitFailedError

    fill(sales)

    def beaten(*arguments: Any, **options: Any) -> None:
        raise CommitFailedError("a concurrent transaction deleted data")

    monkeypatch.setattr(deltalake, "write_deltalake", beaten)
    with pytest.raises(ConflictError, match="another writer committed 2024-01 of table 'sales' at the same time"):
        compact(sales.delta)


@pytest.mark.slow
@pytest.mark.parametrize("at", [1, 2])
def test_a_compaction_killed_at_a_write_leaves_a_good_table_and_is_done_again(sales: StateTable, at: int) -> None:
    fill(sales, 10)
    whole = shop.units(sales)
    killed = forks.start_work(compact, DeltaFolder(sales.delta.folder, "sales"), **{KILL_AT_VARIABLE: str(at)})
    assert killed.wait() == -signal.SIGKILL
    assert (shop.units(sales), len(sales.delta.files())) == (whole, 1)
    fill(sales, 2)
    assert compact(sales.delta) == Compacted("sales", 1, 3, 1)
    assert len(shop.units(sales)) == len(whole) + 2


def test_a_compaction_that_ended_before_its_commit_left_files_that_nobody_reads(
    sales: StateTable, tmp_path: Path
) -> None:
    fill(sales)
    whole = shop.units(sales)
    compact(sales.delta)
    copy = elsewhere(sales, tmp_path / "copy")
    for file in [path_of(log_file(copy.delta.folder, 4)), *path_of(copy.delta.folder).glob("_delta_log/*checkpoint*")]:
        file.unlink()
    assert (shop.units(copy), len(copy.delta.files())) == (whole, 3)
    assert compact(copy.delta) == Compacted("sales", 1, 3, 1)
    assert shop.units(copy) == whole


def test_tables_are_compacted_by_name_or_all(tmp_path: Path) -> None:
    for name in ("sales", "forecast.labels"):
        fill(shop.sales_table(tmp_path / name / "one"))
    fill(shop.sales_table(tmp_path / "sales" / "two"), 1)
    assert [done.table for done in compact_tables(storage_at(tmp_path), "sales")] == ["sales"]
    assert [done.table for done in compact_tables(storage_at(tmp_path))] == ["forecast.labels"]
    with pytest.raises(DefinitionError) as unknown:
        list(compact_tables(storage_at(tmp_path), "sale"))
    assert unknown.value.expected == "one of: forecast.labels, sales"
