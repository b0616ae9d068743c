"""Every piece of state carries the number of its format, and one of another number is refused in words."""

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlops_assets.errors import UnusableEnvironmentError
from mlops_assets.features.online.sqlite import SqliteStore
from mlops_assets.governance.approvals import Approval, ApprovalStore
from mlops_assets.governance.tokens import TokenStore
from mlops_assets.lakehouse import formats
from mlops_assets.lakehouse.clock import HomeClock
from mlops_assets.lakehouse.deliveries import DeliveryStore
from mlops_assets.lakehouse.delta import DeltaFolder, set_table_format, table_format
from mlops_assets.lakehouse.formats import TableFormat
from mlops_assets.lakehouse.home import Home
from mlops_assets.lakehouse.pushed import PushedBatches
from mlops_assets.operations.replay.state import ReplayState, read_state, write_state
from mlops_assets.storage.opening import storage_at
from mlops_assets_tests.conftest import Lived
from mlops_assets_tests.lakehouse.shop import append, sales_table

NOW = datetime(2024, 1, 10, tzinfo=UTC)
NEWER = "format 1 or an older one: this is mlops-assets "


def is_numbered_json(file: Path) -> bool:
    return isinstance(json.loads(file.read_bytes()).get("format"), int)


def is_numbered_trail(file: Path) -> bool:
    return all(isinstance(json.loads(line)["format"], int) for line in file.read_text(encoding="utf-8").splitlines())


def is_numbered_database(file: Path) -> bool:
    with sqlite3.connect(file) as database:
        return bool(database.execute("PRAGMA user_version").fetchone()[0])


def is_numbered_by_its_maker(file: Path) -> bool:
    """Dagster and MLflow number their own databases."""
    with sqlite3.connect(file) as database:
        return bool(database.execute("SELECT name FROM sqlite_master WHERE name = 'alembic_version'").fetchone())


def is_in_a_numbered_table(file: Path) -> bool:
    parts = file.parts[: file.parts.index("tables") + 3]
    found = table_format(storage_at(Path(*parts)))
    return found is not None and (found.records is not None) == (
        parts[-1] == "records" or parts[-2].endswith("computed")
    )


def belongs_to_another(file: Path) -> bool:
    """It has no format of ours, or is named by what has one."""
    return True


KINDS: tuple[tuple[str, Callable[[Path], bool]], ...] = (
    (r"format\.json|clock\.json|newest_moment\.json|replay\.json", is_numbered_json),
    (r"trail/\w+\.jsonl", is_numbered_trail),
    (r"trail/\w+\.seal\.json", is_numbered_json),
    (r"online\.sqlite|lakehouse/pushed/\w+\.sqlite", is_numbered_database),
    (r"lakehouse/deliveries/[^/]+/[^/]+/[^/]+\.json", is_numbered_json),
    (r"lakehouse/tables/.*", is_in_a_numbered_table),
    (r"dagster/.*\.db|mlflow/mlflow\.db", is_numbered_by_its_maker),
    (r"lakehouse/deliveries/.*\.csv", belongs_to_another),  # as it came; its record says what it is
    (r"landing/.*", belongs_to_another),  # as it came
    (r"dagster/dagster\.yaml", belongs_to_another),  # Dagster's settings
    (r"mlflow/artifacts/.*", belongs_to_another),  # MLflow's models, and reports that carry their format's name
    (r"reports/.*", belongs_to_another),  # Evidently's; made anew from the lakehouse
    (r"scratch/.*", belongs_to_another),  # matplotlib's list of fonts; may be deleted at any time
    (r".*-(wal|shm)", belongs_to_another),  # part of a database
    (r"\.at_work", belongs_to_another),  # a lock, which says nothing once nobody holds it
)
"""What lies in a home, and how it carries its number."""


