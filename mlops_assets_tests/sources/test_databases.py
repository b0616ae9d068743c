"""Sources in SQL databases: what is read, when, and what no message says."""

import os
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.errors import ContractError, UnusableEnvironmentError
from mlops_assets.lakehouse.home import Home
from mlops_assets.project.attributes import Database
from mlops_assets.sources import databases
from mlops_assets.sources.due import due_periods
from mlops_assets_tests.sources.postgresql import running_postgresql
from mlops_assets_tests.sources.small_project import COLUMNS, STATIC, Shop, platform_of, sales_yaml

VARIABLE = "SALES_DATABASE_URL"
TABLE = f"database: {{url_variable: {VARIABLE}, table: sales}}"
QUERY = f"database: {{url_variable: {VARIABLE}, query: sales.sql}}"
FEBRUARY = datetime(2024, 2, 1, tzinfo=UTC)
SECRETS = ("s3cret-word", "keeper", "sales.example.org")
DAY = timedelta(days=1)

pytestmark = pytest.mark.slow  # a PostgreSQL is started


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of a PostgreSQL database."""
    with running_postgresql() as url:
        yield url


@pytest.fixture
def sales(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A connection to the database, whose table ``sales`` was just filled."""
    import psycopg

    monkeypatch.setenv(VARIABLE, server)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS sales CASCADE")
        connection.execute("CREATE TABLE sales (units int, shop text, day date, PRIMARY KEY (shop, day))")
        connection.execute("INSERT INTO sales VALUES (1, 'north', '2024-01-01'), (2, 'south', '2024-01-31')")
        connection.execute("INSERT INTO sales VALUES (3, 'north', '2024-02-01'), (9, 'north', '2023-12-31')")
        yield connection


def shop_of(home: Home, *fields: str, query: str = "", columns: str = COLUMNS) -> Shop:
    folder = home.folder.parent / "project"
    folder.mkdir(exist_ok=True)
    (folder / "sales.sql").write_text(query, encoding="utf-8")
    lenient = ("max_removed_share: 1", "min_rows_share: 0")
    shop = Shop(platform_of(home, sales_yaml(*fields, *lenient, columns=columns)))
    home.clock.set(FEBRUARY)
    return shop


def refusal(shop: Shop) -> UnusableEnvironmentError:
    with pytest.raises(UnusableEnvironmentError) as caught:
        shop.ingest("2024-01")
    told = "".join(traceback.format_exception(caught.value))
    assert [secret for secret in SECRETS if secret in told] == []
    assert caught.value.__cause__ is None and caught.value.__context__ is None
    return caught.value


def test_a_table_is_asked_for_the_rows_of_the_period(home: Home, sales: Any) -> None:
    shop = shop_of(home, TABLE)
    done = shop.ingest("2024-01")
    assert done.appended == {"2024-01": 2}
    assert shop.known(FEBRUARY) == {"north 2024-01-01": 1, "south 2024-01-31": 2}


def test_what_was_read_is_kept_as_it_came(home: Home, sales: Any) -> None:
    import pyarrow.parquet as pq

    shop = shop_of(home, TABLE)
    delivery = shop.ingest("2024-01").delivery
    (file,) = shop.platform.deliveries.content_files(delivery)
    assert file.name.endswith(".parquet")
    assert [row["units"] for row in pq.read_table(str(file)).to_pylist()] == [1, 2]
    assert list(shop.platform.home.scratch.iterdir()) == []


def test_the_same_rows_in_another_order_are_the_same_delivery(home: Home, sales: Any) -> None:
    shop = shop_of(home, TABLE)
    first = shop.ingest("2024-01").delivery
    sales.execute("DELETE FROM sales")
    sales.execute("INSERT INTO sales VALUES (2, 'south', '2024-01-31'), (1, 'north', '2024-01-01')")
    assert shop.ingest("2024-01").delivery == first


