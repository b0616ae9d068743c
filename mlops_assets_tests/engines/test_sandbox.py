"""What SQL can reach: rows as known at a moment, and nothing else, even if the check of its words were passed by."""

import hashlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.engines.contract import Engine, QueryInput, ResolvedLookup
from mlops_assets.engines.duckdb.sandbox import Sandbox, sandbox
from mlops_assets.engines.limits import GivenUpError, Limits, OverLimitError, Work
from mlops_assets.engines.query import Query, parse_query
from mlops_assets.errors import ContractError, Location, PlatformError
from mlops_assets.lakehouse.schema import Column, TableSchema
from mlops_assets.lakehouse.tables import StateTable
from mlops_assets_tests.engines import contract_pack as pack
from mlops_assets_tests.engines.contract_pack import MICROSECOND, SALES, SHOPS, Tables, at, label, month, notes, sale

ONE_TEXT = TableSchema(("told",), None, (Column("told", "string"),), SALES.calendar)
COUNTED = TableSchema(("rows",), None, (Column("rows", "bigint"), Column("newest", "timestamp")), SALES.calendar)
SECRET = "a line that no query may read"


def unchecked(sql: str) -> Query:
    """A query that never passed the allow-list."""
    return Query(sql, sql, hashlib.sha256(sql.encode()).hexdigest(), frozenset(), None, Path("hostile.sql"))


@pytest.fixture(autouse=True)
def _passed_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody asks what DuckDB reads: what holds here is what a query can reach, whatever it calls."""
    monkeypatch.setattr("mlops_assets.engines.duckdb.answers.require_same_reading", lambda *_: None)


@pytest.fixture
def sales(tables: Tables) -> StateTable:
    """January to May, each known at the end of its month; in June March was corrected and February removed."""
    first = [sale(f"month {number}", at(number), at(number + 1), product=number) for number in range(1, 6)]
    later = [
        sale("corrected", at(3), at(6, 15), seq=2, product=3),
        sale("gone", at(2), at(6, 15), seq=2, product=2, removed=True),
    ]
    return tables.of(first, later)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file beside the home."""
    file = tmp_path / "secret.csv"
    file.write_text(f"told\n{SECRET}\n")
    return file


def seen(engine: Engine, sales: StateTable, number: int, first: int, last: int) -> list[Any]:
    """What SQL sees at the end of a month of some months, whatever period is kept of its answer."""
    sql = "select count(*) as rows, max(sold_at) as newest from sales"
    query = parse_query(sql, file=Path("count.sql"))
    window = QueryInput(sales, month(first), month(last))
    answer = engine.evaluate(query, [window], known_at=month(number).end, schema=COUNTED, keep=None)
    return [column.to_pylist()[0] for column in answer.columns]


def test_sql_sees_no_row_that_became_known_later(engine: Engine, sales: StateTable) -> None:
    counted = [seen(engine, sales, number, 1, 5) for number in range(1, 6)]
    assert counted == [[number, at(number)] for number in range(1, 6)]


def test_sql_sees_no_correction_and_no_removal_before_it_is_known(engine: Engine, sales: StateTable) -> None:
    query = parse_query("select * from sales", file=Path("all.sql"))
    inputs = [QueryInput(sales, month(2), month(3))]
    told = []
    for moment in (at(6, 15) - MICROSECOND, at(6, 15)):
        answer = engine.evaluate(query, inputs, known_at=moment, schema=SALES, keep=None)
        told.append(answer.column("note").to_pylist())
    assert told == [["month 2", "month 3"], ["corrected"]]


@pytest.mark.parametrize(("first", "last"), [(1, 5), (2, 4), (3, 3), (6, 7)])
def test_sql_sees_no_row_outside_its_history(engine: Engine, sales: StateTable, first: int, last: int) -> None:
    rows = max(0, min(last, 5) - first + 1)
    assert seen(engine, sales, 5, first, last) == [rows, at(min(last, 5)) if rows else None]


def test_each_input_is_cut_to_its_own_history_and_a_static_one_is_whole(
    engine: Engine, tables: Tables, sales: StateTable
) -> None:
    shops = tables.of([pack.region("north", "coast"), pack.region("south", "hills")], schema=SHOPS, name="shops")
    other = tables.of([sale("old", at(1), at(2)), sale("new", at(5), at(6))], name="other")
    sql = """
    select (select count(*) from sales) * 100 + (select count(*) from other) * 10 + (select count(*) from shops)
           as rows, null::timestamp as newest
    """
    answer = engine.evaluate(
        parse_query(sql, file=Path("count.sql")),
        [QueryInput(sales, month(3), month(5)), QueryInput(other, month(5), month(5)), QueryInput(shops, None, None)],
        known_at=at(6),
        schema=COUNTED,
        keep=None,
    )
    assert answer.column("rows").to_pylist() == [312]


