"""Records: found by their key, in its order, and written once where they are new."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier
from typing import ClassVar, Literal

import pytest

from mlops_assets.errors import ConflictError, ContractError, UnusableEnvironmentError
from mlops_assets.lakehouse.delta import DeltaFolder
from mlops_assets.lakehouse.records import read_records, write_new_record, write_record
from mlops_assets.lakehouse.tables import PeriodTable
from mlops_assets.storage.opening import storage_at

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Numbered:
    number: int
    kind: Literal["one", "other"]
    happened_at: datetime


@pytest.fixture
def table(tmp_path: Path) -> PeriodTable:
    return PeriodTable(DeltaFolder(storage_at(tmp_path / "records"), "records"))


def test_numbers_are_read_as_numbers_in_their_order(table: PeriodTable) -> None:
    written = [Numbered(number, "one", NOON) for number in (10, 9, 1)]
    for record in written:
        write_new_record(table, record)
    assert read_records(table, Numbered) == written[::-1]


def test_a_record_that_is_there_is_not_written_anew_but_may_be_written_over(table: PeriodTable) -> None:
    first = Numbered(1, "one", NOON)
    write_new_record(table, first)
    with pytest.raises(ConflictError) as caught:
        write_new_record(table, Numbered(1, "other", NOON))
    assert caught.value.found == "a second Numbered 1 in table 'records'"
    assert read_records(table, Numbered) == [first]
    write_record(table, Numbered(1, "other", NOON))
    assert read_records(table, Numbered) == [Numbered(1, "other", NOON)]


def test_of_writers_of_one_key_one_wins_and_each_other_is_told(table: PeriodTable) -> None:
    write_new_record(table, Numbered(1, "one", NOON))
    ready = Barrier(4)

    def write(second: int) -> int | None:
        record = Numbered(2, "one", NOON.replace(second=second))
        ready.wait()
        try:
            write_new_record(table, record)
        except ConflictError:
            return None
        return second

    with ThreadPoolExecutor(4) as threads:
        outcomes = list(threads.map(write, range(4)))
    (winner,) = [second for second in outcomes if second is not None]
    assert read_records(table, Numbered)[1].happened_at.second == winner


def test_records_of_another_release_are_not_taken_for_ours(table: PeriodTable) -> None:
    @dataclass(frozen=True)
    class Older:
        number: int
        kind: Literal["one", "other"]
        by: str

    write_new_record(table, Older(1, "one", "ana"))
    with pytest.raises(ContractError) as error:
        read_records(table, Numbered)
    assert error.value.found == "records in table 'records' that differ in by, happened_at"
    assert error.value.expected == "records in format 1"
    assert error.value.cure == "use the release that wrote them, or restore the table from a backup"


@dataclass(frozen=True)
class Changed:
    """Records of a kind that has changed once."""

    FORMAT: ClassVar[int] = 2

    number: int
    kind: str


def test_records_of_an_earlier_format_are_neither_read_nor_written_among(table: PeriodTable) -> None:
    write_new_record(table, Numbered(1, "one", NOON))
    for refused in (lambda: read_records(table, Changed), lambda: write_record(table, Changed(2, "one"))):
        with pytest.raises(UnusableEnvironmentError) as error:
            refused()
        assert error.value.found == "records of table 'records' in format 1"
        assert error.value.expected == "format 2"
        assert error.value.cure.startswith("run `mlops-assets migrate`")
    assert read_records(table, Numbered) == [Numbered(1, "one", NOON)]


def test_records_of_a_later_format_name_the_release_to_use(table: PeriodTable) -> None:
    write_new_record(table, Changed(1, "one"))
    with pytest.raises(UnusableEnvironmentError) as error:
        read_records(table, Numbered)
    assert error.value.found == "records of table 'records' in format 2"
    assert error.value.expected.startswith("format 1 or an older one: this is mlops-assets ")
    assert error.value.cure == "use the release that wrote it, or a newer one"
    assert read_records(table, Changed) == [Changed(1, "one")]


def test_a_field_that_came_later_has_its_default_in_what_was_written_before(table: PeriodTable) -> None:
    @dataclass(frozen=True)
    class Longer:
        number: int
        kind: Literal["one", "other"]
        happened_at: datetime
        figures: str = "{}"
        error: float | None = None

    for number in (1, 2):
        write_record(table, Numbered(number, "one", NOON))
    before = table.data_version("1")
    assert read_records(table, Longer) == [Longer(1, "one", NOON), Longer(2, "one", NOON)]
    second, third = Longer(2, "one", NOON, '{"mae": 1.0}', 0.5), Longer(3, "one", NOON, error=1.0)
    versions = [write_record(table, record) for record in (second, third)]
    assert read_records(table, Longer) == [Longer(1, "one", NOON), second, third]
    assert table.data_version("1") == before
    at = table.delta.version()
    assert [write_record(table, record) for record in (second, third)] == versions and table.delta.version() == at