def test_a_row_that_changed_is_a_correction(home: Home, sales: Any) -> None:
    shop = shop_of(home, TABLE)
    shop.ingest("2024-01")
    sales.execute("UPDATE sales SET units = 7 WHERE day = '2024-01-31'")
    home.clock.set(FEBRUARY + DAY)
    assert shop.ingest("2024-01").appended == {"2024-01": 1}
    assert shop.known(FEBRUARY)["south 2024-01-31"] == 2
    assert shop.known(FEBRUARY + DAY)["south 2024-01-31"] == 7


def test_a_query_sees_the_bounds_of_all_that_a_window_restates(home: Home, sales: Any) -> None:
    query = """
        -- the shops' own clock: 12:30, ';'
        SELECT shop, day, sum(units)::bigint AS units FROM sales
        WHERE day >= :period_start AND day < :period_end::date AND shop <> ':other' GROUP BY shop, day;
    """
    shop = shop_of(home, QUERY, "delivers: window", "window_periods: 2", query=query)
    home.clock.set(datetime(2024, 3, 1, tzinfo=UTC))
    assert shop.ingest("2024-02").appended == {"2024-01": 2, "2024-02": 1}


def test_bounds_and_times_are_in_utc_whatever_the_zone_of_the_server(home: Home, sales: Any) -> None:
    sales.execute("DROP TABLE sales")
    sales.execute("CREATE TABLE sales (shop text, day timestamptz, units bigint)")
    sales.execute("INSERT INTO sales VALUES ('in', '2024-01-01 00:00Z', 1), ('out', '2024-02-01 00:00Z', 2)")
    sales.execute("INSERT INTO sales VALUES ('in too', '2024-02-01 08:59+09:00', 3)")
    shop = shop_of(home, TABLE, columns=COLUMNS.replace("type: date", "type: timestamp"))
    shop.ingest("2024-01")
    assert shop.known(FEBRUARY) == {
        "in 2024-01-01 00:00:00+00:00": 1,
        "in too 2024-01-31 23:59:00+00:00": 3,
    }


def test_a_time_without_a_zone_is_utc(home: Home, sales: Any) -> None:
    sales.execute("DROP TABLE sales")
    sales.execute("CREATE TABLE sales (shop text, day timestamp, units bigint)")
    sales.execute("INSERT INTO sales VALUES ('in', '2024-01-01', 1), ('out', '2024-02-01', 2)")
    shop = shop_of(home, TABLE, columns=COLUMNS.replace("type: date", "type: timestamp"))
    shop.ingest("2024-01")
    assert shop.known(FEBRUARY) == {"in 2024-01-01 00:00:00+00:00": 1}


def test_a_table_of_many_batches_is_read_whole(home: Home, sales: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "ROWS_AT_ONCE", 7)
    sales.execute("DELETE FROM sales")
    sales.execute("INSERT INTO sales SELECT CASE WHEN n > 20 THEN n END, 'shop ' || n, '2024-01-02' "
                  "FROM generate_series(1, 30) n")  # fmt: skip
    shop = shop_of(home, TABLE)
    assert shop.ingest("2024-01").rows == 30
    assert sum(value or 0 for value in shop.known(FEBRUARY).values()) == sum(range(21, 31))


def test_a_period_without_rows_is_a_delivery_without_rows(home: Home, sales: Any) -> None:
    sales.execute("DELETE FROM sales")
    assert shop_of(home, TABLE).ingest("2024-01").rows == 0


@pytest.mark.parametrize("type_", ["numeric", "double precision"])
def test_a_number_that_is_not_finite_is_null_where_that_is_declared(home: Home, sales: Any, type_: str) -> None:
    sales.execute(f"ALTER TABLE sales ALTER units TYPE {type_}")
    sales.execute("UPDATE sales SET units = 'NaN' WHERE shop = 'north'")
    shop = shop_of(home, TABLE, columns=COLUMNS.replace("minimum: 0", "not_finite: 'null'"))
    shop.ingest("2024-01")
    assert shop.known(FEBRUARY) == {"north 2024-01-01": None, "south 2024-01-31": 2}


