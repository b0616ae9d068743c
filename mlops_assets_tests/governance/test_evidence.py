"""Evidence: what was read, by which definition, code and environment, for which moment."""

import json
import platform
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from mlops_assets.governance import evidence as evidence_module
from mlops_assets.governance.evidence import (
    InputEvidence,
    code_hash,
    environment_hash,
    evidence,
    threads,
    window_evidence,
)
from mlops_assets.lakehouse.delta import DeltaFolder
from mlops_assets.lakehouse.periods import Calendar
from mlops_assets.lakehouse.schema import Column, TableSchema
from mlops_assets.lakehouse.tables import StateTable
from mlops_assets.storage.opening import storage_at

MONTHS = Calendar("month")
JANUARY, FEBRUARY, MARCH = (MONTHS.at_key(f"2024-0{month}") for month in (1, 2, 3))
READ = InputEvidence("sales", 4, "ab" * 32, ("2024-01", "2024-03"))


def state_table(folder: Path, *, static: bool = False) -> StateTable:
    timestamp = None if static else "month"
    columns = (Column("shop", "string", kind="key"), Column("month", "timestamp", kind="time"))
    return StateTable(DeltaFolder(storage_at(folder), "sales"), TableSchema(("shop",), timestamp, columns, MONTHS))


def append(table: StateTable, key: str, name: str) -> None:
    import pyarrow as pa

    counters = table.delta.counters([key])
    moment = JANUARY.start
    row = {"shop": name, "month": moment, "event_time": moment, "known_at": moment}
    row |= {"seq": counters[key] + 1, "removed": False, "period": key}
    table.delta.append(pa.Table.from_pylist([row], schema=table.schema.stored()), counters)