@pytest.mark.parametrize("name", ["event_time", "known_at", "seq", "removed", "period"])
def test_sql_does_not_see_how_rows_are_kept(engine: Engine, sales: StateTable, name: str) -> None:
    query = unchecked(f"select cast({name} as varchar) as told from sales")
    with pytest.raises(ContractError) as refused:
        engine.evaluate(query, [QueryInput(sales, month(1), month(5))], known_at=at(7), schema=ONE_TEXT, keep=None)
    assert refused.value.found.startswith("the SQL in hostile.sql failed: ")
    assert name in refused.value.found


def test_a_table_that_is_no_input_is_not_there(engine: Engine, sales: StateTable) -> None:
    # Asked right after another question read the same table.
    assert notes(engine, sales, [label(at(2), at(3))]) == ["month 1"]
    assert engine.known_at(sales, at(3)).num_rows == 2
    with pytest.raises(ContractError) as refused:
        engine.evaluate(unchecked("select note as told from sales"), [], known_at=at(7), schema=ONE_TEXT, keep=None)
    assert refused.value.found.startswith("the SQL in hostile.sql failed: ")
    assert "sales" in refused.value.found
    assert refused.value.expected == "SQL that runs over its inputs"
    assert refused.value.cure == "correct it, and try it with `mlops-assets check`"


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_csv('{secret}')",
        "select * from '{secret}'",
        "select content as told from read_text('{secret}')",
        "select content::varchar as told from read_blob('{secret}')",
        "select file as told from glob('{secret}')",
        "select cast(Columns as varchar) as told from sniff_csv('{secret}')",
        "select note as told from read_parquet('{states}')",
        "select note as told from parquet_scan('{states}')",
        "select path_in_schema as told from parquet_metadata('{states}')",
        "select * from read_csv('https://example.org/told.csv')",
    ],
)
def test_sql_that_passed_the_words_by_reads_no_file(engine: Engine, sales: StateTable, secret: Path, sql: str) -> None:
    states = sales.files()[0]
    query = unchecked(sql.format(secret=secret, states=states))
    with pytest.raises(PlatformError) as refused:
        engine.evaluate(query, [], known_at=at(7), schema=ONE_TEXT, keep=None)
    assert SECRET not in str(refused.value)
    by_duckdb = isinstance(refused.value, ContractError) and "disabled" in refused.value.found
    assert by_duckdb or "which Spark does not have" in refused.value.found


@pytest.mark.parametrize(
    "statement",
    [
        "copy (select 1) to '{target}'",
        "copy (select 1) to '{target}' (format parquet)",
        "attach '{target}' as other",
        "export database '{target}'",
        "set enable_external_access = true; copy (select 1) to '{target}'",
        "set lock_configuration = false; set enable_external_access = true; copy (select 1) to '{target}'",
    ],
)
def test_a_second_statement_smuggled_into_sql_writes_nothing(
    engine: Engine, sales: StateTable, tmp_path: Path, statement: str
) -> None:
    target = tmp_path / "written"
    query = unchecked(f"select 'harmless' as told; {statement.format(target=target)}")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ContractError):
        engine.evaluate(query, [QueryInput(sales, month(1), month(5))], known_at=at(7), schema=ONE_TEXT, keep=None)
    assert sorted(tmp_path.rglob("*")) == before


def test_what_one_query_leaves_behind_the_next_one_does_not_find(engine: Engine) -> None:
    leaving = unchecked("select 1 as told; create table left_behind as select 'found' as told")
    with pytest.raises(ContractError):
        engine.evaluate(leaving, [], known_at=at(7), schema=ONE_TEXT, keep=None)
    with pytest.raises(ContractError) as refused:
        engine.evaluate(unchecked("select told from left_behind"), [], known_at=at(7), schema=ONE_TEXT, keep=None)
    assert "left_behind" in refused.value.found


def test_a_sandboxed_query_does_not_lock_the_engine(engine: Engine, sales: StateTable) -> None:
    query = parse_query("select * from sales", file=Path("all.sql"))
    for _ in range(2):
        inputs = [QueryInput(sales, month(1), month(1))]
        answer = engine.evaluate(query, inputs, known_at=at(3), schema=SALES, keep=month(1))
        assert answer.column("note").to_pylist() == ["month 1"]
        rows = engine.lookup(pack.label_table([label(at(2), at(3))]), [ResolvedLookup(sales, ("note",))])
        assert rows.column("note").to_pylist() == ["month 1"]
        assert engine.known_at(sales, at(3)).num_rows == 2