def test_doubles_without_a_fraction_are_whole_numbers(home: Home, sales: Any) -> None:
    sales.execute("ALTER TABLE sales ALTER units TYPE double precision")
    shop = shop_of(home, TABLE)
    shop.ingest("2024-01")
    assert shop.known(FEBRUARY) == {"north 2024-01-01": 1, "south 2024-01-31": 2}


@pytest.mark.parametrize(("written", "units"), [("12", 12), ("12.00", 12)])
def test_decimals_become_what_is_declared_where_they_fit(home: Home, sales: Any, written: str, units: int) -> None:
    sales.execute("ALTER TABLE sales ALTER units TYPE numeric")
    sales.execute(f"UPDATE sales SET units = {written}")
    shop = shop_of(home, TABLE)
    shop.ingest("2024-01")
    assert set(shop.known(FEBRUARY).values()) == {units}


@pytest.mark.parametrize(
    ("stored", "declared", "value"),
    [
        ("numeric", "decimal(12,2)", "12.30"),
        ("numeric(20, 6)", "decimal(12,2)", "-0.070000"),
        ("numeric", "decimal(38,8)", "123456789012345678901234567890.12345678"),
        ("numeric", "decimal(30,25)", "1.0000000000000000000000001"),
        ("int", "decimal(12,2)", "7"),
        ("double precision", "decimal(12,2)", "0.1"),
    ],
)
def test_a_numeric_of_a_database_is_a_decimal_to_its_last_digit(
    home: Home, sales: Any, stored: str, declared: str, value: str
) -> None:
    sales.execute(f"ALTER TABLE sales ALTER units TYPE {stored}")
    sales.execute(f"UPDATE sales SET units = {value}")
    columns = COLUMNS.replace("type: bigint", f"type: '{declared}'").replace(", minimum: 0", "")
    assert declared in columns
    shop = shop_of(home, TABLE, columns=columns)
    shop.ingest("2024-01")
    assert set(shop.known(FEBRUARY).values()) == {Decimal(value)}


def test_a_numeric_with_more_digits_than_declared_is_refused(home: Home, sales: Any) -> None:
    sales.execute("ALTER TABLE sales ALTER units TYPE numeric")
    sales.execute("UPDATE sales SET units = 12.345")
    columns = COLUMNS.replace("type: bigint", "type: 'decimal(12,2)'").replace(", minimum: 0", "")
    with pytest.raises(ContractError) as refused:
        shop_of(home, TABLE, columns=columns).ingest("2024-01")
    assert "in column 'units', row 1" in refused.value.found


@pytest.mark.parametrize(
    ("type_", "value", "found"),
    [
        ("numeric", "1.5", "1.500000000000000000 in column 'units', row 1"),
        ("text", "'5'", "'5' in column 'units', row 1"),
        ("uuid", "gen_random_uuid()", "values of type UUID in column 'units' of the database"),
        ("int[]", "'{1}'", "values of type list in column 'units' of the database"),
        ("double precision", "1.5", "1.5 in column 'units', row 1"),
        ("double precision", "'NaN'", "nan in column 'units', row 1"),
        ("numeric", "'NaN'", "NaN in column 'units', row 1"),
    ],
)
def test_a_value_of_another_type_is_refused(home: Home, sales: Any, type_: str, value: str, found: str) -> None:
    sales.execute(f"ALTER TABLE sales DROP units, ADD units {type_}")
    sales.execute(f"UPDATE sales SET units = {value}")
    shop = shop_of(home, TABLE)
    with pytest.raises(ContractError) as refused:
        shop.ingest("2024-01")
    assert refused.value.found == f"in 'sales': {found}"
    assert not shop.table.delta.exists()