@pytest.mark.slow
def test_every_file_that_a_replay_writes_is_of_a_kind_that_carries_its_number(lived: Lived, tmp_path: Path) -> None:
    copy = lived.copy(tmp_path)  # SQLite may write where it only reads
    TokenStore(copy.home.folder / "trail" / "tokens.jsonl").create("ana", ("reader",), None, NOW)
    approval = Approval("m", 1, "h", None, "ana", ("approver",), NOW, "approved", "why")
    ApprovalStore(copy.home.folder / "trail" / "approvals.jsonl").record(approval)
    PushedBatches(copy.home.pushed).accept("visits", "1", "d", rows={"2024-01-10": ["{}"]}, now=NOW, known_since=NOW)
    kinds = dict(KINDS)
    seen = set()
    for file in sorted(path for path in copy.home.folder.rglob("*") if path.is_file()):
        name = file.relative_to(copy.home.folder).as_posix()
        pattern = next((pattern for pattern in kinds if re.fullmatch(pattern, name)), None)
        assert pattern, f"{name} is a new kind of state: give it a number (docs/migration.md), and a line in KINDS"
        assert kinds[pattern](file), f"{name} carries no number of its format"
        seen.add(pattern)
    assert len(seen) >= len(KINDS) - 1, "a kind that a replay does not write proves nothing"


@pytest.mark.slow
def test_the_evidence_of_every_materialization_carries_its_number(lived: Lived, tmp_path: Path) -> None:
    events = lived.copy(tmp_path).home.dagster / "event_log.db"
    with sqlite3.connect(events) as database:
        found = database.execute("SELECT event FROM event_logs WHERE event LIKE '%mlops/evidence%'").fetchall()
    assert len(found) > 30
    assert all(re.search(r'"definition_hash"', text) and re.search(r'"format": 1\b', text) for (text,) in found)


# One of another number


def numbered_file(file: Path, number: int) -> None:
    content = json.loads(file.read_bytes())
    file.write_text(json.dumps({**content, "format": number}), encoding="utf-8")


def numbered_database(file: Path, number: int) -> None:
    with sqlite3.connect(file) as database:
        database.execute(f"PRAGMA user_version = {number}")


def a_clock(folder: Path) -> Iterator[Path]:
    clock = HomeClock(folder / "clock.json")
    clock.set(NOW)
    yield clock.file
    clock.now()


def a_replay(folder: Path) -> Iterator[Path]:
    home = Home(folder).prepare()
    write_state(home, ReplayState("2024-01-01"))
    yield folder / "replay.json"
    read_state(home, "2024-01-01")


def a_delivery(folder: Path) -> Iterator[Path]:
    store = DeliveryStore(storage_at(folder / "deliveries"))
    (folder / "came.csv").write_text("a\n1\n", encoding="utf-8")
    store.keep([folder / "came.csv"], "sales", "2024-01", suffix=".csv", arrived_at=NOW, known_at=NOW)
    yield next((folder / "deliveries").rglob("*.json"))
    store.of("sales", "2024-01")


@pytest.mark.parametrize("made", [a_clock, a_replay, a_delivery])
def test_a_file_of_another_format_is_refused(tmp_path: Path, made: Callable[[Path], Iterator[Path]]) -> None:
    work = made(tmp_path)
    file = next(work)
    numbered_file(file, 2)
    with pytest.raises(UnusableEnvironmentError) as newer:
        next(work)
    assert newer.value.found.endswith(f"{file} in format 2") and newer.value.expected.startswith(NEWER)
    assert newer.value.cure == "use the release that wrote it, or a newer one"

    work = made(tmp_path / "again")
    (tmp_path / "again").mkdir()
    file = next(work)
    file.write_text(json.dumps({n: v for n, v in json.loads(file.read_bytes()).items() if n != "format"}))
    with pytest.raises(UnusableEnvironmentError) as older:
        next(work)
    assert older.value.found.endswith(f"{file} without the number of a format")
    assert older.value.cure.startswith("run `mlops-assets migrate` in the home that it comes from")


def test_lines_of_the_trail_from_before_there_were_numbers_are_read_and_newer_ones_refused(tmp_path: Path) -> None:
    store = TokenStore(tmp_path / "tokens.jsonl")
    store.create("ana", ("reader",), None, NOW)
    line = json.loads(store.file.read_bytes())
    assert line.pop("format") == 1
    store.file.with_suffix(".seal.json").unlink()  # which came later, too
    store.file.write_text(json.dumps(line) + "\n", encoding="utf-8")
    assert [record.name for record in store.records().values()] == ["ana"]
    store.file.write_text(json.dumps({**line, "format": 2}) + "\n", encoding="utf-8")
    with pytest.raises(UnusableEnvironmentError) as refused:
        store.records()
    assert refused.value.found == f"line 1 of {store.file} in format 2" and refused.value.expected.startswith(NEWER)


