"""Delta tables: commits that a rival cannot cross, that a kill or a full disk cannot halve, that stay readable."""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from mlops_assets.errors import ConflictError, ContractError, MissingDataError, UnusableEnvironmentError
from mlops_assets.lakehouse import delta
from mlops_assets.lakehouse.delta import DeltaFolder, commit_stamps
from mlops_assets.lakehouse.home import Home
from mlops_assets.lakehouse.periods import Calendar
from mlops_assets.lakehouse.tables import StateTable
from mlops_assets.lakehouse.write_points import KILL_AT_VARIABLE, LOG_VARIABLE
from mlops_assets.storage.local import LocalPath
from mlops_assets.storage.opening import storage_at
from mlops_assets_tests import forks
from mlops_assets_tests.lakehouse import shop
from mlops_assets_tests.local_paths import path_of


def log_file(table: StateTable, version: int) -> Path:
    return path_of(table.delta.folder) / "_delta_log" / f"{version:020d}.json"


def moved(table: StateTable, folder: Path) -> StateTable:
    """A copy of a table, that this process has not opened yet."""
    shutil.copytree(path_of(table.delta.folder), folder)
    return shop.sales_table(folder)


def rival(monkeypatch: pytest.MonkeyPatch, name: str, act: Callable[[], object]) -> None:
    """Let a rival act once, just before our own commit: after it looked whether it may, before it writes."""
    import deltalake

    owner, attribute = (deltalake.DeltaTable, "create") if name == "create" else (deltalake, name)
    ours = getattr(owner, attribute)

    acts = [Thread(target=act)]

    def first_the_rival(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(owner, attribute, ours)
        if acts:  # a second attempt of ours calls this once more
            thread = acts.pop()
            thread.start()
            thread.join()
        return ours(*arguments, **options)

    monkeypatch.setattr(owner, attribute, first_the_rival)


def test_a_table_that_was_never_written_holds_nothing(sales: StateTable) -> None:
    delta = sales.delta
    assert not delta.exists()
    assert delta.version() is None and delta.newest_period() is None
    assert delta.files() == []
    assert delta.counters(["2024-01"]) == {"2024-01": 0}
    assert not delta.folder.exists()
    with pytest.raises(MissingDataError) as missing:
        delta.schema()
    assert missing.value.found == "table 'sales' was never written"
    assert missing.value.expected == f"a table in {delta.folder}"
    assert missing.value.cure == "materialize it first"


def test_appended_rows_are_read_back_beside_the_earlier_ones(sales: StateTable) -> None:
    shop.append(sales, "2024-01", {"north": 1.0})
    shop.append(sales, "2024-01", {"south": None})
    shop.append(sales, "2024-02", {"north": 3.0})
    assert shop.units(sales) == [("2024-01", "north", 1.0), ("2024-01", "south", None), ("2024-02", "north", 3.0)]


def test_each_commit_of_a_period_counts_and_others_do_not(sales: StateTable) -> None:
    shop.append(sales, "2024-01", {"north": 1.0})
    shop.append(sales, "2024-02", {"north": 2.0})
    shop.append(sales, "2024-01", {})
    assert sales.delta.counters(["2024-03", "2024-02", "2024-01"]) == {"2024-03": 0, "2024-02": 1, "2024-01": 2}


def test_one_commit_can_hold_several_periods(sales: StateTable) -> None:
    counters = sales.delta.counters(["2024-01", "2024-02"])
    sales.delta.append(shop.sales_states({"2024-01": {"north": 1.0}, "2024-02": {"north": 2.0}}), counters)
    assert sales.delta.counters(["2024-01", "2024-02"]) == {"2024-01": 1, "2024-02": 1}
    assert shop.units(sales) == [("2024-01", "north", 1.0), ("2024-02", "north", 2.0)]


def test_replacing_a_period_leaves_the_others(sales: StateTable) -> None:
    shop.append(sales, "2024-01", {"north": 1.0, "south": 1.0})
    shop.append(sales, "2024-02", {"north": 2.0})
    sales.delta.replace(shop.sales_states({"2024-01": {"west": 9.0}}), {"2024-01": 1})
    assert shop.units(sales) == [("2024-01", "west", 9.0), ("2024-02", "north", 2.0)]


def test_a_version_holds_what_it_held_then(sales: StateTable) -> None:
    shop.append(sales, "2024-01", {"north": 1.0})
    first = sales.delta.version()
    shop.append(sales, "2024-01", {"south": 2.0})
    second = sales.delta.version()
    sales.delta.replace(shop.sales_states({"2024-01": {"west": 9.0}}), {"2024-01": 2})
    assert shop.units(sales, first) == [("2024-01", "north", 1.0)]
    assert shop.units(sales, second) == [("2024-01", "north", 1.0), ("2024-01", "south", 2.0)]
    assert shop.units(sales, sales.delta.version()) == shop.units(sales) == [("2024-01", "west", 9.0)]


@pytest.mark.parametrize("version", [7, -1])
def test_a_version_that_there_is_not_is_refused(sales: StateTable, version: int) -> None:
    shop.append(sales, "2024-01", {"north": 1.0})
    with pytest.raises(MissingDataError) as missing:
        sales.delta.files(version=version)
    assert missing.value.found.startswith(f"table 'sales' cannot be opened at version {version} (")
    assert "a version that the table has" in missing.value.expected
    assert "name an earlier version" in missing.value.cure


def test_only_the_files_of_the_periods_asked_for_are_named(sales: StateTable) -> None:
    for key in ("2023-12", "2024-01", "2024-02", "2024-03"):
        shop.append(sales, key, {"north": 1.0})
    folders = sorted(Path(file).parent.name for file in sales.delta.files(("2024-01", "2024-02")))
    assert folders == ["period=2024-01", "period=2024-02"]
    assert sales.delta.files(("2030-01", "2030-02")) == []
    assert sales.delta.newest_period() == "2024-03"


@pytest.mark.parametrize("name", ["my tables", "Größe", "a+b#c?d", "period=2001-01", "100%"])
def test_a_table_can_lie_in_a_folder_of_any_name(tmp_path: Path, name: str) -> None:
    table = shop.sales_table(tmp_path / name / "sales")
    shop.append(table, "2024-01", {"north": 1.0})
    shop.append(table, "2024-02", {"north": 2.0})
    assert shop.units(table) == [("2024-01", "north", 1.0), ("2024-02", "north", 2.0)]


def test_where_delta_panics_the_error_is_ours(tmp_path: Path) -> None:
    with pytest.raises(UnusableEnvironmentError, match="table 'sales' could not be written"):
        shop.append(shop.sales_table(tmp_path / "a|[b" / "sales"), "2024-01", {"north": 1.0})


def test_what_a_writer_left_that_never_committed_is_not_read(sales: StateTable) -> None:
    shop.append(sales, "2024-01", {"north": 1.0})
    (file,) = sales.delta.files()
    shutil.copy(file, Path(file).with_name("part-00000-left-behind.parquet"))
    assert shop.units(sales) == [("2024-01", "north", 1.0)]


@pytest.mark.parametrize("write", ["append", "replace"])
def test_a_writer_that_computed_on_an_older_state_is_refused(sales: StateTable, write: str) -> None:
    shop.append(sales, "2024-01", {"north": 1.0})
    before = sales.delta.version()
    with pytest.raises(ConflictError) as refused:
        getattr(sales.delta, write)(shop.sales_states({"2024-01": {"north": 2.0}}), {"2024-01": 0})
    assert refused.value.found == "another writer committed 2024-01 of table 'sales' at the same time"
    assert refused.value.expected == "one writer for a partition at a time"
    assert refused.value.cure == "run the partition again"
    assert sales.delta.version() == before
    assert shop.units(sales) == [("2024-01", "north", 1.0)]


@pytest.mark.parametrize("write", ["append", "replace"])
def test_of_two_threads_that_commit_one_partition_the_second_is_refused(
    sales: StateTable, monkeypatch: pytest.MonkeyPatch, write: str
) -> None:
    shop.append(sales, "2024-01", {"east": 0.0})
    commit, counters = getattr(sales.delta, write), {"2024-01": 1}
    rival(
        monkeypatch,
        "write_deltalake",
        lambda: commit(shop.sales_states({"2024-01": {"rival": 1.0}}), counters),
    )
    with pytest.raises(ConflictError, match="another writer committed 2024-01 of table 'sales'"):
        commit(shop.sales_states({"2024-01": {"ours": 2.0}}), counters)
    assert "ours" not in {name for _, name, _ in shop.units(sales)}
    assert "rival" in {name for _, name, _ in shop.units(sales)}
    assert sales.delta.counters(["2024-01"]) == {"2024-01": 2}


@pytest.mark.parametrize("write", ["append", "replace"])
def test_a_rival_on_another_partition_stops_nobody(
    sales: StateTable, monkeypatch: pytest.MonkeyPatch, write: str
) -> None:
    shop.append(sales, "2024-01", {"east": 0.0})
    commit = getattr(sales.delta, write)
    rival(
        monkeypatch,
        "write_deltalake",
        lambda: commit(shop.sales_states({"2024-02": {"rival": 1.0}}), {"2024-02": 0}),
    )
    commit(shop.sales_states({"2024-01": {"ours": 2.0}}), {"2024-01": 1})
    assert {("2024-01", "ours", 2.0), ("2024-02", "rival", 1.0)} <= set(shop.units(sales))
    assert sales.delta.counters(["2024-01", "2024-02"]) == {"2024-01": 2, "2024-02": 1}


@pytest.mark.parametrize("write", ["append", "replace"])
def test_a_rival_that_replaces_another_partition_stops_nobody(
    sales: StateTable, monkeypatch: pytest.MonkeyPatch, write: str
) -> None:
    shop.append(sales, "2024-01", {"east": 0.0})
    shop.append(sales, "2024-02", {"east": 0.0})
    rows = shop.sales_states({"2024-02": {"rival": 1.0}})
    rival(monkeypatch, "write_deltalake", lambda: sales.delta.replace(rows, {"2024-02": 1}))
    getattr(sales.delta, write)(shop.sales_states({"2024-01": {"ours": 2.0}}), {"2024-01": 1})
    assert {("2024-01", "ours", 2.0), ("2024-02", "rival", 1.0)} <= set(shop.units(sales))
    assert sales.delta.counters(["2024-01", "2024-02"]) == {"2024-01": 2, "2024-02": 2}


def test_two_that_create_a_table_together_both_write_to_it(sales: StateTable, monkeypatch: pytest.MonkeyPatch) -> None:
    rival(monkeypatch, "create", lambda: shop.append(sales, "2024-02", {"rival": 1.0}))
    shop.append(sales, "2024-01", {"ours": 2.0})
    assert shop.units(sales) == [("2024-01", "ours", 2.0), ("2024-02", "rival", 1.0)]


def test_a_writer_whose_creation_of_the_table_came_second_goes_on(
    sales: StateTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def beaten(file: LocalPath, content: bytes) -> None:
        monkeypatch.undo()
        shop.append(sales, "2024-02", {"rival": 1.0})
        file.write_new(content)

    monkeypatch.setattr(LocalPath, "write_new", beaten)
    shop.append(sales, "2024-01", {"ours": 2.0})
    assert shop.units(sales) == [("2024-01", "ours", 2.0), ("2024-02", "rival", 1.0)]


@pytest.mark.slow
def test_of_two_processes_on_one_partition_one_wins_and_a_third_on_another_goes_on(sales: StateTable) -> None:
    shop.append(sales, "2024-01", {"east": 0.0})
    work = [("2024-01", 1.0), ("2024-01", 2.0), ("2024-02", 3.0)]
    ready = forks.CONTEXT.Barrier(len(work))
    running = [
        forks.start_work(shop.append_once_all_have_read, sales.delta.folder, key, sold, ready) for key, sold in work
    ]
    assert [process.wait() for process in running] == [0, 0, 0]
    said = [process.printed.strip() for process in running]
    assert sorted(said[:2])[1] == "won" and said[2] == "won"
    assert sorted(said[:2])[0].startswith("ConflictError: Found: another writer committed 2024-01 of table 'sales'")
    winner = work[said.index("won")][1]
    assert shop.units(sales) == [("2024-01", "east", 0.0), ("2024-01", "north", winner), ("2024-02", "north", 3.0)]
    assert sales.delta.counters(["2024-01", "2024-02"]) == {"2024-01": 2, "2024-02": 1}


def work_in_process(folder: Path, **variables: str) -> int:
    return forks.start_work(shop.work_there, folder, **variables).wait()


def test_work_done_twice_is_done_once(tmp_path: Path) -> None:
    home = shop.prepared(tmp_path / "home")
    once = shop.days_work(home)[-1]
    assert set(map(str, shop.days_work(home))) == {str(once)}


@pytest.mark.slow
def test_work_killed_after_any_write_holds_a_good_state_and_ends_the_same(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert work_in_process(tmp_path / "whole", **{LOG_VARIABLE: str(log)}) == 0
    points = log.read_text(encoding="utf-8").splitlines()
    # Twice two of the clock, three of a delivery, sales and totals with sums; two tables created; one period replaced.
    assert len(points) == 2 * 9 + 2 + 2
    good = shop.days_work(shop.prepared(tmp_path / "watched"))
    whole = shop.held(Home(tmp_path / "whole"))
    assert whole == good[-1]
    states = [shop.held(Home(tmp_path / "never"))]
    for number, point in enumerate(points, start=1):
        folder = tmp_path / f"killed-at-{number}"
        assert work_in_process(folder, **{KILL_AT_VARIABLE: str(number)}) == -9, point
        left = shop.held(Home(folder))
        assert left in good, point
        states.append(left)
        shop.days_work(Home(folder))
        assert shop.held(Home(folder)) == whole, point
        version = shop.sales_table(folder / "lakehouse" / "tables" / "sales").delta.version()
        assert version == 2, point
    assert [state for state in good if state not in states] == []


def on_a_small_disk(table: StateTable, largest: int, keys: Sequence[str]) -> str:
    process = forks.start_work(shop.append_on_a_small_disk, table.delta.folder, largest, keys)
    assert process.wait() == 0, process.complained
    return process.printed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("largest", "periods"),
    [
        (500, 1),  # a data file does not fit
        (9_000, 40),  # every data file fits, the commit does not
    ],
)
def test_a_full_disk_leaves_the_last_good_state_and_says_so(sales: StateTable, largest: int, periods: int) -> None:
    shop.append(sales, "2023-12", {"north": 1.0})
    before = sales.delta.version()
    calendar = Calendar("month")
    first = calendar.at_key("2024-01")
    keys = [calendar.shift(first, number).key for number in range(periods)]
    said = on_a_small_disk(sales, largest, keys)
    assert said.startswith("UnusableEnvironmentError: Found: table 'sales' could not be written (")
    assert "File too large" in said and "it stays as it was" in said
    assert f"Expected: a disk with room, that this user can write, under {sales.delta.folder}" in said
    assert "What to do: make room or mend the permissions, and run the partition again" in said
    assert sales.delta.version() == before
    assert shop.units(sales) == [("2023-12", "north", 1.0)]
    assert on_a_small_disk(sales, 1_000_000, keys) == "written\n"
    assert len(shop.units(sales)) == 1 + 5 * periods


@pytest.mark.slow
def test_a_table_that_cannot_be_created_for_want_of_room_is_not_there(sales: StateTable) -> None:
    said = on_a_small_disk(sales, 300, ["2024-01"])
    assert said.startswith("UnusableEnvironmentError: Found: table 'sales' could not be written (")
    assert not sales.delta.exists()
    assert sales.delta.counters(["2024-01"]) == {"2024-01": 0}


def test_rows_of_other_types_are_no_matter_of_the_disk(sales: StateTable) -> None:
    shop.append(sales, "2024-01", {"north": 1.0})
    rows = shop.sales_states({"2024-01": {"north": 2.0}})
    with pytest.raises(ContractError, match="rows of other columns than table 'sales' has "):
        sales.delta.append(rows.set_column(rows.column_names.index("units"), "units", [[["a"]]]), {"2024-01": 1})
    assert shop.units(sales) == [("2024-01", "north", 1.0)]


def test_a_log_cut_short_anywhere_is_refused_and_never_read_as_fewer_rows(sales: StateTable, tmp_path: Path) -> None:
    shop.append(sales, "2024-01", {"north": 1.0})
    shop.append(sales, "2024-01", {"south": 2.0})
    shop.append(sales, "2024-01", {"west": 3.0})
    whole = shop.units(sales)
    for version in (1, 2, 3):
        content = log_file(sales, version).read_bytes()
        lines = [index + 1 for index, byte in enumerate(content) if byte == ord("\n")]
        cuts = sorted({0, 1, len(content) // 4, len(content) // 2, len(content) - 2, *lines, *(at - 1 for at in lines)})
        refused = 0
        for cut in cuts:
            copy = moved(sales, tmp_path / f"{version} {cut}")
            log_file(copy, version).write_bytes(content[:cut])
            try:
                assert shop.units(copy) == whole, (version, cut)
                assert copy.delta.counters(["2024-01"]) == {"2024-01": 3}
            except MissingDataError as error:
                refused += 1
                assert "_delta_log" in str(error) or "commit" in error.found
                assert "from a backup" in error.cure
        assert refused >= len(cuts) - 2, version


def test_a_commit_without_content_is_named(sales: StateTable, tmp_path: Path) -> None:
    shop.append(sales, "2024-01", {"north": 1.0})
    shop.append(sales, "2024-01", {"south": 2.0})
    copy = moved(sales, tmp_path / "copy")
    log_file(copy, 2).write_bytes(b"")
    for ask in (copy.delta.files, copy.delta.version, lambda: copy.delta.counters(["2024-01"])):
        with pytest.raises(MissingDataError) as refused:
            ask()
        assert refused.value.found == f"the commit {log_file(copy, 2)} is cut short"
        assert refused.value.expected == "a log in which every commit is whole"
    assert shop.units(copy, version=1) == [("2024-01", "north", 1.0)]
    with pytest.raises(MissingDataError):
        shop.append(copy, "2024-01", {"west": 3.0})
    # The cure that the error names for the newest commit.
    log_file(copy, 2).unlink()
    shop.append(copy, "2024-01", {"south": 2.0})
    assert shop.units(copy) == [("2024-01", "north", 1.0), ("2024-01", "south", 2.0)]


@pytest.mark.parametrize("version", [0, 1])
def test_a_log_with_a_gap_is_refused(sales: StateTable, tmp_path: Path, version: int) -> None:
    shop.append(sales, "2024-01", {"north": 1.0})
    shop.append(sales, "2024-01", {"south": 2.0})
    copy = moved(sales, tmp_path / "copy")
    log_file(copy, version).unlink()
    with pytest.raises(MissingDataError) as refused:
        shop.units(copy)
    assert refused.value.found.startswith("table 'sales' cannot be opened (")
    assert "a whole _delta_log" in refused.value.expected
    assert "restore the table's _delta_log from a backup" in refused.value.cure


def test_a_log_restored_to_an_earlier_state_is_read_as_it_is(sales: StateTable) -> None:
    shop.append(sales, "2024-01", {"north": 1.0})
    shop.append(sales, "2024-01", {"south": 2.0})
    assert len(shop.units(sales)) == 2
    log_file(sales, 2).unlink()
    assert shop.units(sales) == [("2024-01", "north", 1.0)]
    assert sales.delta.counters(["2024-01"]) == {"2024-01": 1}


def test_a_table_built_anew_in_the_same_folder_is_read_as_it_is(sales: StateTable) -> None:
    shop.append(sales, "2024-01", {"north": 1.0})
    shop.append(sales, "2024-01", {"south": 2.0})
    before = sales.data_version(shop.MONTHS.at_key("2024-01"))
    shutil.rmtree(path_of(sales.delta.folder))
    assert shop.units(sales) == []
    shop.append(sales, "2024-01", {"west": 3.0})
    assert shop.units(sales) == [("2024-01", "west", 3.0)]
    assert sales.data_version(shop.MONTHS.at_key("2024-01")) != before


def test_a_stamp_changes_with_each_commit_to_a_table_of_that_name_and_with_no_other(tmp_path: Path) -> None:
    tables = [shop.sales_table(tmp_path / name / "1") for name in ("sales", "sales.quarantine", "visits")]
    stamps = [commit_stamps(storage_at(tmp_path))]
    for table in tables:
        shop.append(table, "2024-01", {"north": 1.0})
        stamps.append(commit_stamps(storage_at(tmp_path)))
    shop.append(tables[0], "2024-01", {"north": 1.0})
    stamps.append(commit_stamps(storage_at(tmp_path)))
    assert [set(stamp) for stamp in stamps] == [set(), {"sales"}, {"sales"}, {"sales", "visits"}, {"sales", "visits"}]
    assert len({stamp["sales"] for stamp in stamps[1:]}) == 3
    assert stamps[3]["visits"] == stamps[4]["visits"]
    shutil.rmtree(path_of(tables[2].delta.folder))
    shop.append(tables[2], "2024-01", {"north": 1.0})
    assert commit_stamps(storage_at(tmp_path))["visits"] != stamps[4]["visits"]


def test_a_data_file_that_is_gone_is_named(sales: StateTable) -> None:
    shop.append(sales, "2024-01", {"north": 1.0})
    (file,) = sales.delta.files()
    Path(file).unlink()
    with pytest.raises(MissingDataError) as missing:
        sales.delta.files()
    assert missing.value.found == f"table 'sales' names {file}, which is not there"
    assert missing.value.expected == "every data file of the table"
    assert "restore the file from a backup" in missing.value.cure


@pytest.mark.slow
def test_versions_stay_readable_beyond_a_checkpoint_and_beyond_a_month(tmp_path: Path) -> None:
    table = shop.sales_table(tmp_path / "sales")
    for _ in range(98):
        shop.append(table, "2024-01", {"north": 1.0})
    for file in (path_of(table.delta.folder) / "_delta_log").iterdir():
        long_ago = file.stat().st_mtime - 90 * 86_400
        os.utime(file, (long_ago, long_ago))
    for _ in range(4):
        shop.append(table, "2024-01", {"north": 1.0})
    assert list((path_of(table.delta.folder) / "_delta_log").glob("*.checkpoint.parquet"))
    assert len(shop.units(table)) == 102
    assert len(shop.units(table, version=3)) == 3
    assert table.delta.counters(["2024-01"]) == {"2024-01": 102}


def test_a_table_is_one_whatever_object_names_it(sales: StateTable) -> None:
    shop.append(sales, "2024-01", {"north": 1.0})
    other = DeltaFolder(sales.delta.folder, "sales")
    other.append(shop.sales_states({"2024-01": {"south": 2.0}}), {"2024-01": 1})
    assert shop.units(sales) == [("2024-01", "north", 1.0), ("2024-01", "south", 2.0)]


# What the log tells


@pytest.mark.parametrize("told_before", [False, True])
def test_the_log_names_no_value_of_any_row_also_of_a_table_from_before(
    sales: StateTable, monkeypatch: pytest.MonkeyPatch, told_before: bool
) -> None:
    if told_before:
        monkeypatch.setattr(delta, "TELL_NO_VALUES", {})
    sales.delta.append(shop.sales_states({"2023-12": {}}), {"2023-12": 0})  # creates it
    monkeypatch.undo()
    shop.append(sales, "2024-01", {"northern-secret": 4711.0})
    counters = sales.delta.counters(["2024-01"])
    sales.delta.replace(shop.sales_states({"2024-01": {"southern-secret": 4712.0}}, 2), counters)
    logs = "".join(
        path.read_text(encoding="utf-8") for path in (path_of(sales.delta.folder) / "_delta_log").glob("*.json")
    )
    assert "period=2024-01" in logs and "numRecords" in logs
    assert [secret for secret in ("northern-secret", "southern-secret", "4711", "4712") if secret in logs] == []
    assert shop.units(sales) == [("2024-01", "southern-secret", 4712.0)]