def test_the_query_cannot_write(home: Home, sales: Any) -> None:
    sales.execute("CREATE OR REPLACE FUNCTION spoil() RETURNS int LANGUAGE sql AS 'DELETE FROM sales RETURNING 1'")
    query = "SELECT shop, day, spoil() AS units FROM sales WHERE day >= :period_start AND day < :period_end"
    error = refusal(shop_of(home, QUERY, query=query))
    assert "(cannot execute DELETE in a read-only transaction)" in error.found
    assert sales.execute("SELECT count(*) FROM sales").fetchone() == (4,)


def test_a_file_of_sqlite_that_is_missing_is_not_made(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, f"sqlite:///{tmp_path / 'no such.db'}")
    assert "cannot be reached" in refusal(shop_of(home, TABLE)).found
    assert not list(tmp_path.rglob("*.db"))


def test_a_statement_that_takes_too_long_is_ended(home: Home, sales: Any) -> None:
    query = "SELECT shop, day, units FROM sales, pg_sleep(20) WHERE day >= :period_start AND day < :period_end"
    error = refusal(shop_of(home, QUERY.replace("}", ", timeout_seconds: 1}"), query=query))
    assert "canceling statement due to statement timeout" in error.found


def test_what_is_wrong_with_a_query_is_said(home: Home, sales: Any) -> None:
    query = "SELECT store FROM sales WHERE day >= :period_start AND day < :period_end"
    error = refusal(shop_of(home, QUERY, query=query))
    assert error.found == (
        f"the database of 'sales', whose URL is in {VARIABLE}, was asked and failed (column \"store\" does not exist)"
    )


def test_a_database_that_is_down_is_named_by_its_variable_alone(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "postgresql://keeper:s3cret-word@localhost:1/shop?application_name=sales.example.org")
    error = refusal(shop_of(home, TABLE))
    assert error.found == (
        f"the database of 'sales', whose URL is in {VARIABLE}, cannot be reached, or refuses the login"
    )
    assert error.expected == "a database that answers within 600 s, and lets its user read"
    assert not (home.deliveries / "sales").exists()


def test_a_login_that_is_refused_says_not_whose(home: Home, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, server.replace("keeper@", "nobody-of-keeper:s3cret-word@"))
    assert "refuses the login" in refusal(shop_of(home, TABLE)).found


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, "is not set"), ("s3cret-word", "is set to what is no URL"), ("", "is not set")],
)
def test_a_variable_without_a_url_is_named(
    home: Home, monkeypatch: pytest.MonkeyPatch, value: str | None, words: str
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(VARIABLE, value)
    error = refusal(shop_of(home, TABLE))
    assert error.found == f"the variable {VARIABLE}, with the database's URL for 'sales', {words}"
    assert error.cure == f"set {VARIABLE} where Dagster runs, and start it again"


def test_a_database_without_a_driver_says_what_is_missing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "mysql+nodriver://keeper:s3cret-word@sales.example.org/shop")
    assert "is of a kind that SQLAlchemy has no module for" in refusal(shop_of(home, TABLE)).found
    monkeypatch.setenv(VARIABLE, "oracle+cx_oracle://keeper:s3cret-word@sales.example.org/shop")
    assert "needs the module cx_Oracle, which is not installed" in refusal(shop_of(home, TABLE)).found


def test_it_is_one_transaction_that_only_reads_and_is_in_utc(home: Home, sales: Any) -> None:
    settings = ("transaction_isolation", "transaction_read_only", "TimeZone", "statement_timeout")
    values = " || ', ' || ".join(f"current_setting('{name}')" for name in settings)
    query = f"SELECT {values} AS shop, day, 1 AS units FROM sales WHERE day >= :period_start AND day < :period_end"
    shop = shop_of(home, QUERY, query=f"{query} AND shop = 'north'")
    shop.ingest("2024-01")
    assert list(shop.known(FEBRUARY)) == ["repeatable read, on, UTC, 10min 2024-01-01"]