def test_a_table_of_another_format_is_refused_and_keeps_its_number_when_it_is_written(tmp_path: Path) -> None:
    table = sales_table(tmp_path / "sales")
    append(table, "2024-01", {"north": 1.0})
    append(table, "2024-02", {"north": 2.0})
    table.delta.write_checkpoint()
    assert table_format(storage_at(tmp_path / "sales")) == TableFormat(1)
    set_table_format(storage_at(tmp_path / "sales"), TableFormat(2))
    from mlops_assets.lakehouse import delta

    delta._opened.cache_clear()
    with pytest.raises(UnusableEnvironmentError) as refused:
        table.states()
    assert refused.value.found == f"the table {tmp_path / 'sales'} in format 2"
    assert refused.value.expected.startswith(NEWER)


def test_what_says_whether_it_holds_records_is_read_as_it_was_written() -> None:
    for written in (TableFormat(1), TableFormat(12, 3)):
        assert TableFormat.parse(str(written)) == written
    assert TableFormat.parse(None) is TableFormat.parse("A table of sales") is None


def test_rows_are_not_taken_for_records(tmp_path: Path) -> None:
    append(sales_table(tmp_path / "sales"), "2024-01", {"north": 1.0})
    with pytest.raises(UnusableEnvironmentError) as refused:
        DeltaFolder(storage_at(tmp_path / "sales"), "sales", records=1).files()
    assert refused.value.found == "records of table 'sales' without the number of a format"


def test_pushed_batches_and_an_online_store_of_another_format_are_refused(tmp_path: Path) -> None:
    batches, store = PushedBatches(tmp_path / "pushed"), SqliteStore(tmp_path / "online.sqlite")
    batches.accept("visits", "1", "d", rows={"2024-01-10": ["{}"]}, now=NOW, known_since=NOW)
    store.check()
    for file in (tmp_path / "pushed" / "visits.sqlite", tmp_path / "online.sqlite"):
        numbered_database(file, 2)
    for read, what in (
        (lambda: batches.waiting_periods("visits"), f"the pushed batches in {tmp_path / 'pushed' / 'visits.sqlite'}"),
        (SqliteStore(tmp_path / "online.sqlite").check, f"the online store {tmp_path / 'online.sqlite'}"),
    ):
        with pytest.raises(UnusableEnvironmentError) as refused:
            read()
        assert refused.value.found == f"{what} in format 2" and refused.value.expected.startswith(NEWER)


@pytest.mark.parametrize("content", ["", "[]", '{"format": "two", "release": "1"}', '{"release": "1"}'])
def test_a_spoiled_number_of_a_home_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "format.json").write_text(content, encoding="utf-8")
    with pytest.raises(UnusableEnvironmentError) as refused:
        Home(tmp_path).prepare()
    assert refused.value.found.startswith(f"the file {tmp_path / 'format.json'}, which cannot be read (")
    assert refused.value.expected == f'a file such as {{"format": {formats.HOME}, "release": "{formats.release()}"}}'
    assert refused.value.cure == "restore it from a backup of the home"


def test_a_home_is_looked_at_once_and_read_again_only_when_it_changed(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.require_format()
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail("it was read again"))
    home.require_format()
    monkeypatch.undo()
    (home.folder / "format.json").write_text('{"format": 99, "release": "9"}', encoding="utf-8")
    with pytest.raises(UnusableEnvironmentError, match="in format 99, written by mlops-assets 9"):
        home.require_format()


def test_what_arrived_and_settings_alone_do_not_make_a_home(tmp_path: Path) -> None:
    (tmp_path / "landing" / "sales").mkdir(parents=True)
    (tmp_path / "dagster").mkdir()
    assert Home(tmp_path).begin().require_format()
    assert formats.home_format(tmp_path) == formats.present()
