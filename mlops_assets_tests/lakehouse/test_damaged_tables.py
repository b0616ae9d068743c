"""A table whose files are not what was written is an error in words, and never another number."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa  # noqa: TID253
import pyarrow.parquet as pq  # noqa: TID253
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.errors import DamagedStateError, MissingDataError, PlatformError
from mlops_assets.lakehouse import delta
from mlops_assets.lakehouse.delta_log import SUMS
from mlops_assets.lakehouse.periods import Calendar
from mlops_assets.lakehouse.tables import StateTable
from mlops_assets_tests.lakehouse import shop
from mlops_assets_tests.local_paths import path_of

LAST = Calendar("month").at_key("2024-02")
TXN = b'{"txn":{"appId":"2024-02","version":'


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> StateTable:
    """Two periods, of which one was corrected; only to be copied."""
    table = shop.sales_table(tmp_path_factory.mktemp("written") / "sales")
    for key, units in (("2024-01", {"north": 1.0}), ("2024-02", {"north": 2.0}), ("2024-01", {"south": 3.0})):
        shop.append(table, key, units)
    return table


def moved(table: StateTable, folder: Path) -> StateTable:
    """A copy of a table, that this process has not opened yet."""
    shutil.copytree(path_of(table.delta.folder), folder)
    return shop.sales_table(folder)


def data_file(table: StateTable, period: str) -> Path:
    return min((path_of(table.delta.folder) / f"period={period}").glob("*.parquet"))


def commit(table: StateTable, version: int) -> Path:
    return path_of(table.delta.folder) / "_delta_log" / f"{version:020d}.json"


def flip(file: Path, place: float = 0.5) -> None:
    content = bytearray(file.read_bytes())
    content[int(len(content) * place)] ^= 1
    file.write_bytes(content)


def doubled(file: Path) -> None:
    """A valid file with other units."""
    rows = pq.ParquetFile(file).read()
    units = pa.array([2 * (value or 0) for value in rows.column("units").to_pylist()], pa.float64())
    pq.write_table(rows.set_column(rows.column_names.index("units"), "units", units), file)


def swapped(one: Path, other: Path) -> None:
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


def without_line(file: Path, number: int) -> None:
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:number], *lines[number + 1 :]]))


DAMAGE: dict[str, Callable[[StateTable], Any]] = {
    "a bit of a data file": lambda table: flip(data_file(table, "2024-02")),
    "a data file cut short": lambda table: data_file(table, "2024-02").write_bytes(b"PAR1"),
    "data files swapped": lambda table: swapped(data_file(table, "2024-01"), data_file(table, "2024-02")),
    "an older data file": lambda table: shutil.copy(data_file(table, "2024-01"), data_file(table, "2024-02")),
    "a data file that is gone": lambda table: data_file(table, "2024-02").unlink(),
    "a valid data file with other numbers": lambda table: doubled(data_file(table, "2024-02")),
    "a bit of a commit": lambda table: flip(commit(table, 2)),
    "a commit cut short": lambda table: commit(table, 2).write_bytes(commit(table, 2).read_bytes()[:-20]),
    "commits swapped": lambda table: swapped(commit(table, 2), commit(table, 3)),
    "a commit that is gone": lambda table: commit(table, 2).unlink(),
    "a valid commit with another number": lambda table: commit(table, 2).write_bytes(
        commit(table, 2)
        .read_bytes()
        .replace(b'{"txn":{"appId":"2024-02","version":1', b'{"txn":{"appId":"2024-02","version":7')
    ),
    "a bit of the sums": lambda table: flip(path_of(table.delta.folder / SUMS)),
    "a line of the sums that is gone": lambda table: without_line(path_of(table.delta.folder / SUMS), 1),
}


@pytest.mark.parametrize("checkpoint", [False, True])
@pytest.mark.parametrize("kind", DAMAGE)
def test_what_is_not_what_was_written_is_not_read(
    written: StateTable, tmp_path: Path, kind: str, checkpoint: bool
) -> None:
    whole = moved(written, tmp_path / "whole")
    if checkpoint:  # which tells the reader what the log before it said
        whole.delta.write_checkpoint()
    table = moved(whole, tmp_path / "damaged")
    DAMAGE[kind](table)
    for read in (
        table.states,
        lambda: table.data_version(LAST),
        lambda: table.states(LAST, LAST),
        lambda: shop.append(table, "2024-02", {"west": 1.0}) if "data file" not in kind else table.files(),
    ):
        with pytest.raises((DamagedStateError, MissingDataError)) as refused:
            read()
        assert str(tmp_path) in refused.value.found and "from a backup" in refused.value.cure


def test_a_large_file_is_proven_where_evidence_is_recorded(
    written: StateTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delta, "MAX_BYTES_OF_A_READING", 0)
    table = moved(written, tmp_path / "damaged")
    flip(data_file(table, "2024-02"), 0.02)
    assert len(table.files()) == 3
    with pytest.raises(DamagedStateError, match="with the hash"):
        table.data_version(LAST)


@given(number=st.integers(0, 10), place=st.floats(0, 1, exclude_max=True))
def test_a_bit_of_any_file_is_noticed_or_changes_nothing(
    written: StateTable, tmp_path_factory: pytest.TempPathFactory, number: int, place: float
) -> None:
    table = moved(written, tmp_path_factory.mktemp("flipped") / "sales")
    files = sorted(file for file in path_of(table.delta.folder).rglob("*") if file.is_file())
    flip(files[number % len(files)], place)
    try:
        found = shop.units(table)
    except PlatformError as error:
        assert str(table.delta.folder) in error.found
    else:
        assert found == shop.units(written)


def test_sums_that_a_kill_cut_short_or_left_out_are_written_with_the_next_commit(
    written: StateTable, tmp_path: Path
) -> None:
    table = moved(written, tmp_path / "sales")
    sums = path_of(table.delta.folder / SUMS)
    sums.write_bytes(sums.read_bytes()[:-30])
    assert shop.units(table) == shop.units(written)
    shop.append(table, "2024-03", {"north": 4.0})
    assert len(sums.read_bytes().splitlines()) == table.delta.version() + 1  # type: ignore[operator]
    flip(data_file(table, "2024-01"))
    with pytest.raises(DamagedStateError):
        shop.units(moved(table, tmp_path / "again"))


def test_a_table_of_an_earlier_release_has_its_sums_from_the_next_commit_on(
    written: StateTable, tmp_path: Path
) -> None:
    table = moved(written, tmp_path / "sales")
    path_of(table.delta.folder / SUMS).unlink()
    assert shop.units(table) == shop.units(written)
    shop.append(table, "2024-03", {"north": 4.0})
    flip(data_file(table, "2024-01"))
    with pytest.raises(DamagedStateError):
        shop.units(moved(table, tmp_path / "again"))


def test_a_table_that_was_taken_back_to_an_earlier_state_goes_on_from_there(
    written: StateTable, tmp_path: Path
) -> None:
    table = moved(written, tmp_path / "sales")
    commit(table, 3).unlink()
    shop.append(table, "2024-01", {"west": 5.0})
    again = moved(table, tmp_path / "again")
    assert shop.units(again) == [("2024-01", "north", 1.0), ("2024-01", "west", 5.0), ("2024-02", "north", 2.0)]
