"""The two kinds of tables: states that are only appended, and one set of rows for each period."""

import shutil
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.errors import ConflictError, DamagedStateError
from mlops_assets.lakehouse.content_hash import content_hash
from mlops_assets.lakehouse.delta import DeltaFolder
from mlops_assets.lakehouse.periods import Calendar
from mlops_assets.lakehouse.schema import ALWAYS, STATIC_PERIOD, Column, TableSchema
from mlops_assets.lakehouse.tables import PeriodTable, StateTable
from mlops_assets.storage.opening import storage_at
from mlops_assets_tests.lakehouse import shop
from mlops_assets_tests.local_paths import path_of

if TYPE_CHECKING:
    import pyarrow as pa

JANUARY, FEBRUARY, MARCH = (shop.MONTHS.at_key(f"2024-0{month}") for month in (1, 2, 3))


@pytest.fixture
def totals(tmp_path: Path) -> PeriodTable:
    """A table of totals, one set of rows for each period, that was never written."""
    return PeriodTable(DeltaFolder(storage_at(tmp_path / "totals"), "totals"))


@pytest.fixture
def regions(tmp_path: Path) -> StateTable:
    """A static table, without time."""
    schema = TableSchema(
        ("shop",), None, (Column("shop", "string", kind="key"), Column("region", "string")), shop.MONTHS
    )
    return StateTable(DeltaFolder(storage_at(tmp_path / "regions"), "regions"), schema)


def region_states(names: dict[str, str], seq: int) -> "pa.Table":
    import pyarrow as pa

    always = {"event_time": ALWAYS, "known_at": ALWAYS, "seq": seq, "removed": False, "period": STATIC_PERIOD}
    rows = [{"shop": name, "region": region} | always for name, region in names.items()]
    schema = TableSchema(("shop",), None, (Column("shop", "string"), Column("region", "string")), Calendar("month"))
    return pa.Table.from_pylist(rows, schema=schema.stored())