def test_sql_sees_no_variable_of_the_program(engine: Engine) -> None:
    import pyarrow as pa

    program_rows = pa.table({"told": [SECRET]})
    with pytest.raises(ContractError) as refused:
        engine.evaluate(unchecked("select told from program_rows"), [], known_at=at(7), schema=ONE_TEXT, keep=None)
    assert program_rows.num_rows == 1
    assert "program_rows" in refused.value.found
    assert SECRET not in refused.value.found


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Sandbox]:
    """DuckDB as a user's SQL gets it."""
    import pyarrow as pa

    with sandbox(tmp_path / "scratch", Limits(), "a test") as opened:
        opened.give("sales", pa.table({"units": [1]}))
        yield opened


@pytest.mark.parametrize(
    "statement",
    [
        "set enable_external_access = true",
        "set lock_configuration = false",
        "reset enable_external_access",
        "reset lock_configuration",
        "set global enable_external_access = true",
        "pragma enable_external_access = true",
        "set autoload_known_extensions = true",
        "set autoinstall_known_extensions = true",
        "set allow_community_extensions = true",
        "set allowed_directories = ['/']",
        "set allowed_paths = ['/etc/hostname']",
        "set temp_directory = '/tmp/elsewhere'",
        "set extension_directory = '/tmp/elsewhere'",
        "set TimeZone = 'America/New_York'",
        "set threads = 8",
        "set python_enable_replacements = true",
    ],
)
def test_no_setting_of_a_locked_duckdb_can_be_changed(locked: Sandbox, statement: str) -> None:
    import duckdb

    before = locked.answer("select name, value from duckdb_settings() order by name")
    with pytest.raises(duckdb.Error, match=r"lock|disabled"):
        locked.answer(statement)
    assert locked.answer("select name, value from duckdb_settings() order by name") == before


@pytest.mark.parametrize(
    "statement",
    ["install httpfs", "load httpfs", "install '{target}'", "load '{target}'", "force install spatial", "load spatial"],
)
def test_a_locked_duckdb_takes_no_extension(locked: Sandbox, tmp_path: Path, statement: str) -> None:
    import duckdb

    with pytest.raises(duckdb.Error, match="disabled"):
        locked.answer(statement.format(target=tmp_path / "evil.duckdb_extension"))