def test_another_database_or_a_file_with_the_same_rows_gives_the_same_data_version(
    home: Home, sales: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlite3

    shop = shop_of(home, TABLE)
    shop.ingest("2024-01")
    expected = shop.versions()
    with sqlite3.connect(tmp_path / "sales.db") as connection:
        connection.execute("CREATE TABLE sales (shop text, day date, units int)")
        for row in sales.execute("SELECT shop, day::text, units FROM sales").fetchall():
            connection.execute("INSERT INTO sales VALUES (?, ?, ?)", row)
    monkeypatch.setenv(VARIABLE, f"sqlite:///{tmp_path / 'sales.db'}")
    other = shop_of(Home(tmp_path / "other" / "home").prepare(), TABLE)
    other.ingest("2024-01")
    assert other.versions() == expected

    files = shop_of(Home(tmp_path / "files" / "home").prepare())
    files.deliver("2024-01", ["south,2024-01-31,2", "north,2024-01-01,1"])
    assert files.versions() == expected


def test_a_static_table_is_read_without_bounds(home: Home, sales: Any) -> None:
    sales.execute("CREATE TABLE IF NOT EXISTS shops (shop text, region text)")
    sales.execute("DELETE FROM shops")
    sales.execute("INSERT INTO shops VALUES ('north', 'N ')")
    place = f"static: true\n  database: {{url_variable: {VARIABLE}, table: public.shops}}"
    shop = Shop(platform_of(home, STATIC.replace("static: true", place)), "shops")
    assert shop.ingest(None).rows == 1
    assert shop.known(FEBRUARY) == {"north": "N"}


# When it is asked


def ask(shop: Shop, at: datetime, before: str | None) -> tuple[list[str], str]:
    shop.platform.home.clock.set(at)
    assert isinstance(shop.source.origin, Database)
    return due_periods(shop.platform, shop.source, shop.source.origin, before)


def test_a_period_is_asked_for_once_it_is_due_and_daily_while_it_is_the_newest(home: Home, sales: Any) -> None:
    shop = shop_of(home, TABLE, "publication_lag: 5 days")
    due = FEBRUARY + 5 * DAY
    assert ask(shop, due - DAY / 24, None)[0] == []
    keys, memory = ask(shop, due, None)
    assert keys == ["2024-01"]
    assert ask(shop, due + DAY / 2, memory)[0] == []
    shop.ingest("2024-01")
    keys, memory = ask(shop, due + DAY, memory)
    assert keys == ["2024-01"]  # something may have changed
    keys, memory = ask(shop, datetime(2024, 3, 6, tzinfo=UTC), memory)
    assert keys == ["2024-02"]
    keys, memory = ask(shop, datetime(2024, 3, 7, tzinfo=UTC), memory)
    assert keys == ["2024-02"]


def test_a_period_that_was_not_accepted_is_asked_for_until_it_is(home: Home, sales: Any) -> None:
    shop = shop_of(home, TABLE)
    keys, memory = ask(shop, datetime(2024, 4, 1, tzinfo=UTC), None)
    assert keys == ["2024-01", "2024-02", "2024-03"]
    shop.ingest("2024-01")
    shop.ingest("2024-03")
    assert ask(shop, datetime(2024, 4, 1, 23, tzinfo=UTC), memory)[0] == []
    keys, memory = ask(shop, datetime(2024, 4, 2, tzinfo=UTC), memory)
    assert keys == ["2024-02", "2024-03"]
    shop.ingest("2024-02")
    keys, memory = ask(shop, datetime(2024, 4, 3, tzinfo=UTC), memory)
    assert keys == ["2024-03"]
    assert '"accepted": "2024-03"' in memory


def test_to_know_what_is_due_nothing_is_read(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    shop = shop_of(home, TABLE, "last_period: 2024-02")
    assert ask(shop, datetime(2030, 1, 1, tzinfo=UTC), None)[0] == ["2024-01", "2024-02"]
    assert VARIABLE not in os.environ
