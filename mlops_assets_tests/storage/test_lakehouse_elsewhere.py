"""The lakehouse on storages of other kinds: what works there needs no local path."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlops_assets.engines.duckdb import DuckDBEngine
from mlops_assets.errors import ConflictError, DamagedStateError, MissingDataError
from mlops_assets.lakehouse import formats
from mlops_assets.lakehouse.compaction import compact_tables
from mlops_assets.lakehouse.deliveries import DeliveryStore
from mlops_assets.lakehouse.delta import DeltaFolder, commit_stamps, tables_in
from mlops_assets.lakehouse.delta_log import SUMS, DeltaLog, log_file
from mlops_assets.lakehouse.tables import PeriodTable, StateTable
from mlops_assets.lakehouse.verifying import verify_deliveries, verify_table
from mlops_assets.monitoring.summaries import read_summaries, write_summaries
from mlops_assets.sources.files import read_delivery
from mlops_assets.storage.opening import storage_at
from mlops_assets.storage.path import StoragePath
from mlops_assets.testing import SyntheticPeriods
from mlops_assets_tests.lakehouse import shop
from mlops_assets_tests.local_paths import path_of
from mlops_assets_tests.storage.kinds import KINDS

MOMENT = datetime(2024, 2, 3, tzinfo=UTC)


@pytest.fixture(params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> StoragePath:
    """A storage in which nothing lies, of each kind."""
    return KINDS[request.param](tmp_path)


def test_deliveries_are_kept_numbered_accepted_and_proven(folder: StoragePath, tmp_path: Path) -> None:
    store, landed = DeliveryStore(folder / "deliveries"), tmp_path / "2024-01.csv"
    for content in (b"shop,month,units,note\nnorth,2024-01-01,1.5,a\n", b"other"):
        landed.write_bytes(content)
        store.keep([landed], "sales", "2024-01", suffix=".csv", arrived_at=MOMENT, known_at=MOMENT)
    first, second = store.of("sales", "2024-01")
    with store.held("sales"):
        store.accept(first)
    assert (
        store.periods("sales") == ["2024-01"] and store.first_accepted("sales", "2024-01") == store.accepted("sales")[0]
    )
    read = read_delivery(store.proven_files(first), shop.SALES, "sales")
    assert [row["units"] for row in read.rows.to_pylist()] == [1.5]
    assert verify_deliveries(store, "sales").faults == ()
    (file,) = store.content_files(second)
    file.write(b"damaged")
    with pytest.raises(DamagedStateError) as damaged:
        store.proven_files(second)
    assert f" in {file}" in damaged.value.found
    file.delete()
    with pytest.raises(DamagedStateError, match="which cannot be read"):
        store.proven_files(second)


def copied(table: StateTable, folder: StoragePath) -> StoragePath:
    """The files of a table of this machine, in another storage."""
    here = path_of(table.delta.folder)
    for file in here.rglob("*"):
        if file.is_file():
            (folder / file.relative_to(here).as_posix()).write(file.read_bytes())
    return folder


def test_the_log_of_a_table_is_read_proven_and_summed(folder: StoragePath, tmp_path: Path) -> None:
    here = shop.sales_table(tmp_path / "here" / "sales" / "1")
    for key in ("2024-01", "2024-02"):
        shop.append(here, key, {"north": 1.0})
    there = copied(here, folder / "tables" / "sales" / "1")
    log, known = DeltaLog(there), here.delta.log()
    (there / SUMS).write((there / SUMS).read_bytes()[:-30])  # killed in the middle of the newest line
    log.read_to(2)
    assert (log.counters, log.sizes, len(log.sums)) == (known.counters, known.sizes, 2)
    log.add_sums()
    log.add_sums()
    assert (there / SUMS).read_bytes() == path_of(here.delta.folder / SUMS).read_bytes()
    again = DeltaLog(there)
    again.read_to(2)
    assert (again.sums, again.hashes) == (known.sums, known.hashes)
    files = [
        str(there / f"period={key}" / name)
        for key in ("2024-01", "2024-02")
        for name in (there / f"period={key}").names()
    ]
    again.require_written(files, "sales")
    there.at(files[0]).write(b"other")
    with pytest.raises(DamagedStateError, match="with 5 bytes"):
        again.require_written(files, "sales")
    there.at(files[0]).delete()
    with pytest.raises(MissingDataError, match="which is not there"):
        again.require_written(files, "sales")
    stamps = commit_stamps(folder / "tables")
    assert [(table.name, table.folder) for table in tables_in(folder / "tables")] == [("sales", there)]
    log_file(there, 2).write(log_file(there, 2).read_bytes() + b"\n")
    assert commit_stamps(folder / "tables") != stamps


def test_summaries_of_a_reference_are_kept_in_any_storage(folder: StoragePath) -> None:
    file = folder / "reports" / "reference.npz"
    kept = SyntheticPeriods(("x",), ("level",)).monitored(range(2)).summaries
    assert read_summaries(file) is None
    write_summaries(file, kept)
    assert (read := read_summaries(file)) and read.periods == kept.periods
    file.write(b"damaged")
    assert read_summaries(file) is None


def test_records_of_a_kind_with_a_number_are_read_from_any_storage(folder: StoragePath) -> None:
    (folder / "record.json").write(json.dumps(formats.numbered({"a": 1}, 1)).encode())
    assert formats.read_numbered(folder / "record.json", 1, "the record") == {"a": 1}


@pytest.mark.parametrize("kind", ["local", "uri"])  # Delta itself reads and writes no memory of this process
def test_a_table_lives_where_no_path_leads(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")  # where an address would lie that is taken for a path
    tables = KINDS[kind](tmp_path) / "tables"
    sales = shop.sales_table(tables / "sales" / "1")
    for number in range(9):
        shop.append(sales, "2024-01", {"north": float(number)})
    shop.append(sales, "2024-02", {"south": 7.0})
    with pytest.raises(ConflictError):
        sales.delta.append(shop.sales_states({"2024-02": {"south": 8.0}}), {"2024-02": 0})
    before = sales.data_versions([shop.MONTHS.at_key("2024-01"), shop.MONTHS.at_key("2024-02")])
    assert [done.after for done in compact_tables(tables)] == [2]
    other = StateTable(DeltaFolder(sales.delta.folder, "sales"), shop.SALES)
    assert other.data_versions([shop.MONTHS.at_key("2024-01"), shop.MONTHS.at_key("2024-02")]) == before
    assert len(shop.units(other)) == 10 and len(shop.units(other, version=3)) == 3
    assert {moment.seq for moment in other.moments(*[shop.MONTHS.at_key("2024-02")] * 2)["2024-02"]} == {1}
    engine = DuckDBEngine(tmp_path / "scratch")
    assert [row["units"] for row in engine.known_at(other, datetime(2025, 1, 1, tzinfo=UTC)).to_pylist()] == [8.0, 7.0]
    totals = PeriodTable(DeltaFolder(tables / "totals" / "records", "totals", records=1))
    totals.write("2024-01", shop.sales_states({"2024-01": {"north": 1.0}}).drop_columns(["period"]))
    found = totals.read()
    assert found is not None and found.num_rows == 1
    assert [verify_table(table).faults for table in tables_in(tables)] == [(), ()]
    assert os.listdir() == [], "an address was taken for a path"
    assert isinstance(storage_at(tmp_path), type(tables)) == (kind == "local")