@pytest.mark.parametrize(
    "statement",
    [
        "select * from read_csv('{secret}')",
        "select * from '{secret}'",
        "copy sales to '{target}'",
        "copy sales from '{secret}'",
        "attach '{target}' as other",
        "export database '{target}'",
        "import database '{target}'",
        "create secret (type s3, key_id 'a', secret 'b')",
    ],
)
def test_a_locked_duckdb_neither_reads_nor_writes_a_file(
    locked: Sandbox, secret: Path, tmp_path: Path, statement: str
) -> None:
    import duckdb

    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(duckdb.Error) as refused:
        locked.answer(statement.format(secret=secret, target=tmp_path / "written"))
    assert SECRET not in str(refused.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_unlocked_duckdb_reads_files_so_that_these_tests_can_fail(secret: Path, tmp_path: Path) -> None:
    from mlops_assets.engines.duckdb import connection as duck

    with duck.connect(tmp_path / "scratch") as connection:
        assert connection.execute(f"select * from read_csv('{secret}')").fetchall() == [(SECRET,)]


def test_even_an_unlocked_duckdb_reads_no_variable_of_the_program(tmp_path: Path) -> None:
    import duckdb
    import pyarrow as pa

    from mlops_assets.engines.duckdb import connection as duck

    program_rows = pa.table({"told": [SECRET]})
    with duck.connect(tmp_path / "scratch") as connection:
        with pytest.raises(duckdb.CatalogException, match="program_rows"):
            connection.execute("select told from program_rows")
        connection.register("program_rows", program_rows)
        assert connection.execute("select told from program_rows").fetchall() == [(SECRET,)]


def test_a_locked_duckdb_computes_in_utc_with_one_thread(locked: Sandbox) -> None:
    told = locked.answer("select name, value from duckdb_settings()").to_pydict()
    settings = dict(zip(told["name"], told["value"], strict=True))
    assert settings["TimeZone"] == "UTC"
    assert settings["threads"] == "1"
    assert settings["enable_external_access"] == "false"
    assert settings["lock_configuration"] == "true"


def test_what_one_question_left_behind_no_other_sees_also_after_an_error(tmp_path: Path) -> None:
    import duckdb
    import pyarrow as pa

    def tables(opened: Sandbox) -> list[str]:
        return opened.answer("select table_name from duckdb_tables()").column(0).to_pylist()  # type: ignore[no-any-return]

    with pytest.raises(duckdb.BinderException), sandbox(tmp_path, Limits(), "a test") as opened:
        opened.give("kept", pa.table({"one": [1]}))
        assert tables(opened) == ["kept"]
        opened.answer("select nothing")
    with sandbox(tmp_path, Limits(), "a test") as another:
        assert tables(another) == []


SPENDING = {
    "a join of everything with everything": "select sum(a.i * b.i) from range(10000000) a(i), range(10000000) b(i)",
    "within one value": "select levenshtein(repeat('a', 300000), repeat('b', 300000))",
    "a list of lists": "select len(list_transform(range(99999), lambda x: list_transform(range(99999), lambda y: y)))",
}


@pytest.mark.parametrize("sql", [*SPENDING.values()], ids=[*SPENDING])
def test_what_takes_too_long_is_ended_wherever_duckdb_is_and_the_next_question_is_answered(
    tmp_path: Path, sql: str
) -> None:
    limits = Limits(seconds=1)
    where = Location(Path("sums.sql"), 1)
    begun = time.monotonic()
    with pytest.raises(OverLimitError) as ended, sandbox(tmp_path, limits, "the SQL", where) as opened:
        opened.answer(sql)
    assert time.monotonic() - begun < 30, "it was waited for"
    assert str(ended.value) == (
        "sums.sql:1: Found: the SQL, which was ended after 1 s. Expected: an answer within 1 s. What to do: have it "
        "make fewer rows, or raise evaluation_seconds in [tool.mlops_assets.limits] of pyproject.toml."
    )
    with sandbox(tmp_path, Limits(), "the SQL") as opened:  # a process starts for it
        assert opened.answer("select 1 as one").to_pylist() == [{"one": 1}]


def test_each_engine_ends_a_query_whose_time_is_over_and_names_it(engine: Engine, tables: Tables) -> None:
    many = tables.of([sale(f"{number}", at(1), at(2), product=number) for number in range(1, 200)])
    sql = f"select max(a.note || b.note) as told from {', '.join(f'sales {name}' for name in 'abcde')}"
    limited = engine.for_requests(Limits(seconds=2))
    asked: dict[str, Any] = {"known_at": at(7), "schema": ONE_TEXT, "keep": None}
    begun = time.monotonic()
    with pytest.raises(OverLimitError, match=r"^endless.sql:1: .*the SQL in endless.sql, which was ended after 2 s"):
        query = parse_query(sql, file=Path("endless.sql"))
        limited.evaluate(query, [QueryInput(many, month(1), month(1))], **asked)
    assert time.monotonic() - begun < 30
    query = parse_query("select max(note) as told from sales", file=Path("quick.sql"))
    answered = engine.evaluate(query, [QueryInput(many, month(1), month(1))], **asked)
    assert engine.to_arrow(answered).to_pylist() == [{"told": "99"}]


GREEDY = {
    "a list": "select len(generate_series(1, 300000000))",
    "many lists": "select max(len(generate_series(1, i * 1000))) from range(100000) t(i)",
    "a sort": "select md5(i::varchar) as m from range(20000000) t(i) order by m limit 1 offset 15000000",
}


@pytest.mark.parametrize("sql", [*GREEDY.values()], ids=[*GREEDY])
def test_what_needs_too_much_memory_or_disk_is_ended_in_words_and_leaves_nothing_on_the_disk(
    tmp_path: Path, sql: str
) -> None:
    limits = Limits(megabytes=300, spill_megabytes=20)
    with pytest.raises(OverLimitError) as ended, sandbox(tmp_path, limits, "the SQL") as opened:
        opened.answer(sql)
    assert "the SQL, which needs more memory or disk than it may (" in ended.value.found
    assert ended.value.expected == "an answer within 300 MB of memory, and 20 MB of disk"
    assert list(tmp_path.rglob("*")) == []


def test_work_that_is_given_up_ends_at_once(tmp_path: Path) -> None:
    work = Work(600)
    threading.Timer(0.5, work.give_up).start()
    with pytest.raises(GivenUpError), work.done_here(), sandbox(tmp_path, Limits(), "the SQL") as opened:
        opened.answer(SPENDING["within one value"])
    with pytest.raises(GivenUpError), work.done_here():
        pytest.fail("it was begun")