def every_type(count: int) -> "pa.Table":
    import pyarrow as pa

    moment = datetime(2024, 1, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    return pa.table(
        {
            "shop": pa.array(["Größe", "", None][:count], pa.string()),
            "count": pa.array([2**53 + 1, None, -1][:count], pa.int64()),
            "units": pa.array([0.1, float("nan"), None][:count], pa.float64()),
            "open": pa.array([True, None, False][:count], pa.bool_()),
            "day": pa.array([date(2024, 2, 29), None, date(1969, 12, 31)][:count], pa.date32()),
            "seen": pa.array([moment, None, ALWAYS][:count], pa.timestamp("us", "UTC")),
        }
    )


def test_states_that_were_never_written_are_an_empty_table_of_the_same_columns(sales: StateTable) -> None:
    states = sales.states()
    assert states.num_rows == 0
    assert states.column_names == ["shop", "month", "units", "note", "event_time", "known_at", "seq", "removed"]
    assert sales.files() == []


def test_states_are_read_as_they_were_written(sales: StateTable) -> None:
    written = shop.sales_states({"2024-01": {"north": 0.1, "south": None}})
    sales.delta.append(written, {"2024-01": 0})
    read = sales.states()
    assert read.sort_by("shop").equals(written.drop_columns(["period"]).sort_by("shop"))


def test_only_the_periods_asked_for_are_read(sales: StateTable) -> None:
    for key in ("2024-01", "2024-02", "2024-03"):
        shop.append(sales, key, {"north": 1.0})
    months = {moment.month for moment in sales.states(FEBRUARY, MARCH)["month"].to_pylist()}
    assert months == {2, 3}
    assert sales.states().num_rows == 3


def test_states_can_be_read_as_of_a_version(sales: StateTable) -> None:
    shop.append(sales, "2024-01", {"north": 1.0})
    version = sales.delta.version()
    shop.append(sales, "2024-01", {"north": 2.0})
    assert sales.states(JANUARY, JANUARY, version)["units"].to_pylist() == [1.0]
    assert sorted(sales.states(JANUARY, JANUARY)["units"].to_pylist()) == [1.0, 2.0]


def test_a_data_version_is_that_of_its_partition_alone(sales: StateTable) -> None:
    shop.append(sales, "2024-01", {"north": 1.0})
    shop.append(sales, "2024-02", {"north": 1.0})
    january, february = sales.data_versions([JANUARY, FEBRUARY]).values()
    assert january != february
    shop.append(sales, "2024-02", {"south": 1.0})
    assert sales.data_version(JANUARY) == january
    assert sales.data_version(FEBRUARY) != february


def test_a_data_version_is_the_hash_of_the_states_that_were_known(sales: StateTable) -> None:
    shop.append(sales, "2024-01", {"north": 1.0, "south": 5.0})
    columns = ["month", "note", "shop", "units", "event_time", "known_at", "removed"]
    assert list(sales.hashed_columns) == columns
    assert sales.data_version(JANUARY) == content_hash(sales.states(JANUARY, JANUARY), columns)
    shop.append(sales, "2024-01", {"north": 2.0})  # at the same moment, so that 1.0 was never known
    north = sales.states(JANUARY, JANUARY).filter([True, False, True])
    kept = [row for row in sales.states(JANUARY, JANUARY).to_pylist() if row["units"] != 1.0]
    assert sales.data_version(JANUARY) == content_hash(north.from_pylist(kept, schema=north.schema), columns)


def append_state(table: StateTable, units: float, known_at: datetime, *, removed: bool = False) -> None:
    """Another state of January's one row."""
    import pyarrow as pa

    counters = table.delta.counters(["2024-01"])
    (row,) = shop.sales_states({"2024-01": {"north": units}}, counters["2024-01"] + 1).to_pylist()
    state = {**row, "known_at": known_at, "removed": removed}
    table.delta.append(pa.Table.from_pylist([state], schema=table.schema.stored()), counters)


def test_a_state_that_repeats_the_one_before_it_changes_no_data_version(sales: StateTable) -> None:
    shop.append(sales, "2024-01", {"north": 1.0})
    before = sales.data_version(JANUARY)
    for moment, units in ((FEBRUARY.end, 1.0), (MARCH.end, 2.0)):
        append_state(sales, units, moment)
        assert (sales.data_version(JANUARY) == before) is (units == 1.0)


def test_a_removal_counts_with_what_was_known_of_the_row_before_it_whenever_that_was_appended(tmp_path: Path) -> None:
    corrected, anew = (shop.sales_table(tmp_path / name) for name in ("corrected", "anew"))
    append_state(corrected, 1.0, JANUARY.end)
    append_state(corrected, 1.0, MARCH.end, removed=True)
    append_state(anew, 2.0, JANUARY.end)
    append_state(anew, 2.0, MARCH.end, removed=True)
    assert corrected.data_version(JANUARY) != anew.data_version(JANUARY)
    append_state(corrected, 2.0, JANUARY.end)  # it becomes clear later what was known before the removal
    assert corrected.data_version(JANUARY) == anew.data_version(JANUARY)


@given(st.permutations([("north", 1.0), ("south", None), ("west", 3.0)]), st.integers(0, 3))
@settings(max_examples=10)
def test_the_same_states_written_in_other_steps_have_the_same_data_version(
    tmp_path_factory: pytest.TempPathFactory, order: list[tuple[str, float | None]], cut: int
) -> None:
    in_steps = shop.sales_table(tmp_path_factory.mktemp("steps"))
    at_once = shop.sales_table(tmp_path_factory.mktemp("once"))
    shop.append(at_once, "2024-01", {"north": 1.0, "south": None, "west": 3.0})
    for part in (order[:cut], order[cut:]):
        shop.append(in_steps, "2024-01", dict(part))
    assert in_steps.data_version(JANUARY) == at_once.data_version(JANUARY)


def test_a_period_without_states_has_a_data_version_too(sales: StateTable) -> None:
    never = sales.data_version(JANUARY)
    shop.append(sales, "2024-01", {})
    assert sales.data_version(JANUARY) == never
    shop.append(sales, "2024-01", {"north": 1.0})
    assert sales.data_version(JANUARY) != never


def test_a_table_built_anew_has_the_data_version_of_its_new_rows(sales: StateTable) -> None:
    shop.append(sales, "2024-01", {"north": 1.0})
    before = sales.data_version(JANUARY)
    shutil.rmtree(path_of(sales.delta.folder))
    shop.append(sales, "2024-01", {"north": 2.0})
    assert sales.data_version(JANUARY) != before
    shutil.rmtree(path_of(sales.delta.folder))
    shop.append(sales, "2024-01", {"north": 1.0})
    assert sales.data_version(JANUARY) == before


def test_a_static_table_has_one_partition_whatever_period_is_asked_for(regions: StateTable) -> None:
    regions.delta.append(region_states({"north": "coast", "south": "hills"}, 1), {STATIC_PERIOD: 0})
    version = regions.data_version(None)
    assert regions.data_versions([JANUARY, FEBRUARY]) == {STATIC_PERIOD: version}
    assert regions.states(JANUARY, JANUARY).num_rows == 2
    regions.delta.append(region_states({"west": "coast"}, 2), {STATIC_PERIOD: 1})
    assert regions.data_version(None) != version


@pytest.mark.parametrize("left", [0, 4, 100, -1])
def test_a_data_file_cut_short_is_named_and_not_read_as_fewer_rows(sales: StateTable, left: int) -> None:
    shop.append(sales, "2024-01", {"north": 1.0})
    (file,) = sales.files()
    Path(file).write_bytes(Path(file).read_bytes()[:left])
    with pytest.raises(DamagedStateError) as refused:
        sales.states()
    assert refused.value.found.startswith(f"data file {file} of table 'sales' with ")
    assert refused.value.expected.endswith(", as it was written")
    assert "restore the file from a backup" in refused.value.cure


def test_the_rows_of_a_period_are_read_as_they_were_written(totals: PeriodTable) -> None:
    import pyarrow as pa

    rows = every_type(3)
    version = totals.write("2024-01", rows)
    read = totals.read(["2024-01"])
    assert read is not None
    assert read["period"].to_pylist() == ["2024-01"] * 3
    assert read.drop_columns(["period"]).schema.equals(rows.schema)
    assert version == totals.data_version("2024-01") == content_hash(rows, rows.column_names)
    assert content_hash(read, rows.column_names) == version
    assert read["count"].to_pylist() == [2**53 + 1, None, -1]
    assert pa.types.is_timestamp(read.schema.field("seen").type)


def test_a_table_of_periods_that_was_never_written_is_none(totals: PeriodTable) -> None:
    assert totals.read() is None and totals.read(["2024-01"]) is None
    assert totals.data_version("2024-01") is None
    totals.write("2024-01", every_type(1))
    assert totals.data_version("2024-02") is None


def test_writing_the_same_rows_again_in_any_order_commits_nothing(totals: PeriodTable) -> None:
    import pyarrow as pa

    rows = every_type(3)
    first = totals.write("2024-01", rows)
    version = totals.delta.version()
    assert totals.write("2024-01", rows) == first
    assert totals.write("2024-01", pa.concat_tables([rows.slice(2), rows.slice(0, 2)])) == first
    assert totals.delta.version() == version


def test_writing_no_rows_is_a_result_and_is_committed_once(totals: PeriodTable) -> None:
    totals.write("2024-01", every_type(2))
    nothing = totals.write("2024-02", every_type(0))
    version = totals.delta.version()
    assert totals.data_version("2024-02") == nothing
    assert totals.write("2024-02", every_type(0)) == nothing
    assert totals.delta.version() == version
    assert totals.write("2024-02", every_type(1)) != nothing
    assert totals.write("2024-02", every_type(0)) == totals.data_version("2024-02") == nothing


def test_writing_a_period_again_replaces_its_rows_and_no_others(totals: PeriodTable) -> None:
    totals.write("2024-01", every_type(3))
    january = totals.data_version("2024-01")
    totals.write("2024-02", every_type(2))
    earlier = totals.delta.version()
    totals.write("2024-02", every_type(1))
    assert totals.data_version("2024-01") == january
    read, before = totals.read(["2024-02"]), totals.read(["2024-02"], earlier)
    assert read is not None and read.num_rows == 1
    assert before is not None and before.num_rows == 2


def test_a_duplicated_row_is_another_set_of_rows(totals: PeriodTable) -> None:
    import pyarrow as pa

    first = totals.write("2024-01", every_type(1))
    twice = totals.write("2024-01", pa.concat_tables([every_type(1)] * 2))
    assert first != twice
    assert totals.data_version("2024-01") == twice


def test_only_the_periods_asked_for_are_read_of_a_table_of_periods(totals: PeriodTable) -> None:
    for key in ("2024-01", "2024-02", "2024-03"):
        totals.write(key, every_type(1))
    read, everything, nothing = totals.read(["2024-03", "2024-01"]), totals.read(), totals.read([])
    assert read is not None and sorted(read["period"].to_pylist()) == ["2024-01", "2024-03"]
    assert everything is not None and everything.num_rows == 3
    assert nothing is not None and nothing.num_rows == 0


def test_a_writer_overtaken_while_it_compared_is_refused(totals: PeriodTable, monkeypatch: pytest.MonkeyPatch) -> None:
    totals.write("2024-01", every_type(1))
    other = PeriodTable(DeltaFolder(totals.delta.folder, "totals"))
    where = "mlops_assets.lakehouse.tables.content_hash"
    calls = iter(range(10))

    def overtaken(rows: "pa.Table", columns: list[str]) -> str:
        if next(calls) == 1:  # the first hashes the new rows, the second the kept ones
            monkeypatch.setattr(where, content_hash)
            other.write("2024-01", every_type(3))
        return content_hash(rows, columns)

    monkeypatch.setattr(where, overtaken)
    with pytest.raises(ConflictError, match="another writer committed 2024-01 of table 'totals'"):
        totals.write("2024-01", every_type(2))
    read = totals.read()
    assert read is not None and read.num_rows == 3
