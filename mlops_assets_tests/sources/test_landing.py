"""Landing folders: which files are a delivery, when it is complete, and what is kept of it."""

import gzip
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.automation.ingestion import arrivals
from mlops_assets.errors import ContractError, DefinitionError, MissingDataError
from mlops_assets.lakehouse.home import Home
from mlops_assets.sources.ingest import ingest
from mlops_assets.sources.landing import passed_over, passed_over_in_words
from mlops_assets.sources.publisher import publish_due
from mlops_assets_tests.sources.small_project import STATIC, Shop, csv_of, platform_of, sales_yaml

PUBLISHED = datetime(2024, 2, 1, tzinfo=UTC)
NORTH, SOUTH = ("north,2024-01-01,1", "south,2024-01-01,2")
KNOWN = {"north 2024-01-01": 1, "south 2024-01-01": 2}
PARTS = 'files: {pattern: "{period:%Y%m}/part-*.csv", complete: "{period:%Y%m}/_SUCCESS"}'


def shop_of(home: Home, *fields: str) -> Shop:
    shop = Shop(platform_of(home, sales_yaml("max_removed_share: 1", "min_rows_share: 0", *fields)))
    home.clock.set(PUBLISHED)
    return shop


def parquet_of(path: Path, **units: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    day = datetime(2024, 1, 1).date()  # noqa: DTZ001
    rows = [{"shop": shop, "day": day, "units": number} for shop, number in units.items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def write(home: Home, **contents: str) -> None:
    folder = home.landing / "sales" / "202401"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name.replace("__", "-").replace("_csv", ".csv")).write_text(content, encoding="utf-8")


@pytest.mark.parametrize(
    ("files", "name", "kept"),
    [
        ('{format: parquet, pattern: "sales_{period}.parquet"}', "sales_2024-01.parquet", ".parquet"),
        ("{format: parquet}", "2024-01.parquet", ".parquet"),
        ("{format: json_lines}", "2024-01.jsonl", ".jsonl"),
        ('{format: json_lines, pattern: "{period}.json"}', "2024-01.json", ".jsonl"),
        ('{pattern: "{period:%Y}/{period:%Y%m}.csv.gz"}', "2024/202401.csv.gz", ".csv.gz"),
    ],
)
def test_a_file_of_a_declared_name_and_format_is_ingested_and_kept_as_it_came(
    home: Home, files: str, name: str, kept: str
) -> None:
    shop = shop_of(home, f"files: {files}")
    file = home.landing / "sales" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    if kept == ".parquet":
        parquet_of(file, north=1, south=2)
    elif kept == ".jsonl":
        lines = [
            '{"shop": "north", "day": "2024-01-01", "units": 1}',
            '{"shop": "south", "day": "2024-01", "units": 2}',
        ]
        file.write_text("\n".join(lines), encoding="utf-8")
    else:
        file.write_bytes(gzip.compress(csv_of([NORTH, SOUTH]).encode()))
    (found,) = [arrival for arrival, _ in arrivals(shop.platform, shop.source, {})]
    assert (found.period, found.files) == ("2024-01", (file,))
    delivery = shop.ingest("2024-01").delivery
    assert found.sha256 == delivery.sha256
    (copy,) = shop.platform.deliveries.content_files(delivery)
    assert copy.name == f"0001-{delivery.sha256[:12]}{kept}" and copy.read_bytes() == file.read_bytes()
    assert shop.known(PUBLISHED) == KNOWN


def test_several_files_are_one_delivery_once_they_are_complete(home: Home) -> None:
    shop = shop_of(home, PARTS)
    write(home, part__1_csv=csv_of([NORTH]))
    assert list(arrivals(shop.platform, shop.source, {})) == []
    with pytest.raises(MissingDataError) as missing:
        shop.ingest("2024-01")
    marker = home.landing / "sales" / "202401" / "_SUCCESS"
    assert missing.value.found == f"no file {marker} for period 2024-01 of source 'sales'"
    assert missing.value.expected == "the file that says that all are there"

    write(home, part__2_csv=csv_of([SOUTH]), _SUCCESS="")
    (found,) = [arrival for arrival, _ in arrivals(shop.platform, shop.source, {})]
    done = shop.ingest("2024-01")
    assert (done.rows, done.delivery.sha256, len(done.delivery.files)) == (2, found.sha256, 2)
    assert shop.known(PUBLISHED) == KNOWN
    kept = [file.read_bytes().decode() for file in shop.platform.deliveries.content_files(done.delivery)]
    assert kept == [csv_of([NORTH]), csv_of([SOUTH])]


def test_neither_the_mark_of_completeness_nor_a_folder_is_one_of_the_files(home: Home) -> None:
    shop = shop_of(home, 'files: {pattern: "{period:%Y%m}/*", complete: "{period:%Y%m}/_SUCCESS"}')
    write(home, part__1_csv=csv_of([NORTH]), _SUCCESS="")
    (home.landing / "sales" / "202401" / "part-2.csv").mkdir()
    assert [found.name for arrival, _ in arrivals(shop.platform, shop.source, {}) for found in arrival.files] == [
        "part-1.csv"
    ]
    assert shop.ingest("2024-01").rows == 1


def test_other_names_for_the_same_files_are_the_same_delivery(home: Home) -> None:
    shop = shop_of(home, PARTS)
    write(home, part__1_csv=csv_of([NORTH]), part__2_csv=csv_of([SOUTH]), _SUCCESS="")
    first = shop.ingest("2024-01").delivery
    write(home, part__1_csv=csv_of([SOUTH]), part__2_csv=csv_of([NORTH]))
    assert shop.ingest("2024-01").delivery == first


def test_one_of_several_files_that_is_gone_is_a_removal_of_its_rows(home: Home) -> None:
    shop = shop_of(home, PARTS)
    write(home, part__1_csv=csv_of([NORTH]), part__2_csv=csv_of([SOUTH]), _SUCCESS="")
    shop.ingest("2024-01")
    (home.landing / "sales" / "202401" / "part-2.csv").unlink()
    assert shop.ingest("2024-01").removed == 1


def test_a_file_that_did_not_change_is_not_read_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = shop_of(home)
    shop.land("2024-01", csv_of([NORTH]))
    seen = {f"sales|{found.period}": mark for found, mark in arrivals(shop.platform, shop.source, {})}
    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} was read"))
        assert [mark for _, mark in arrivals(shop.platform, shop.source, seen)] == list(seen.values())
    shop.land("2024-01", csv_of([NORTH, SOUTH]))
    assert [mark for _, mark in arrivals(shop.platform, shop.source, seen)] != list(seen.values())


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_a_file_that_is_still_being_written_is_refused_and_taken_once_it_is_whole(home: Home, suffix: str) -> None:
    shop = shop_of(home, f"files: {{format: {'parquet' if suffix == 'parquet' else 'json_lines'}}}")
    file = home.landing / "sales" / f"2024-01.{suffix}"
    if suffix == "parquet":
        parquet_of(file, north=1, south=2)
    else:
        file.parent.mkdir(parents=True)
        lines = [
            '{"shop": "north", "day": "2024-01-01", "units": 1}',
            '{"shop": "south", "day": "2024-01", "units": 2}',
        ]
        file.write_text("\n".join(lines), encoding="utf-8")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 3])
    with pytest.raises(ContractError, match="cannot be read"):
        shop.ingest("2024-01")
    assert not shop.table.delta.exists()
    file.write_bytes(whole)
    assert shop.ingest("2024-01").appended == {"2024-01": 2}