@pytest.fixture
def sales(tmp_path: Path) -> StateTable:
    """Sales of three months."""
    table = state_table(tmp_path / "sales")
    for key in ("2024-01", "2024-02", "2024-03"):
        append(table, key, "north")
    return table


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of three source files that stands in for ours."""
    folder = tmp_path / "package"
    (folder / "governance").mkdir(parents=True)
    for name in ("__init__.py", "cli.py", "governance/evidence.py"):
        (folder / name).write_text(f"'''{name}'''\n", encoding="utf-8")
    monkeypatch.setattr(evidence_module, "__file__", str(folder / "governance" / "evidence.py"))
    return folder


def fresh_code_hash() -> str:
    return code_hash.__wrapped__()


def test_evidence_of_one_period_is_its_data_version(sales: StateTable) -> None:
    read = window_evidence(sales, [FEBRUARY])
    version = sales.data_version(FEBRUARY)
    generation = sales.delta.folder.name
    assert read == InputEvidence("sales", sales.delta.version(), version, ("2024-02", "2024-02"), generation)


def test_evidence_of_a_window_names_its_first_and_last_period(sales: StateTable) -> None:
    assert window_evidence(sales, [JANUARY, FEBRUARY, MARCH]).periods == ("2024-01", "2024-03")


def test_a_change_in_any_period_of_a_window_changes_its_evidence(sales: StateTable) -> None:
    window = [JANUARY, FEBRUARY, MARCH]
    seen = {window_evidence(sales, window).data_version}
    for period in window:
        append(sales, period.key, "south")
        seen.add(window_evidence(sales, window).data_version)
    assert len(seen) == 4


def test_a_change_outside_a_window_does_not_change_its_evidence(sales: StateTable) -> None:
    before = window_evidence(sales, [JANUARY, FEBRUARY])
    append(sales, "2024-03", "south")
    after = window_evidence(sales, [JANUARY, FEBRUARY])
    assert after.data_version == before.data_version
    assert before.delta_version is not None and after.delta_version == before.delta_version + 1


def test_the_same_rows_in_another_period_are_other_evidence(tmp_path: Path) -> None:
    windows = []
    for name, key in (("one", "2024-01"), ("other", "2024-02")):
        table = state_table(tmp_path / name)
        append(table, key, "north")
        windows.append(window_evidence(table, [JANUARY, FEBRUARY]).data_version)
    assert windows[0] != windows[1]


def test_evidence_of_a_static_table_is_the_whole_of_it_without_periods(tmp_path: Path) -> None:
    table = state_table(tmp_path / "static", static=True)
    append(table, "static", "north")
    read = window_evidence(table, [JANUARY, FEBRUARY])
    generation = table.delta.folder.name
    assert read == InputEvidence("sales", table.delta.version(), table.data_version(None), None, generation)


def test_evidence_of_a_table_that_was_never_written_has_no_delta_version(tmp_path: Path) -> None:
    read = window_evidence(state_table(tmp_path / "never"), [JANUARY])
    assert read.delta_version is None
    assert read.periods == ("2024-01", "2024-01")


def test_evidence_holds_the_hashes_of_this_code_and_environment() -> None:
    made = evidence([READ], "definition", known_at=JANUARY.end, seed=7)
    assert made.inputs == (READ,)
    assert (made.definition_hash, made.known_at, made.seed) == ("definition", JANUARY.end, 7)
    assert (made.code_hash, made.environment_hash) == (code_hash(), environment_hash())
    assert made.threads == threads()


def test_evidence_made_twice_is_the_same() -> None:
    assert evidence([READ], "definition") == evidence([READ], "definition")
    assert evidence([READ], "definition").seed is None
    assert evidence([READ], "definition").known_at is None


def test_evidence_can_be_written_as_json_and_holds_its_moment_with_the_zone() -> None:
    made = evidence([READ], "definition", known_at=datetime(2024, 2, 1, tzinfo=UTC), seed=7)
    read = json.loads(json.dumps(made.as_json()))
    assert read["known_at"] == "2024-02-01T00:00:00+00:00"
    assert read["inputs"] == [
        {
            "name": "sales",
            "delta_version": 4,
            "data_version": "ab" * 32,
            "periods": ["2024-01", "2024-03"],
            "generation": None,
            "columns": None,
        }
    ]
    assert read["threads"] == threads()
    assert read["format"] == 1
    assert set(read) == {
        "format",
        "inputs",
        "definition_hash",
        "code_hash",
        "environment_hash",
        "known_at",
        "seed",
        "threads",
    }


def test_evidence_without_a_moment_says_null() -> None:
    assert json.loads(json.dumps(evidence([], "definition").as_json()))["known_at"] is None


def test_the_code_hash_covers_every_source_file_of_the_package(package: Path) -> None:
    hashes = {fresh_code_hash()}
    for name in ("__init__.py", "cli.py", "governance/evidence.py"):
        with open(package / name, "a", encoding="utf-8") as file:
            file.write("# changed\n")
        hashes.add(fresh_code_hash())
    (package / "more.py").write_text("", encoding="utf-8")
    hashes.add(fresh_code_hash())
    (package / "more.py").rename(package / "moved.py")
    hashes.add(fresh_code_hash())
    assert len(hashes) == 6


def test_the_code_hash_does_not_cover_caches_nor_the_place_of_the_package(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fresh_code_hash()
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "cli.cpython-311.pyc").write_bytes(b"compiled")
    assert fresh_code_hash() == before
    package.rename(package.with_name("elsewhere"))
    monkeypatch.setattr(evidence_module, "__file__", str(package.with_name("elsewhere") / "governance" / "evidence.py"))
    assert fresh_code_hash() == before


def environment_of(monkeypatch: pytest.MonkeyPatch, *installed: tuple[str, str]) -> str:
    found = [SimpleNamespace(metadata={"Name": name, "Version": version}) for name, version in installed]
    monkeypatch.setattr(metadata, "distributions", lambda: iter(found))
    return environment_hash.__wrapped__()


def test_the_environment_hash_covers_every_installed_version(monkeypatch: pytest.MonkeyPatch) -> None:
    one = environment_of(monkeypatch, ("alpha", "1.0"), ("beta", "2.0"))
    assert environment_of(monkeypatch, ("alpha", "1.0"), ("beta", "2.1")) != one
    assert environment_of(monkeypatch, ("alpha", "1.0")) != one
    assert environment_of(monkeypatch, ("alpha", "1.0"), ("beta", "2.0"), ("gamma", "1")) != one


def test_the_environment_hash_knows_no_order_case_or_double_listing(monkeypatch: pytest.MonkeyPatch) -> None:
    one = environment_of(monkeypatch, ("alpha", "1.0"), ("beta", "2.0"))
    assert environment_of(monkeypatch, ("Beta", "2.0"), ("alpha", "1.0"), ("beta", "2.0")) == one


def test_the_environment_hash_covers_python_and_the_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    one = environment_of(monkeypatch, ("alpha", "1.0"))
    with monkeypatch.context() as patched:
        patched.setattr(sys, "version", "3.11.99")
        assert environment_of(patched, ("alpha", "1.0")) != one
    monkeypatch.setattr(platform, "machine", lambda: "another")
    assert environment_of(monkeypatch, ("alpha", "1.0")) != one


def test_thread_settings_are_recorded_as_they_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in evidence_module.THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert list(threads()) == ["cpus"]
    assert int(threads()["cpus"]) >= 1
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert threads() == {"cpus": threads()["cpus"], "OMP_NUM_THREADS": "2"}