def test_the_publisher_compresses_where_the_name_says_so(home: Home) -> None:
    (home.folder.parent / "project").mkdir(exist_ok=True)
    (home.folder.parent / "project" / "all.csv").write_text(csv_of([NORTH, SOUTH]), encoding="utf-8")
    shop = shop_of(home, "published_from: all.csv", 'files: {pattern: "{period:%Y%m}.csv.gz"}')
    assert publish_due(shop.platform) == [home.landing / "sales" / "202401.csv.gz"]
    assert shop.ingest("2024-01").rows == 2


CALLED = "a file is called {period}.csv, such as 2024-01.csv"


def test_a_file_that_nothing_will_ever_read_is_named_with_the_reason(home: Home) -> None:
    shop = shop_of(home, "last_period: 2024-06")
    names = ["2024-01.CSV", "2024-1.csv", "sales_2024-01.csv", "2024-13.csv", "2024-01 (1).csv", "2024-01.csv.gz"]
    for name in [*names, "2023-12.csv", "2024-07.csv", "2024-01.csv", "2024-06.csv", ".2024-01.csv.part", "_SUCCESS"]:
        shop.land("2024-01", "").with_name(name).write_text("x", encoding="utf-8")
    (home.landing / "sales" / "old").mkdir()
    (home.landing / "sales" / "old" / "2023.csv").write_text("x", encoding="utf-8")
    assert passed_over(shop.platform, shop.source) == sorted(
        [
            *((name, CALLED) for name in names),
            ("2023-12.csv", "it is before first_period, 2024-01"),
            ("2024-07.csv", "it is after last_period, 2024-06"),
        ]
    )
    words = passed_over_in_words(shop.platform, shop.source)
    assert words.startswith("sales passes over files in its landing folder: 2023-12.csv (it is before first_period, 20")


def test_neither_a_mark_nor_a_file_of_another_source_in_the_folder_is_passed_over(home: Home) -> None:
    sales = sales_yaml(PARTS, "landing: arrivals")
    others = sales_yaml('files: {pattern: "{period:%Y%m}/visits.csv"}', "landing: arrivals").replace(
        "name: sales", "name: visits"
    )
    platform = platform_of(home, sales, others)
    folder = home.folder.parent / "project" / "arrivals"
    for name in ("202401/part-1.csv", "202401/_SUCCESS", "202401/visits.csv", "202312/_SUCCESS"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x", encoding="utf-8")
    source = platform.project.sources["sales"]
    assert passed_over_in_words(platform, source) == ""
    for name in ("202401/part-2.txt", "stray.csv"):
        (folder / name).write_text("x", encoding="utf-8")
    expected = "a file is called {period:%Y%m}/part-*.csv, such as 202401/part-*.csv"
    assert passed_over(platform, source) == [("202401/part-2.txt", expected), ("stray.csv", expected)]


def test_many_files_are_counted(home: Home) -> None:
    shop = shop_of(home)
    for number in range(25):
        shop.land("2024-01", "").with_name(f"{number}.csv").write_text("x", encoding="utf-8")
    assert passed_over_in_words(shop.platform, shop.source).endswith("; 5 more")


def test_a_static_table_has_one_file(home: Home) -> None:
    shop = Shop(platform_of(home, STATIC), "shops")
    shop.land(None, "shop,region\n").with_name("Static.csv").write_text("x", encoding="utf-8")
    assert passed_over(shop.platform, shop.source) == [("Static.csv", "a file is called static.csv")]


def test_quotation_marks_are_escaped_as_declared(home: Home) -> None:
    shop = shop_of(home, "files: {escape: backslash}", "max_bad_share: 0.5")
    shop.deliver("2024-01", [r'"the \"north\"",2024-01-01,1', r"south,2024-01-01,many"])
    assert shop.known(PUBLISHED) == {'the "north" 2024-01-01': 1}


def test_a_static_table_can_lie_in_a_file_of_any_name(home: Home) -> None:
    place = 'static: true\n  files: {format: json_lines, pattern: "regions.jsonl"}'
    shop = Shop(platform_of(home, STATIC.replace("static: true", place)), "shops")
    shop.land(None, '{"shop": "north", "region": "N"}\n')
    assert [(found.period, found.files[0].name) for found, _ in arrivals(shop.platform, shop.source, {})] == [
        ("static", "regions.jsonl")
    ]
    assert ingest(shop.platform, shop.source, None).rows == 1


# What contradicts itself is refused, with its line


DATABASE = "database: {url_variable: SALES_URL, table: sales}"
NO_SELECT = "a.sql, which is not one SELECT that changes nothing"
GOOD_QUERY = "SELECT * FROM sales WHERE day >= :period_start AND day < :period_end"


@pytest.mark.parametrize(
    ("fields", "line", "found"),
    [
        (['files: {format: parquet, pattern: "{period}.gz"}'], 0, "Parquet files whose name ends with .gz"),
        (
            ['files: {pattern: "{period}/*.csv"}'],
            0,
            "a pattern that several files match ('{period}/*.csv'), and nothing",
        ),
        (['files: {pattern: "{period}/*.csv", complete: "{period}/*"}'], 0, "a wildcard in complete ('{period}/*')"),
        (['files: {pattern: "{period:%Y}.csv"}'], 0, "the pattern '{period:%Y}.csv', in which '2024.csv' does not"),
        (['files: {pattern: "{period}.csv", complete: _SUCCESS}'], 0, "the pattern '_SUCCESS', in which"),
        (["published_from: defs.yaml", "files: {format: parquet}"], 1, "published_from with other files than one CSV"),
        (["files: {format: parquet, escape: backslash}"], 0, "an escape in files of format parquet"),
        ([DATABASE, "files: {format: csv}"], 1, "files beside database"),
        ([DATABASE, "landing: incoming"], 1, "landing beside database"),
        ([DATABASE, "published_from: defs.yaml"], 1, "published_from beside database"),
        (["database: {url_variable: SALES_URL}"], 0, "neither table nor query"),
        (["database: {url_variable: SALES_URL, table: sales, query: a.sql}"], 0, "both table and query"),
        (["database: {url_variable: SALES_URL, query: b.sql}"], 0, "no readable file"),
        (["database: {url_variable: 'postgresql://me:word@host/db', table: a}"], 0, "wrong value in 'database.url"),
        (["database: {url_variable: SALES_URL, table: 'a; drop table b'}"], 0, "wrong value in 'database.table'"),
        (["database: {url_variable: SALES_URL, table: a, check_every: 0 days}"], 0, "check_every of '0 days'"),
        (["database: {url_variable: SALES_URL, table: a, check_every: 1 month}"], 0, "'1 month'"),
    ],
)
def test_a_source_that_contradicts_itself_is_refused(home: Home, fields: list[str], line: int, found: str) -> None:
    text = sales_yaml(*fields)
    with pytest.raises(DefinitionError) as refused:
        platform_of(home, text)
    assert refused.value.found.startswith(found)
    where: Any = refused.value.where
    assert text.splitlines()[where.line - 1].strip() == fields[line]
    assert "word" not in str(refused.value)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("DELETE FROM sales", "a.sql, which is not one SELECT"),
        (f"{GOOD_QUERY}; SELECT 1", "a.sql, which is not one SELECT"),
        ("WITH x AS (DELETE FROM sales RETURNING *) SELECT * FROM x", f"{NO_SELECT}: DELETE"),
        ("WITH x AS (/* ' */ UPDATE sales SET a = 1 RETURNING *) SELECT * FROM x", f"{NO_SELECT}: UPDATE"),
        (GOOD_QUERY.replace("SELECT ", "SELECT 1 INTO other, ", 1), f"{NO_SELECT}: INTO"),
        (f"{GOOD_QUERY} FOR  NO KEY UPDATE", f"{NO_SELECT}: FOR NO KEY UPDATE"),
        (f"{GOOD_QUERY} FOR SHARE", f"{NO_SELECT}: FOR SHARE"),
        (f"{GOOD_QUERY} /*!50000 INTO OUTFILE '/tmp/x' */", f"{NO_SELECT}: a parenthesis, text or comment that"),
        (f"EXPLAIN ANALYZE {GOOD_QUERY}", f"{NO_SELECT}: EXPLAIN where SELECT should stand"),
        (f"{GOOD_QUERY}) x, (SELECT 1", f"{NO_SELECT}: a parenthesis that nothing opens"),
        (f"{GOOD_QUERY} AND nextval ('s') > 0", f"{NO_SELECT}: nextval(), which does something or reads elsewhere"),
        (f"{GOOD_QUERY} AND \"nextval\"('s') > 0", f"{NO_SELECT}: nextval(), which does something"),
        (f"{GOOD_QUERY} AND pg_advisory_lock(1) IS NULL", f"{NO_SELECT}: pg_advisory_lock(), which does something"),
        ("SELECT * FROM sales", "a.sql with no parameter"),
        ("SELECT * FROM sales WHERE day < :period_end -- :period_start", "a.sql with :period_end"),
        (f"{GOOD_QUERY} AND shop = :shop", "a.sql with :period_end, :period_start, :shop"),
    ],
)
def test_a_query_that_does_not_ask_for_the_period_is_refused(home: Home, query: str, found: str) -> None:
    folder = home.folder.parent / "project"
    folder.mkdir()
    (folder / "a.sql").write_text(query, encoding="utf-8")
    with pytest.raises(DefinitionError) as refused:
        platform_of(home, sales_yaml("database: {url_variable: SALES_URL, query: a.sql}"))
    assert refused.value.found.startswith(found)


@pytest.mark.parametrize(
    "query",
    [
        f"-- of the shops\n{GOOD_QUERY};\n",
        f"WITH a AS ({GOOD_QUERY}) SELECT * FROM a",
        f"({GOOD_QUERY}::date)",
        f"{GOOD_QUERY} AND replace(\"update\", $$; delete$$, E'\\'; into') <> updated_into",
    ],
)
def test_a_query_that_asks_for_the_period_is_taken(home: Home, query: str) -> None:
    folder = home.folder.parent / "project"
    folder.mkdir()
    (folder / "a.sql").write_text(query, encoding="utf-8")
    platform_of(home, sales_yaml("database: {url_variable: SALES_URL, query: a.sql}"))
